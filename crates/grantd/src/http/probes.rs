//! `/healthz` and `/readyz`, for orchestrators.
//!
//! Live means that the process answers. Ready means that a cheap call reaches the store, through the same path that
//! every request takes. It is not ready before it has opened its store, and from the moment it is told to stop.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

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

/// What the probes must know. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Probes {
    tokens: Arc<OnceLock<TokenServiceClient>>,
    drain: Drain,
}

impl Probes {
    /// Not ready, until it is said what to ask.
    pub(crate) fn new(drain: Drain) -> Self {
        Self { tokens: Arc::default(), drain }
    }

    /// From now on ready means that these services answer.
    pub(crate) fn ask(&self, tokens: TokenServiceClient) {
        // Said once, when the process has been put together.
        let _ = self.tokens.set(tokens);
    }

    /// The two routes.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { answer(StatusCode::OK, "{\"status\":\"ok\"}") }))
            .route("/readyz", get(ready))
            .with_state(self)
    }
}

async fn ready(State(Probes { tokens, drain }): State<Probes>) -> Response {
    let Some(mut tokens) = tokens.get().cloned() else {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"starting\"}");
    };
    // There is no such client, and the store must be asked to know it.
    let question = GetClientRequest { client_id: "readiness".to_owned(), ..Default::default() };
    // Without a subscriber: a probe every few seconds is no trace that anybody looks for.
    let asked = tokens.get_client(question).with_subscriber(NoSubscriber::new());
    let reached = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => true,
        Ok(Err(status)) => Reason::of(&status).is_some_and(|reason| reason.code == "invalid_client"),
        Err(_) => false,
    };
    match (reached, drain.was_told()) {
        (true, false) => answer(StatusCode::OK, "{\"status\":\"ready\"}"),
        (true, true) => answer(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"stopping\"}"),
        (false, _) => answer(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"the store cannot be reached\"}"),
    }
}

fn answer(status: StatusCode, body: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use grantd_proto::{Transport, TransportError, error::status};
    use tonic::Code;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    /// Answers every call with this status.
    fn answering(code: Code, reason: &'static str) -> TokenServiceClient {
        let service = service_fn(move |_: http::Request<tonic::body::Body>| async move {
            Ok::<_, TransportError>(status(code, reason, "").into_http())
        });
        TokenServiceClient::new(Transport::new(service))
    }

    async fn ready(probes: &Probes) -> StatusCode {
        let request = Request::get("/readyz").body(Body::empty()).unwrap();
        probes.clone().router().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn ready_is_who_has_started_reaches_the_store_and_was_not_told_to_stop() {
        let drain = Drain::default();
        let probes = Probes::new(drain.clone());
        assert_eq!(ready(&probes).await, StatusCode::SERVICE_UNAVAILABLE, "it is still starting");
        probes.ask(answering(Code::NotFound, "invalid_client"));
        assert_eq!(ready(&probes).await, StatusCode::OK);
        drain.begin();
        assert_eq!(ready(&probes).await, StatusCode::SERVICE_UNAVAILABLE, "it is stopping");

        let away = Probes::new(Drain::default());
        away.ask(answering(Code::Unavailable, "temporarily_unavailable"));
        assert_eq!(ready(&away).await, StatusCode::SERVICE_UNAVAILABLE, "its store is away");
    }
}
