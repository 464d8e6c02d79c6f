//! The bearer check of an MCP request (RFC 6750 §2.1, §3).
//!
//! 1. A preflight is answered without a token.
//! 2. Without a token: 401 and where to sign in, whatever the method, before the body is read.
//! 3. A token that does not parse is refused without asking anybody.
//! 4. The rest is asked, through the cache. TokenService away is a 503, never a pass.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, Method, Response, StatusCode, header},
};
use grantd_oauth_types::{AccessToken, OAuthErrorCode, ScopeSet};
use grantd_proto::v1::{self, TokenAllowed, token_denied::Reason, verify_token_response::Result as Verdict};
use tokio::sync::Semaphore;
use tonic::Code;

use crate::{GateResource, Inner, answer, cors, metadata, proxy, streams::Registered};

/// Why a token does not pass.
pub(crate) enum Refused {
    /// 401.
    Invalid,
    /// 403, with the scopes the call needs.
    Scope(ScopeSet),
    /// 503.
    Unavailable,
}

pub(crate) async fn handle(gate: Arc<Inner>, at: usize, path: String, request: Request) -> Response<Body> {
    let mut response = match request.method() {
        &Method::OPTIONS => return cors::preflight("GET, POST, DELETE, OPTIONS"),
        _ => serve(gate, at, &path, request).await,
    };
    cors::apply(response.headers_mut());
    response
}

async fn serve(gate: Arc<Inner>, at: usize, path: &str, request: Request) -> Response<Body> {
    let refusal = match judge(&gate, at, request.headers()).await {
        Ok(admitted) => return proxy::forward(gate.clone(), at, path, request, admitted).await,
        Err(refusal) => refusal,
    };
    // Who asks first has not sent a body.
    if request.headers().contains_key(header::EXPECT) {
        return refusal;
    }
    answer::after_body(request.into_body(), refusal).await
}

/// Whether a request is let through, by its headers; else what it is answered.
async fn judge(gate: &Arc<Inner>, at: usize, headers: &HeaderMap) -> Result<Registered, Response<Body>> {
    let Some(resource) = gate.resource(at) else { return Err(answer::unavailable()) };
    let challenge = |code, scope: &ScopeSet| answer::challenge(&metadata::url(&gate.config, resource), code, scope);
    let token = match bearer(headers) {
        Bearer::None => return Err(challenge(None, &resource.default_scopes)),
        Bearer::Twice => {
            return Err(answer::error(StatusCode::BAD_REQUEST, "invalid_request", "send one Authorization header"));
        }
        Bearer::Token(text) => match AccessToken::parse(text) {
            Some(token) => token,
            None => {
                tracing::debug!(event = "gate.refused", reason = "malformed");
                return Err(challenge(Some(OAuthErrorCode::InvalidToken), &resource.default_scopes));
            }
        },
    };
    if let Some(origin) = headers.get(header::ORIGIN)
        && !cors::origin_allowed(&gate.config, origin)
    {
        tracing::info!(event = "gate.refused", reason = "origin");
        return Err(answer::error(
            StatusCode::FORBIDDEN,
            "invalid_request",
            "this origin is not allowed; see gate.allowed_origins",
        ));
    }
    admit(gate, at, resource, &token).await.map_err(|refused| match &*refused {
        Refused::Invalid => challenge(Some(OAuthErrorCode::InvalidToken), &resource.default_scopes),
        Refused::Scope(scope) => challenge(Some(OAuthErrorCode::InsufficientScope), scope),
        Refused::Unavailable => answer::unavailable(),
    })
}

/// Asks whether a token may call a resource. The call is registered from here on, so that a revocation which comes while
/// the upstream still thinks cuts the stream that it then answers with.
async fn admit(
    gate: &Inner,
    at: usize,
    resource: &GateResource,
    token: &AccessToken,
) -> Result<Registered, Arc<Refused>> {
    let verify = || gate.cache.answer((token.digest(), at), || ask(gate, resource, token));
    let answer = verify().await?;
    let admitted = gate.streams.register(answer.allowed.clone());
    if gate.cache.is_current(&answer) {
        return Ok(admitted);
    }
    // What was announced between the answer and the registration cut nothing: so once more, while it is registered.
    verify().await.map(|_| admitted)
}

