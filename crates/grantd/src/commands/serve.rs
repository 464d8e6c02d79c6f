//! `grantd serve`: everything in one process.

use grantd_proto::{Role, TokenServiceClient};
use grantd_token_service::Service;
use tonic::service::Routes;

use crate::{
    admin::{
        operator::Operator,
        socket::{self, AdminSocket},
    },
    config::Config,
    data_dir,
    drain::Drain,
    error::Error,
    http::{self, operations::Operations},
    owner, rpc,
    store::{self, Opened},
};

/// Runs until it is told to stop.
pub(crate) async fn run(config: &Config, drain: Drain, operations: &Operations) -> Result<(), Error> {
    let running = Running::start(config, &drain, operations).await?;
    running.until_stopped(drain).await
}

/// Everything, listening and ready to serve.
pub(crate) struct Running {
    state: State,
    listener: tokio::net::TcpListener,
    app: axum::Router,
    limits: http::server::Limits,
}

impl Running {
    /// In the order in which things fail most plainly: the port, the store, the first user.
    pub(crate) async fn start(config: &Config, drain: &Drain, operations: &Operations) -> Result<Self, Error> {
        let listener = http::server::bind(config.listen, "--listen").await?;
        let state = State::open(config).await?;
        let transport = rpc::local::transport(state.routes.clone(), Role::Flow);
        operations.ask(TokenServiceClient::new(transport.clone()));
        let app = http::app::router(config, transport, drain)?;
        tracing::info!(
            event = "serving",
            public_url = %config.public_url,
            listen = %config.listen,
            store = %config.store.url,
            resources = ?config.resource.iter().map(|resource| resource.path()).collect::<Vec<_>>(),
            "grantd is ready at {}", config.public_url
        );
        Ok(Self { state, listener, app, limits: config.http_limits() })
    }

    /// Serves, and stops in order.
    pub(crate) async fn until_stopped(self, drain: Drain) -> Result<(), Error> {
        let admin =
            tokio::spawn(socket::serve(self.state.admin, self.state.routes, self.state.operator, drain.clone()));
        close_at(&drain, self.state.service);
        http::server::serve(self.listener, self.app, self.limits, drain).await;
        admin.await.map_err(Error::because("the admin socket failed"))
    }
}

/// Health turns off when the process is told to stop; what would keep connections open ends when listeners close.
pub(crate) fn close_at(drain: &Drain, service: Service) {
    let drain = drain.clone();
    tokio::spawn(async move {
        drain.clone().told().await;
        service.retire();
        drain.begun().await;
        service.close();
    });
}

/// The half that holds state: the store, the services on it, and the socket of the operator.
pub(crate) struct State {
    /// The services.
    pub(crate) service: Service,
    /// The same over gRPC.
    pub(crate) routes: Routes,
    /// For `grantd user` and alike.
    pub(crate) admin: AdminSocket,
    /// What is served there beside the services.
    pub(crate) operator: Operator,
}

impl State {
    /// Opens the store, makes the first user, and listens for the operator.
    pub(crate) async fn open(config: &Config) -> Result<Self, Error> {
        owner::check_variables()?;
        data_dir::create(&config.data_dir)?;
        let Opened { store, embedded } = store::open(config).await?;
        let service = Service::new(store, config.service()?);
        owner::ensure(&service, &config.data_dir).await?;
        let admin = socket::bind(&config.admin_socket()).await?;
        let operator = Operator { embedded };
        Ok(Self { routes: service.routes(), service, admin, operator })
    }
}
