//! The one HTTP application of a process: probes, the OAuth endpoints and pages, and the gate.

use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use grantd_gate::Gate;
use grantd_proto::{IdentityServiceClient, TokenServiceClient, Transport};
use grantd_telemetry::HttpServerTrace;

use super::{
    flow, leftover,
    metrics::{self, HttpMetrics},
    probes::Probes,
    streams,
};
use crate::{config::Config, drain::Drain, error::Error};

/// Everything that is served over HTTP, on services that are reached through `transport`.
pub(crate) fn router(config: &Config, transport: Transport, drain: &Drain) -> Result<Router, Error> {
    if config.public_url.is_https() && config.http.trusted_proxies.is_empty() {
        tracing::warn!(
            event = "http.no_trusted_proxy",
            "public_url is https, so a proxy is in front, and http.trusted_proxies names none: all clients share the limits \
             of the proxy's address, and its address stands in every event"
        );
    }
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
    let probes = Probes::new(drain.clone());
    probes.ask(tokens);
    // A path of the configuration may have a segment that begins with `:` or `*`: meant literally.
    Ok(facade
        .without_v07_checks()
        .merge(gate.router())
        // Whoever probes is not measured: nobody waits for it.
        .layer(from_fn_with_state(HttpMetrics::new(config.public_url.is_https()), metrics::measure))
        .merge(probes.router())
        .layer(from_fn(leftover::read_on))
        .layer(from_fn_with_state(drain.clone(), streams::end_at_drain))
        .layer(from_fn(flow::label))
        // Outermost: every answer is in a span, and everything that is called for it hangs below.
        .layer(HttpServerTrace))
}
