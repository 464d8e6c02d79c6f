//! `/healthz` and `/readyz`, for orchestrators.
//!
//! 1. Live means that the process answers.
//! 2. Ready means that a cheap call reaches the store, through the same path that every request takes. It is not ready before
//!    it has opened its store, and from the moment it is told to stop.
//! 3. `/readyz?exclude=store` is for what stands in front of several replicas: it asks only whether TokenService answers. A
//!    store that is away is away for all of them; taken out all at once, they would be replaced by an error page of the proxy,
//!    on which clients forget their tokens, instead of a 503 that tells them to try again.
//! 4. Whoever asks within a second gets the same answer: anybody may ask, and each question is a call.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use grantd_proto::{TokenServiceClient, error::Reason, v1::GetClientRequest};
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

use crate::drain::Drain;

/// How long readiness may take to find out: longer than a call of the store may take, so that it is said which of the two is
/// away; shorter than a probe waits.
const PATIENCE: Duration = Duration::from_millis(2500);
/// For how long an answer is given again.
const MOMENT: Duration = Duration::from_secs(1);

/// What was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    Store,
    /// TokenService answers, and its store does not.
    TokenService,
    Nothing,
}

/// What the probes must know. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Probes {
    tokens: Arc<OnceLock<TokenServiceClient>>,
    /// The last answer. Who asks while it is found out waits for it.
    reached: moka::future::Cache<(), Reached>,
    drain: Drain,
}

impl Probes {
    /// Not ready, until it is said what to ask.
    pub(crate) fn new(drain: Drain) -> Self {
        let reached = moka::future::Cache::builder().max_capacity(1).time_to_live(MOMENT).build();
        Self { tokens: Arc::default(), reached, drain }
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

async fn ready(State(probes): State<Probes>, RawQuery(query): RawQuery) -> Response {
    let wanted: &[Reached] = match query.as_deref() {
        None | Some("") => &[Reached::Store],
        Some("exclude=store") => &[Reached::Store, Reached::TokenService],
        Some(_) => {
            return answer(StatusCode::BAD_REQUEST, "{\"status\":\"the only parameter is exclude=store\"}");
        }
    };
    let Some(tokens) = probes.tokens.get().cloned() else {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"starting\"}");
    };
    let reached = probes.reached.get_with((), reach(tokens)).await;
    match (wanted.contains(&reached), probes.drain.was_told()) {
        (true, false) => answer(StatusCode::OK, "{\"status\":\"ready\"}"),
        (true, true) => answer(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"stopping\"}"),
        (false, _) if reached == Reached::Nothing => {
            answer(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"the token service cannot be reached\"}")
        }
        (false, _) => answer(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"the store cannot be reached\"}"),
    }
}

async fn reach(mut tokens: TokenServiceClient) -> Reached {
    // There is no such client, and the store must be asked to know it.
    let question = GetClientRequest { client_id: "readiness".to_owned(), ..Default::default() };
    // Without a subscriber: a probe every few seconds is no trace that anybody looks for.
    let asked = tokens.get_client(question).with_subscriber(NoSubscriber::new());
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => Reached::Store,
        Ok(Err(status)) => match Reason::of(&status) {
            Some(reason) if reason.code == "invalid_client" => Reached::Store,
            // A reason is TokenService's word; what the way there says has none.
            Some(_) => Reached::TokenService,
            None => Reached::Nothing,
        },
        Err(_) => Reached::Nothing,
    }
}

fn answer(status: StatusCode, body: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    async fn asked(probes: &Probes, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        probes.clone().router().oneshot(request).await.unwrap().status()
    }

    async fn ready(probes: &Probes) -> StatusCode {
        asked(probes, "/readyz").await
    }

    #[tokio::test]
    async fn ready_is_who_has_started_reaches_the_store_and_was_not_told_to_stop() {
        for path in ["/readyz", "/readyz?exclude=store"] {
            let drain = Drain::default();
            let probes = Probes::new(drain.clone());
            assert_eq!(asked(&probes, path).await, StatusCode::SERVICE_UNAVAILABLE, "it is still starting");
            probes.ask(answering(Code::NotFound, "invalid_client"));
            assert_eq!(asked(&probes, path).await, StatusCode::OK);
            drain.begin();
            assert_eq!(asked(&probes, path).await, StatusCode::SERVICE_UNAVAILABLE, "it is stopping");
        }
    }

    #[tokio::test]
    async fn without_the_store_it_is_the_token_service_that_must_answer() {
        let away = Probes::new(Drain::default());
        away.ask(answering(Code::Unavailable, "temporarily_unavailable"));
        assert_eq!(ready(&away).await, StatusCode::SERVICE_UNAVAILABLE, "its store is away");
        assert_eq!(asked(&away, "/readyz?exclude=store").await, StatusCode::OK);

        let alone = Probes::new(Drain::default());
        let nobody = service_fn(|_: http::Request<tonic::body::Body>| async {
            Ok::<_, TransportError>(tonic::Status::unavailable("connection refused").into_http())
        });
        alone.ask(TokenServiceClient::new(Transport::new(nobody)));
        for path in ["/readyz", "/readyz?exclude=store"] {
            assert_eq!(asked(&alone, path).await, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
        assert_eq!(asked(&alone, "/readyz?exclude=stores").await, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn many_who_ask_at_once_are_one_call() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let service = service_fn(move |_: http::Request<tonic::body::Body>| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, TransportError>(status(Code::NotFound, "invalid_client", "").into_http()) }
        });
        let probes = Probes::new(Drain::default());
        probes.ask(TokenServiceClient::new(Transport::new(service)));
        let answers = futures::future::join_all((0..100).map(|_| ready(&probes))).await;
        assert!(answers.into_iter().all(|answer| answer == StatusCode::OK));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}
