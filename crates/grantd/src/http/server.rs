//! The HTTP listener: connections with limits, and an orderly end.
//!
//! 1. A connection is accepted when there is a place for it; beyond that the kernel's backlog holds the rest.
//! 2. Headers are bounded in number, size and time, and in less time while places are rare. Bodies are bounded by who
//!    reads them.
//! 3. Who does not read what is sent, or is gone without a word, is cut off by the kernel.
//! 4. At the drain nothing more is accepted, and what is in flight has until the deadline.
//!
//! HTTP/1.1 only: TLS and HTTP/2 are the business of the proxy in front.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt as _;

use super::TrustedProxies;
use crate::{drain::Drain, error::Error};

/// How long a client may take to send its headers, and an idle connection may stay.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for who comes while three quarters of the places are taken: who fills them with slowness must not keep them.
const HEADER_TIMEOUT_WHEN_FULL: Duration = Duration::from_secs(5);
/// How long what was sent may stay unread or unacknowledged (`TCP_USER_TIMEOUT`), and after how much silence a peer is
/// asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(60);
/// Headers of a request; clients behind several proxies send some dozens.
const MAX_HEADERS: usize = 100;
/// All headers of a request together, in bytes. The longest come from authorization requests.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// What connections are served with.
pub(crate) struct Limits {
    /// Whose word is taken for a client's address.
    pub(crate) proxies: TrustedProxies,
    /// How many connections may be open.
    pub(crate) connections: usize,
}

/// Listens, or says who does.
pub(crate) async fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => format!("another program listens there; choose another address with {setting}"),
            io::ErrorKind::AddrNotAvailable => format!("this machine does not have that address; change {setting}"),
            io::ErrorKind::PermissionDenied => format!("ports below 1024 need a privilege; change {setting}"),
            _ => error.to_string(),
        };
        Error::failed(format!("cannot listen on {address}: {advice}"))
    })
}

/// Serves until the drain, then finishes what is in flight.
pub(crate) async fn serve(listener: TcpListener, app: Router, limits: Limits, drain: Drain) {
    let graceful = GracefulShutdown::new();
    let proxies = Arc::new(limits.proxies);
    let places = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let mut begun = pin!(drain.clone().begun());
    loop {
        let accept = async {
            // The semaphore is never closed.
            let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?, place))
        };
        tokio::select! {
            accepted = accept => match accepted {
                Ok(((stream, remote), place)) => {
                    let crowded = places.available_permits() < limits.connections / 4;
                    let header_timeout = if crowded { HEADER_TIMEOUT_WHEN_FULL } else { HEADER_TIMEOUT };
                    let ours = Connection { stream, remote, proxies: proxies.clone(), header_timeout, place };
                    ours.serve(app.clone(), &graceful, drain.clone());
                }
                Err(error) => {
                    // Out of file descriptors, most likely: trying again at once would only burn the processor.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            () = &mut begun => break,
        }
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = drain.over() => tracing::warn!("requests were still in flight at the deadline; they are dropped"),
    }
}

struct Connection {
    stream: TcpStream,
    remote: SocketAddr,
    proxies: Arc<TrustedProxies>,
    header_timeout: Duration,
    place: OwnedSemaphorePermit,
}

impl Connection {
    fn serve(self, app: Router, graceful: &GracefulShutdown, drain: Drain) {
        let Self { stream, remote, proxies, header_timeout, place } = self;
        prepare(&stream);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            let client = proxies.client(remote, request.headers());
            request.extensions_mut().insert(ConnectInfo(client));
            let app = app.clone();
            async move { Ok::<_, Infallible>(app.oneshot(request).await.unwrap_or_else(|never| match never {})) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEADER_BYTES);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                // Errors here are clients that went away, or that speak no HTTP.
                ended = connection => if let Err(error) = ended { tracing::debug!(%error, "a connection ended early") },
                () = drain.over() => {}
            }
            drop(place);
        });
    }
}

/// What fails here leaves a connection that works, and is only less well guarded.
fn prepare(stream: &TcpStream) {
    // Streams of small events must not wait for each other.
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE).with_interval(SILENCE / 4));
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(SILENCE));
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::Instant,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_fills_the_places_with_slowness_does_not_keep_them() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/", get(|| async { "served" }));
        let limits = Limits { proxies: TrustedProxies::default(), connections: 8 };
        tokio::spawn(serve(listener, app, limits, Drain::default()));

        let begun = Instant::now();
        let mut slow = Vec::new();
        for _ in 0..8 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            slow.push(stream);
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("served"), "{answer}");
        assert!(begun.elapsed() < HEADER_TIMEOUT, "{:?}", begun.elapsed());
    }
}
