//! The services of this process, called without a socket.

use grantd_proto::{Caller, Role, Transport};
use grantd_telemetry::GrpcServerTrace;
use grantd_token_service::in_process;
use tonic::service::Routes;
use tower::Layer as _;

use super::metrics;

/// The services, for the facade and the gate of this process. Each call gets the span that it would get behind a socket.
pub(crate) fn transport(routes: Routes, role: Role) -> Transport {
    let caller = Caller { name: "in-process".to_owned(), role };
    Transport::new(GrpcServerTrace.layer(metrics::layer().layer(in_process(routes, caller))))
}
