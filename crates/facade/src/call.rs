//! Calling the services: a deadline for each call, a few retries, request ids, and the log of what failed.
//!
//! A retry sends the same message with the same `request_id`, so a mutation that did happen is answered, not repeated
//! (see the conventions in `token_service.proto`).

use std::{net::SocketAddr, pin::Pin, time::Duration};

use axum::extract::{ConnectInfo, FromRequestParts};
use grantd_proto::v1;
use http::request::Parts;
use opentelemetry::KeyValue;
use rand::{TryRng as _, rngs::SysRng};
use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status};

use crate::{app::App, errors::Failure};

/// What an RPC answers. Boxed: through layers of generic futures the compiler loses sight of `Send`.
type Reply<R> = Pin<Box<dyn Future<Output = Result<Response<R>, Status>> + Send>>;

macro_rules! rpcs {
    ($($places:ident: $client:ident.$name:ident($message:ident) -> $answer:ident $(, patient if $is_patient:path)?;)+) => {$(
        /// The RPC of this name.
        pub(crate) async fn $name(app: &App, message: v1::$message) -> Result<v1::$answer, Failure> {
            let is_patient = false $(|| $is_patient(&message))?;
            let attempt = |request| -> Reply<v1::$answer> {
                let mut client = app.$client.clone();
                Box::pin(async move { client.$name(request).await })
            };
            call(stringify!($name), app, &app.$places, is_patient, message, attempt).await
        }
    )+};
}

rpcs! {
    calls: tokens.register_client(RegisterClientRequest) -> RegisterClientResponse;
    calls: tokens.begin_authorization(BeginAuthorizationRequest) -> BeginAuthorizationResponse;
    calls: tokens.approve_authorization(ApproveAuthorizationRequest) -> AuthorizationDecision;
    calls: tokens.deny_authorization(DenyAuthorizationRequest) -> AuthorizationDecision;
    calls: tokens.issue_token(IssueTokenRequest) -> IssueTokenResponse, patient if is_exchange;
    calls: tokens.revoke_token(RevokeTokenRequest) -> RevokeTokenResponse;
    calls: tokens.introspect_token(IntrospectTokenRequest) -> IntrospectTokenResponse;
    calls: tokens.get_client(GetClientRequest) -> Client;
    calls: tokens.update_client(UpdateClientRequest) -> Client;
    calls: tokens.delete_client(DeleteClientRequest) -> DeleteClientResponse;
    sign_ins: identity.sign_in(SignInRequest) -> SignInResponse;
    calls: identity.sign_out(SignOutRequest) -> SignOutResponse;
}

/// How long to wait before each further attempt. A lost answer is mended by one of them, and a service that is away is
/// reported after a moment.
const PAUSES: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(60), Duration::from_millis(180)];

/// A client cannot send a code twice (RFC 6749 §4.1.2): should its exchange fail, the person must sign in again. So it is sent
/// again for longer, this often and with this pause: four seconds in all. Clients wait for thirty.
const PATIENT: usize = 75;
const PATIENT_PAUSE: Duration = Duration::from_millis(50);

/// Whether a code is exchanged.
fn is_exchange(message: &v1::IssueTokenRequest) -> bool {
    matches!(message.grant, Some(v1::issue_token_request::Grant::AuthorizationCode(_)))
}

/// Calls a service within the configured time, trying again when it could not be reached. `rpc` is for the log.
async fn call<M: Clone, R>(
    rpc: &'static str,
    app: &App,
    places: &Semaphore,
    is_patient: bool,
    message: M,
    attempt: impl Fn(Request<M>) -> Reply<R>,
) -> Result<R, Failure> {
    let Ok(_place) = places.try_acquire() else {
        tracing::warn!(event = "facade.overloaded", rpc, "too many calls are under way");
        app.metrics.shed.add(1, &[KeyValue::new("rpc", rpc)]);
        return Err(Failure::Unavailable);
    };
    let timeout = app.config.call_timeout;
    let request = |message: M| {
        let mut request = Request::new(message);
        // Lets a busy service drop what nobody waits for any more.
        request.set_timeout(timeout);
        request
    };
    let attempts = async {
        for pause in PAUSES {
            let answer = attempt(request(message.clone())).await;
            if !is_away(&answer) {
                return answer;
            }
            tracing::debug!(rpc, "not reachable, trying again");
            app.metrics.retried.add(1, &[KeyValue::new("rpc", rpc)]);
            tokio::time::sleep(pause).await;
        }
        let mut answer = attempt(request(message.clone())).await;
        if !is_patient || !is_away(&answer) {
            return answer;
        }
        // Few wait for longer: those that pile up while a service is away must leave places for all others.
        let Ok(_place) = app.patient.try_acquire() else { return answer };
        for _ in 0..PATIENT {
            app.metrics.retried.add(1, &[KeyValue::new("rpc", rpc)]);
            tokio::time::sleep(PATIENT_PAUSE).await;
            answer = attempt(request(message.clone())).await;
            if !is_away(&answer) {
                break;
            }
        }
        answer
    };
    let status = match tokio::time::timeout(timeout, attempts).await {
        Ok(Ok(response)) => return Ok(response.into_inner()),
        Ok(Err(status)) => status,
        Err(_) => Status::deadline_exceeded("no answer in time"),
    };
    let failure = Failure::of(&status);
    match failure {
        Failure::Internal | Failure::Unavailable => {
            tracing::error!(rpc, code = ?status.code(), cause = status.message(), "a service call failed");
        }
        _ => {
            tracing::info!(event = "oauth.refused", rpc, error = failure.parts().1.as_str(), reason = status.message())
        }
    }
    Err(failure)
}

/// Whether the service could not be reached. A client whose connection is gone says UNKNOWN.
fn is_away<R>(answer: &Result<R, Status>) -> bool {
    answer.as_ref().is_err_and(|status| matches!(status.code(), Code::Unavailable | Code::Unknown))
}

/// A fresh request id: made once per HTTP request, so that repeating a call repeats nothing.
pub(crate) fn request_id() -> Result<Vec<u8>, Failure> {
    let mut id = vec![0; 32];
    SysRng.try_fill_bytes(&mut id).map_err(|error| {
        tracing::error!(%error, "no randomness");
        Failure::Internal
    })?;
    Ok(id)
}

/// The caller's address as text, for the security log; empty when the server does not say.
pub(crate) struct Remote(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Remote {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(address.map(|info| info.0.ip().to_canonical().to_string()).unwrap_or_default()))
    }
}
