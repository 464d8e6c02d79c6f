//! `grantd facade`: the HTTP half as a process of its own.

use grantd_proto::TokenServiceClient;

use crate::{
    config::Config,
    drain::Drain,
    error::Error,
    http::{self, operations::Operations},
    rpc,
};

/// Runs until it is told to stop.
pub(crate) async fn run(config: &Config, drain: Drain, operations: &Operations) -> Result<(), Error> {
    let listener = http::server::bind(config.listen, "--listen").await?;
    let transport = rpc::remote::transport(config).await?;
    operations.ask(TokenServiceClient::new(transport.clone()));
    let app = http::app::router(config, transport, &drain)?;
    tracing::info!(
        event = "serving",
        public_url = %config.public_url,
        listen = %config.listen,
        token_service = %config.token_service.url,
        "the facade listens on {}", config.listen
    );
    http::server::serve(listener, app, config.http_limits(), drain).await;
    Ok(())
}