async fn ask(gate: &Inner, resource: &GateResource, token: &AccessToken) -> Result<TokenAllowed, Refused> {
    let question = v1::VerifyTokenRequest {
        access_token: token.to_text(),
        resource: resource.identifier.as_str().to_owned(),
        required_scopes: required(resource),
    };
    let attempt = || {
        let (mut client, question) = (gate.tokens.clone(), question.clone());
        async move { client.verify_token(question).await }
    };
    verdict(gate, &gate.calls, resource, attempt).await
}

/// Asks whether the grant of an open stream still stands.
pub(crate) async fn verify_grant(gate: &Inner, resource: &GateResource, grant_id: &str) -> Result<(), Refused> {
    let question = v1::VerifyGrantRequest {
        grant_id: grant_id.to_owned(),
        resource: resource.identifier.as_str().to_owned(),
        required_scopes: required(resource),
    };
    let attempt = || {
        let (mut client, question) = (gate.tokens.clone(), question.clone());
        async move { client.verify_grant(question).await }
    };
    verdict(gate, &gate.confirmations, resource, attempt).await.map(drop)
}

fn required(resource: &GateResource) -> Vec<String> {
    resource.required_scopes.iter().map(ToString::to_string).collect()
}

/// How long to wait before each further attempt. A question changes nothing, so what a token service took along when it went
/// is asked again, of another where there is one.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(100)];

type Answer = Result<tonic::Response<v1::VerifyTokenResponse>, tonic::Status>;

async fn verdict<F: Future<Output = Answer>>(
    gate: &Inner,
    places: &Semaphore,
    resource: &GateResource,
    attempt: impl Fn() -> F,
) -> Result<TokenAllowed, Refused> {
    let Ok(_place) = places.try_acquire() else {
        tracing::warn!(event = "gate.overloaded", "too many questions to TokenService are under way");
        return Err(Refused::Unavailable);
    };
    let attempts = async {
        for pause in PAUSES {
            match attempt().await {
                // A client whose connection is gone says UNKNOWN.
                Err(status) if matches!(status.code(), Code::Unavailable | Code::Unknown) => {
                    tracing::debug!(event = "gate.verify_again", "TokenService is not reachable, trying again");
                    tokio::time::sleep(pause).await;
                }
                answered => return answered,
            }
        }
        attempt().await
    };
    let response = match tokio::time::timeout(gate.config.call_timeout, attempts).await {
        Ok(Ok(response)) => response.into_inner(),
        Ok(Err(status)) => {
            tracing::warn!(event = "gate.verify_failed", code = ?status.code(), "TokenService did not answer");
            return Err(Refused::Unavailable);
        }
        Err(_) => {
            tracing::warn!(event = "gate.verify_failed", "TokenService took too long");
            return Err(Refused::Unavailable);
        }
    };
    match response.result {
        Some(Verdict::Allowed(allowed)) => Ok(allowed),
        Some(Verdict::Denied(denied)) => {
            tracing::debug!(event = "gate.refused", reason = ?denied.reason());
            match denied.reason() {
                Reason::InsufficientScope => {
                    let needed = ScopeSet::parse_lenient(&denied.scope);
                    Err(Refused::Scope(needed.union(&resource.required_scopes)))
                }
                Reason::Unspecified | Reason::Malformed | Reason::Inactive | Reason::WrongResource => {
                    Err(Refused::Invalid)
                }
            }
        }
        None => Err(Refused::Unavailable),
    }
}

pub(crate) enum Bearer<'a> {
    None,
    Twice,
    Token(&'a str),
}

/// The bearer token; never from the query. Another scheme is no token.
pub(crate) fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Bearer::None };
    if values.next().is_some() {
        return Bearer::Twice;
    }
    let Ok(value) = value.to_str() else { return Bearer::Token("") };
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Bearer::Token(token.trim_matches(' ')),
        _ if value.trim().eq_ignore_ascii_case("bearer") => Bearer::Token(""),
        _ => Bearer::None,
    }
}
