//! `grantd token-service`: the gRPC half as a process of its own.

use grantd_proto::{Role, TokenServiceClient};

use super::serve::{State, close_at};
use crate::{
    admin::socket,
    config::Config,
    drain::Drain,
    error::Error,
    http::{self, operations::Operations},
    rpc,
};

/// Runs until it is told to stop.
pub(crate) async fn run(config: &Config, drain: Drain, operations: &Operations) -> Result<(), Error> {
    let listen = config.token_service.listen;
    let listener = http::server::bind(listen, "--listen (token_service.listen)").await?;
    let State { service, routes, admin, operator } = State::open(config).await?;
    operations.ask(TokenServiceClient::new(rpc::local::transport(routes.clone(), Role::Flow)));
    tracing::info!(
        event = "serving",
        listen = %listen,
        store = %config.store.url,
        callers = ?config.token_service.caller.iter().map(|caller| &caller.name).collect::<Vec<_>>(),
        "the token service is ready at {listen}"
    );
    let admin = tokio::spawn(socket::serve(admin, routes.clone(), operator, drain.clone()));
    close_at(&drain, service);
    let settings = &config.token_service;
    let tls = settings.serves_tls().then(|| (settings.tls.files(), config.caller_names()));
    let access = rpc::server::Access { keys: config.caller_keys(), tls };
    let served = rpc::server::serve(listener, routes, access, drain.clone()).await;
    // A listener that failed takes the rest along.
    drain.begin();
    admin.await.map_err(Error::because("the admin socket failed"))?;
    served
}
