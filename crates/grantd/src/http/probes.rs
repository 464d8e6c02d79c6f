//! `/healthz` and `/readyz`, for orchestrators.
//!
//! Live means that the process answers. Ready means that a cheap call reaches the store, through the same path that
//! every request takes; while the process drains it is not ready.

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use grantd_proto::{TokenServiceClient, error::Reason, v1::GetClientRequest};
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

use crate::drain::Drain;

/// How long readiness may take to find out.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Probe {
    tokens: TokenServiceClient,
    drain: Drain,
}

/// The two routes.
pub(crate) fn router(tokens: TokenServiceClient, drain: Drain) -> Router {
    Router::new()
        .route("/healthz", get(|| async { answer(StatusCode::OK, "{\"status\":\"ok\"}") }))
        .route("/readyz", get(ready))
        .with_state(Probe { tokens, drain })
}

async fn ready(State(Probe { mut tokens, drain }): State<Probe>) -> Response {
    // There is no such client, and the store must be asked to know it.
    let question = GetClientRequest { client_id: "readiness".to_owned(), ..Default::default() };
    // Without a subscriber: a probe every few seconds is no trace that anybody looks for.
    let asked = tokens.get_client(question).with_subscriber(NoSubscriber::new());
    let reached = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => true,
        Ok(Err(status)) => Reason::of(&status).is_some_and(|reason| reason.code == "invalid_client"),
        Err(_) => false,
    };
    match (reached, drain.has_begun()) {
        (true, false) => answer(StatusCode::OK, "{\"status\":\"ready\"}"),
        (true, true) => answer(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"stopping\"}"),
        (false, _) => answer(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"the store cannot be reached\"}"),
    }
}

fn answer(status: StatusCode, body: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}
