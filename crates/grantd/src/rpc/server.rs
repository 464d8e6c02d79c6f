//! The gRPC listener of `grantd token-service`. Every call needs a service key or a known certificate, but for health
//! checks.

use std::time::Duration;

use grantd_telemetry::GrpcServerTrace;
use grantd_token_service::{AuthLayer, CallerKeys};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{service::Routes, transport::Server};

use crate::{
    drain::Drain,
    error::Error,
    rpc::{
        metrics,
        tls::{self, Files, Names},
    },
};

/// Who may call, and how.
pub(crate) struct Access {
    /// Callers by key.
    pub(crate) keys: CallerKeys,
    /// TLS, where it is configured, and callers by certificate.
    pub(crate) tls: Option<(Files, Names)>,
}

/// Serves until the drain, then finishes what is in flight.
pub(crate) async fn serve(listener: TcpListener, routes: Routes, access: Access, drain: Drain) -> Result<(), Error> {
    let router = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .tcp_nodelay(true)
        // One connection cannot take all of the service.
        .concurrency_limit_per_connection(1024)
        // Outermost: a refused call has a span too.
        .layer(GrpcServerTrace)
        .layer(metrics::layer())
        .layer(AuthLayer::new(access.keys))
        .add_routes(routes);
    let begun = drain.clone().begun();
    let served = async {
        match access.tls {
            Some((files, names)) => {
                let incoming = tls::incoming(listener, files, names).await?;
                router.serve_with_incoming_shutdown(incoming, begun).await
            }
            None => router.serve_with_incoming_shutdown(TcpListenerStream::new(listener), begun).await,
        }
        .map_err(Error::because("the gRPC listener failed"))
    };
    tokio::select! {
        ended = served => ended,
        () = drain.over() => {
            tracing::warn!("calls were still in flight at the deadline; they are dropped");
            Ok(())
        }
    }
}
