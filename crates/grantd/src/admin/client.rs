//! Calling the services from the command line, as the operator.

use std::{io, path::Path, time::Duration};

use grantd_proto::{
    IdentityServiceClient, Role, TokenServiceClient, Transport, TransportError,
    v1::{operator_service_client::OperatorServiceClient, operator_service_server::OperatorServiceServer},
};
use grantd_token_service::Service;
use hyper_util::rt::TokioIo;
use rand::{TryRng as _, rngs::SysRng};
use tokio::net::UnixStream;
use tonic::transport::Endpoint;
use tower::ServiceExt as _;

use super::operator::Operator;
use crate::{
    config::{Config, StoreUrl},
    data_dir,
    error::Error,
    rpc,
    store::{self, Opened},
};

/// The services, with the role `admin`.
pub(crate) struct Admin {
    /// Clients and grants.
    pub(crate) tokens: TokenServiceClient,
    /// People.
    pub(crate) identity: IdentityServiceClient,
    /// The process itself.
    pub(crate) operator: OperatorServiceClient<Transport>,
}

/// How long the running process may take to accept.
const CONNECT: Duration = Duration::from_secs(10);

/// How often it is asked whether it is still there, and how long it may take to say so. What it does for the operator may take
/// longer than any limit (a backup of a large store, the grants of a busy person), and goes on when nobody waits any more.
const ALIVE: Duration = Duration::from_secs(20);

/// Whether the store may be made by this command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// The command adds the first thing to it, where somebody said where it is to be. Otherwise a command that was given in the
    /// wrong folder would be obeyed, and nobody who runs would know of it.
    MayBeNew,
    /// The command is about what is there.
    MustExist,
}

impl Admin {
    /// Through the running process, or on the store itself when nothing runs.
    pub(crate) async fn connect(config: &Config, store: Store) -> Result<Self, Error> {
        let path = config.admin_socket();
        let transport = match UnixStream::connect(&path).await {
            Ok(_) => through(&path).await?,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                on_the_store(config, store).await?
            }
            Err(error) => {
                let what =
                    format!("cannot reach the running grantd at {}; be the user that it runs as", path.display());
                return Err(Error::because(what)(error));
            }
        };
        Ok(Self {
            tokens: TokenServiceClient::new(transport.clone()),
            identity: IdentityServiceClient::new(transport.clone()),
            operator: OperatorServiceClient::new(transport),
        })
    }
}

async fn through(path: &Path) -> Result<Transport, Error> {
    let path = path.to_owned();
    let failed = || Error::because("cannot talk to the running grantd");
    let channel = Endpoint::from_static("http://grantd.sock")
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(ALIVE)
        .keep_alive_timeout(ALIVE)
        .connect_with_connector(tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
        .map_err(failed())?;
    Ok(Transport::new(channel.map_err(TransportError::from)))
}

async fn on_the_store(config: &Config, store: Store) -> Result<Transport, Error> {
    if config.store.url == StoreUrl::Embedded {
        let file = store::embedded_file(config);
        let may_be_new = store == Store::MayBeNew && config.data_dir != Config::default().data_dir;
        if !may_be_new && !file.exists() {
            return Err(Error::failed(format!(
                "nothing runs and nothing is stored in {}; say --data-dir (or GRANTD_DATA_DIR) if it is elsewhere",
                config.data_dir.display()
            )));
        }
        data_dir::create(&config.data_dir)?;
    }
    let Opened { store, embedded } = store::open(config).await?;
    let service = Service::new(store, config.service()?);
    let routes = service.routes().add_service(OperatorServiceServer::new(Operator { embedded }));
    Ok(rpc::local::transport(routes, Role::Admin))
}

/// A fresh request id.
pub(crate) fn request_id() -> Result<Vec<u8>, Error> {
    let mut id = vec![0; 32];
    SysRng.try_fill_bytes(&mut id).map_err(Error::because("the system gave no randomness"))?;
    Ok(id)
}

/// What a service answered, for a person.
pub(crate) fn told(what: impl Into<String>) -> impl FnOnce(tonic::Status) -> Error {
    let what = what.into();
    move |status| match status.code() {
        tonic::Code::Unavailable | tonic::Code::Unknown => Error::because(what)(status),
        _ => Error::failed(format!("{what}: {}", status.message())),
    }
}

#[cfg(test)]
mod tests {
    use grantd_proto::v1::{BackupRequest, BackupResponse, operator_service_server::OperatorService};
    use tokio::{net::UnixListener, time::Instant};
    use tokio_stream::wrappers::UnixListenerStream;
    use tonic::{Request, Response, Status, transport::Server};

    use super::*;

    /// Its store is large.
    struct Slow;

    #[tonic::async_trait]
    impl OperatorService for Slow {
        async fn backup(&self, _: Request<BackupRequest>) -> Result<Response<BackupResponse>, Status> {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(Response::new(BackupResponse { records: 7 }))
        }
    }

    async fn backup(path: &Path) -> Result<u64, Status> {
        let mut operator = OperatorServiceClient::new(through(path).await.unwrap());
        operator.backup(BackupRequest::default()).await.map(|answer| answer.into_inner().records)
    }

    #[tokio::test(start_paused = true)]
    async fn work_may_take_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grantd.sock");
        let incoming = UnixListenerStream::new(UnixListener::bind(&path).unwrap());
        let server = Server::builder().add_service(OperatorServiceServer::new(Slow)).serve_with_incoming(incoming);
        tokio::spawn(server);
        assert_eq!(backup(&path).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_stuck_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grantd.sock");
        // Its kernel accepts, and nobody answers.
        let _listener = UnixListener::bind(&path).unwrap();
        let since = Instant::now();
        backup(&path).await.unwrap_err();
        assert!(since.elapsed() <= ALIVE * 3, "{:?}", since.elapsed());
    }
}
