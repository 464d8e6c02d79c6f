//! Connecting to one address of a token service, with TLS where it is configured.
//!
//! Whatever goes wrong here is a [`NotConnected`]: then nothing was sent, and a call may go elsewhere.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use tower::Service;

use super::tls::TlsClient;

/// Below the facade's deadline for a call: an address that swallows packets must not use it up.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection, with or without TLS.
pub(super) type Connection = TokioIo<Either<TcpStream, TlsStream<TcpStream>>>;

/// How to speak TLS, and what the certificate of the other end must be for.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) client: TlsClient,
    pub(super) name: Arc<ServerName<'static>>,
}

/// No connection came about, so nothing was sent.
#[derive(Debug)]
pub(super) struct NotConnected {
    address: SocketAddr,
    cause: io::Error,
}

impl NotConnected {
    /// Whether this is why something failed.
    pub(super) fn is_cause_of(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<Self>())
    }
}

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection to the token service at {}", self.address)
    }
}

impl std::error::Error for NotConnected {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Connects to `address`, whatever the URI says.
pub(super) fn connector(
    address: SocketAddr,
    tls: Option<Tls>,
) -> impl Service<
    Uri,
    Response = Connection,
    Error = NotConnected,
    Future: Future<Output = Result<Connection, NotConnected>> + Send,
> + Send
+ 'static {
    tower::service_fn(move |_: Uri| {
        let tls = tls.clone();
        async move {
            let dialled = tokio::time::timeout(PATIENCE, dial(address, tls)).await;
            dialled.unwrap_or_else(|late| Err(late.into())).map_err(|cause| NotConnected { address, cause })
        }
    })
}

async fn dial(address: SocketAddr, tls: Option<Tls>) -> io::Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let stream = match tls {
        Some(Tls { client, name }) => Either::Right(client.handshake(ServerName::clone(&name), stream).await?),
        None => Either::Left(stream),
    };
    Ok(TokioIo::new(stream))
}
