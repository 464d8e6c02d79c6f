//! The HTTP listener: connections with limits, and an orderly end.
//!
//! HTTP/1.1 only: TLS and HTTP/2 are the business of the proxy in front.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, time::Duration};

use axum::{Router, extract::ConnectInfo};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::{drain::Drain, error::Error};

/// How long a client may take to send its headers, and an idle connection may stay.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Headers of a request; clients behind several proxies send some dozens.
const MAX_HEADERS: usize = 100;

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
pub(crate) async fn serve(listener: TcpListener, app: Router, drain: Drain) {
    let graceful = GracefulShutdown::new();
    let mut begun = pin!(drain.clone().begun());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, remote)) => connection(stream, remote, app.clone(), &graceful, drain.clone()),
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

fn connection(stream: TcpStream, remote: SocketAddr, app: Router, graceful: &GracefulShutdown, drain: Drain) {
    // Streams of small events must not wait for each other.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(remote));
        let app = app.clone();
        async move { Ok::<_, Infallible>(app.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_headers(MAX_HEADERS);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        tokio::select! {
            // Errors here are clients that went away, or that speak no HTTP.
            ended = connection => if let Err(error) = ended { tracing::debug!(%error, "a connection ended early") },
            () = drain.over() => {}
        }
    });
}
