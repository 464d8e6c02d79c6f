//! The gRPC listener of `grantd token-service`. Every call needs a service key, but for health checks.

use std::time::Duration;

use grantd_telemetry::GrpcServerTrace;
use grantd_token_service::{AuthLayer, CallerKeys};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{service::Routes, transport::Server};

use crate::{drain::Drain, error::Error};

/// Serves until the drain, then finishes what is in flight.
pub(crate) async fn serve(listener: TcpListener, routes: Routes, keys: CallerKeys, drain: Drain) -> Result<(), Error> {
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .tcp_nodelay(true)
        // One connection cannot take all of the service.
        .concurrency_limit_per_connection(1024)
        // Outermost: a refused call has a span too.
        .layer(GrpcServerTrace)
        .layer(AuthLayer::new(keys))
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), drain.clone().begun());
    tokio::select! {
        ended = server => ended.map_err(Error::because("the gRPC listener failed")),
        () = drain.over() => {
            tracing::warn!("calls were still in flight at the deadline; they are dropped");
            Ok(())
        }
    }
}
