//! The one HTTP application of a process: probes, the OAuth endpoints and pages, and the gate.

use axum::{Router, middleware::from_fn_with_state};
use grantd_gate::Gate;
use grantd_proto::{IdentityServiceClient, TokenServiceClient, Transport};
use grantd_telemetry::HttpServerTrace;

use super::{probes, streams};
use crate::{config::Config, drain::Drain, error::Error};

/// Everything that is served over HTTP, on services that are reached through `transport`.
pub(crate) fn router(config: &Config, transport: Transport, drain: &Drain) -> Result<Router, Error> {
    let tokens = TokenServiceClient::new(transport.clone());
    let identity = IdentityServiceClient::new(transport);
    let facade = grantd_facade::router(config.facade(), tokens.clone(), identity);
    let gate = Gate::start(config.gate()?, tokens.clone());
    let closing = gate.clone();
    let begun = drain.clone().begun();
    tokio::spawn(async move {
        begun.await;
        closing.close();
    });
    let probes = probes::router(tokens, drain.clone());
    // A path of the configuration may have a segment that begins with `:` or `*`: meant literally.
    Ok(facade
        .without_v07_checks()
        .merge(gate.router())
        .merge(probes)
        .layer(from_fn_with_state(drain.clone(), streams::end_at_drain))
        // Outermost: every answer is in a span, and everything that is called for it hangs below.
        .layer(HttpServerTrace))
}
