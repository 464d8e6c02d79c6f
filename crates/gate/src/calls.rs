//! What single calls of a resource with rules need, and whether the token has it (RFC 6750 §3.1).
//!
//! 1. A POST is read whole, bounded in size and time; what cannot be read without doubt is refused ([`crate::message`]).
//! 2. The headers that repeat it must agree with it ([`crate::mirrored`]). With `trust_mcp_headers` they stand for it, and the
//!    body streams on unread.
//! 3. The rules say what it needs ([`crate::rules`]). What the token lacks is a 403 whose challenge names everything that is
//!    needed and everything that is granted: some clients ask for just what is listed.
//! 4. The bytes that were read are what the upstream gets.
//!
//! A GET opens a stream and a DELETE ends a session: neither carries a call, so neither may carry a body.
//!
//! What the token may do was answered by TokenService; here two sets are compared. A resource without rules never comes here.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderValue, Method, Response, StatusCode, header},
};
use grantd_oauth_types::{OAuthErrorCode, ScopeSet};
use grantd_proto::v1::TokenAllowed;
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::{
    GateResource, Inner, answer,
    hidden::Hidden,
    message,
    message::{Fault, Message},
    metadata,
    metrics::Refusal,
    mirrored,
    rules::{self, Names},
};

/// How long a body that must be read may take to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that may go on.
pub(crate) struct Passed {
    pub(crate) request: Request,
    /// What hides tools in its answer.
    pub(crate) hidden: Option<Hidden>,
    /// Whether it asks for a list of tools.
    pub(crate) is_list: bool,
}

impl Passed {
    fn new(resource: &GateResource, request: Request, granted: ScopeSet, is_list: bool) -> Self {
        let may_list = is_list || request.method() == Method::GET;
        let hidden = (resource.hide_forbidden_tools && may_list).then(|| Hidden::new(resource, granted));
        Self { request, hidden, is_list }
    }
}

/// Lets a call through that the token has the scopes for; else what it is answered.
pub(crate) async fn admit(
    gate: &Inner,
    resource: &GateResource,
    request: Request,
    allowed: &TokenAllowed,
) -> Result<Passed, Response<Body>> {
    if resource.rules.is_empty() {
        return Ok(Passed { request, hidden: None, is_list: false });
    }
    let granted = ScopeSet::parse_lenient(&allowed.scope);
    match *request.method() {
        Method::POST => {}
        Method::GET | Method::HEAD | Method::DELETE if request.body().is_end_stream() => {
            return Ok(Passed::new(resource, request, granted, false));
        }
        Method::GET | Method::HEAD | Method::DELETE => {
            let refusal = refused(gate, Fault::new(message::INVALID_REQUEST, "a body is for POST"));
            return Err(answer::after_body(request.into_body(), refusal).await);
        }
        _ => return Err(answer::after_body(request.into_body(), answer::method_not_allowed()).await),
    }
    if resource.trust_mcp_headers {
        let (method, name) = match mirrored::trusted(request.headers()) {
            Ok(trusted) => trusted,
            Err(fault) => return Err(answer::after_body(request.into_body(), refused(gate, fault)).await),
        };
        let name = name.map(|name| [name]);
        let names = name.as_ref().map_or(Names::Unknown, |name| Names::These(name));
        let needed = rules::needed(&resource.rules, &method, names);
        if let Some(refusal) = lacking(gate, resource, allowed, &granted, &needed, &method) {
            return Err(answer::after_body(request.into_body(), refusal).await);
        }
        return Ok(Passed::new(resource, request, granted, method == LIST));
    }
    if let Err(fault) = message::framing(request.headers()) {
        return Err(answer::after_body(request.into_body(), refused(gate, fault)).await);
    }
    let (parts, body) = request.into_parts();
    let body = read(gate, body).await?;
    let messages = message::read(&body).map_err(|fault| refused(gate, fault))?;
    mirrored::agree(&parts.headers, &messages).map_err(|fault| refused(gate, fault))?;
    let needed = rules::needed_by_all(&resource.rules, &messages);
    if let Some(refusal) = lacking(gate, resource, allowed, &granted, &needed, &shown(&messages)) {
        return Err(refusal);
    }
    let is_list = messages.iter().any(|message| message.method.as_deref() == Some(LIST));
    Ok(Passed::new(resource, Request::from_parts(parts, Body::from(body)), granted, is_list))
}

const LIST: &str = "tools/list";

/// For the log.
fn shown(messages: &[Message]) -> String {
    match messages {
        [only] => only.method.clone().unwrap_or_else(|| "a response".to_owned()),
        several => format!("a batch of {}", several.len()),
    }
}

async fn read(gate: &Inner, body: Body) -> Result<Bytes, Response<Body>> {
    match tokio::time::timeout(PATIENCE, Limited::new(body, gate.config.max_body).collect()).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(answer::too_large()),
        Ok(Err(_)) => Err(answer::error(StatusCode::BAD_REQUEST, "invalid_request", "the body broke off")),
        Err(_) => {
            let mut late =
                answer::error(StatusCode::REQUEST_TIMEOUT, "invalid_request", "the body did not arrive in time");
            late.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            Err(late)
        }
    }
}

/// The refusal of a call that needs more than is granted.
fn lacking(
    gate: &Inner,
    resource: &GateResource,
    allowed: &TokenAllowed,
    granted: &ScopeSet,
    needed: &ScopeSet,
    method: &str,
) -> Option<Response<Body>> {
    if granted.contains_all(needed) {
        return None;
    }
    gate.metrics.refused(Refusal::Scope);
    tracing::info!(event = "gate.insufficient_scope", resource = %resource.identifier, subject = %allowed.subject, client_id = %allowed.client_id, method, needed = %needed, "a call needs a scope that the token lacks");
    let all = granted.union(needed);
    Some(answer::challenge(&metadata::url(&gate.config, resource), Some(OAuthErrorCode::InsufficientScope), &all))
}

fn refused(gate: &Inner, fault: Fault) -> Response<Body> {
    gate.metrics.refused(Refusal::Message);
    tracing::debug!(event = "gate.refused", reason = "message", code = fault.code, text = fault.text);
    answer::rpc_error(fault.status, fault.id.as_deref(), fault.code, &fault.text)
}
