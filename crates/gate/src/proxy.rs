//! Forwards a request that was let through, streaming both ways.
//!
//! 1. The body is bounded while it streams; a length that says too much is refused at once. It breaks off when its grant is
//!    revoked (`uploading`).
//! 2. Where the resource has rules, the call's own scopes are checked (`calls`).
//! 3. The upstream gets the method, the query, the headers that pass, and the person's identity.
//! 4. Its answer streams back without buffering (`passing`); only a list of tools from which some are to be hidden is read
//!    first (`hidden`). A client that hangs up drops the upstream's request.
//!
//! What goes wrong at the upstream is a 502, and a 504 where it is silent; neither names internals. The cause is logged, once.

use std::{io, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{Method, Response, StatusCode, Uri, header, uri::PathAndQuery},
};
use grantd_oauth_types::OAuthErrorCode;
use http_body::Body as _;
use http_body_util::{LengthLimitError, Limited};
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::GaiResolver},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{net::TcpStream, time::Instant};
use tower::{
    BoxError,
    timeout::{Timeout, error::Elapsed},
    util::BoxCloneSyncService,
};

use crate::{
    GateResource, Inner, answer, calls,
    headers::{self, MCP_SESSION_ID},
    hidden::Events,
    metadata,
    metrics::Refusal,
    passing::{self, Admitted, Looks},
    sessions,
    streams::Registered,
    uploading,
};

/// The connections to an upstream.
pub(crate) type Upstream = Client<BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>, Body>;

/// How long its name may be looked up. Not shorter: a resolver waits five seconds for each nameserver that is silent before it
/// asks the next.
const LOOKUP: Duration = Duration::from_secs(15);

/// How long connecting may take after that, over all of its addresses. One that answers nothing would otherwise hold the call for
/// as long as the kernel tries, some two minutes.
const CONNECT: Duration = Duration::from_secs(5);

/// Shorter than what servers usually wait (Node and uvicorn five seconds): a call that is sent on a connection while the
/// upstream closes it cannot be sent again, and would be a 502.
const IDLE: Duration = Duration::from_secs(4);

/// An answer that is not longer, in bytes, is passed on without looking after it: it is there at once.
const AT_ONCE: u64 = 64 << 10;

pub(crate) fn upstream(tls: Option<&rustls::ClientConfig>) -> Upstream {
    let mut http = HttpConnector::new_with_resolver(Timeout::new(GaiResolver::new(), LOOKUP));
    // TLS is the business of what wraps it.
    http.enforce_http(false);
    // The pieces of a body must not wait for each other.
    http.set_nodelay(true);
    // Each address gets its share, so that one that is silent leaves time for the others.
    http.set_connect_timeout(Some(CONNECT));
    let https = HttpsConnectorBuilder::new();
    let https = match tls {
        Some(tls) => https.with_tls_config(tls.clone()),
        None => https.with_webpki_roots(),
    };
    let https = https.https_or_http().enable_http1().wrap_connector(http);
    // The TLS handshake has what is left of both.
    let connector = BoxCloneSyncService::new(Timeout::new(https, LOOKUP + CONNECT));
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector)
}

pub(crate) async fn forward(
    gate: Arc<Inner>,
    at: usize,
    path: &str,
    request: Request,
    admitted: Registered,
) -> Response<Body> {
    let (Some(resource), Some(upstream)) = (gate.resource(at), gate.upstreams.get(at)) else {
        return answer::unavailable();
    };
    let (allowed, since) = (admitted.allowed.clone(), Instant::now());
    // A tunnel, and an echo of what the gate has added: neither is about a resource.
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return answer::method_not_allowed();
    }
    if request.headers().contains_key(header::UPGRADE) {
        return answer::error(StatusCode::BAD_REQUEST, "invalid_request", "upgrades are not supported");
    }
    if request.body().size_hint().lower() > gate.config.max_body as u64 {
        return answer::too_large();
    }
    let mut presented = request.headers().get_all(MCP_SESSION_ID).iter();
    let session = presented.next();
    if presented.next().is_some() {
        // Which of them counts is up to the upstream, so neither could be checked.
        return answer::error(StatusCode::BAD_REQUEST, "invalid_request", "send one Mcp-Session-Id header");
    }
    if let Some(session) = session
        && !gate.sessions.may_use(at, session.as_bytes(), &allowed.subject)
    {
        return foreign_session(&gate, &allowed.subject);
    }
    if let Some(query) = request.uri().query()
        && !gate.sessions.may_use_query(at, query, &allowed.subject)
    {
        return foreign_session(&gate, &allowed.subject);
    }
    let Some(uri) = target(resource, path, request.uri()) else {
        tracing::error!(event = "gate.upstream_url", "the upstream URL cannot be used");
        return bad_gateway();
    };

    let request = request.map(|body| uploading::body(&gate, at, &admitted, since, body));
    let passed = match calls::admit(&gate, resource, request, &allowed).await {
        Ok(passed) if !admitted.cut.is_cancelled() => passed,
        Err(refusal) if !admitted.cut.is_cancelled() => return refusal,
        _ => return taken_back(&gate, resource),
    };
    let calls::Passed { request, hidden, is_list } = passed;
    let is_get = request.method() == Method::GET;
    let (parts, body) = request.into_parts();
    let mut outgoing = Request::new(Body::new(Limited::new(body, gate.config.max_body)));
    *outgoing.method_mut() = parts.method;
    *outgoing.uri_mut() = uri;
    *outgoing.headers_mut() = headers::to_upstream(&parts.headers, &allowed.identity, &gate.origin);
    if hidden.is_some() {
        outgoing.headers_mut().remove(header::ACCEPT_ENCODING);
    }

    let sent = tokio::time::timeout(gate.config.upstream_timeout, upstream.request(outgoing)).await;
    let response = match sent {
        Ok(Ok(response)) => response,
        Ok(Err(_)) if admitted.cut.is_cancelled() => return taken_back(&gate, resource),
        Ok(Err(error)) if is_too_large(&error) => return answer::too_large(),
        Ok(Err(error)) if is_of_the_request(&error) => {
            return answer::error(StatusCode::BAD_REQUEST, "invalid_request", "the body broke off");
        }
        Ok(Err(error)) if error.is_connect() && took_too_long(&error) => {
            tracing::warn!(event = "upstream.timeout", resource = %resource.identifier, error = &error as &dyn std::error::Error, "the upstream could not be connected to in time");
            return gateway_timeout();
        }
        Ok(Err(error)) => {
            tracing::warn!(event = "upstream.unreachable", resource = %resource.identifier, error = &error as &dyn std::error::Error);
            return bad_gateway();
        }
        Err(_) => {
            tracing::warn!(event = "upstream.timeout", resource = %resource.identifier);
            return gateway_timeout();
        }
    };

    let status = response.status();
    let challenged = response.headers().contains_key(header::WWW_AUTHENTICATE);
    if status == StatusCode::UNAUTHORIZED || (status == StatusCode::FORBIDDEN && challenged) {
        tracing::error!(event = "upstream.unauthorized", resource = %resource.identifier, status = status.as_u16(), "the upstream asks for its own sign-in; turn that off, grantd has checked the token");
        return bad_gateway();
    }
    if status.is_redirection() && response.headers().contains_key(header::LOCATION) {
        let location =
            response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let location = location.split(['?', '#']).next().unwrap_or_default();
        tracing::error!(event = "upstream.redirect", resource = %resource.identifier, location, "the upstream redirects; configure the URL it redirects to");
        return bad_gateway();
    }
    if status.is_informational() {
        tracing::error!(event = "upstream.upgrade", resource = %resource.identifier, status = status.as_u16(), "the upstream switches protocols unasked");
        return bad_gateway();
    }
    for session in response.headers().get_all(MCP_SESSION_ID) {
        gate.sessions.opened(at, session.as_bytes(), &allowed.subject);
    }

    let (mut parts, body) = response.into_parts();
    let encoded = parts.headers.contains_key(header::CONTENT_ENCODING);
    headers::from_upstream(&mut parts.headers);
    let is_stream = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"));
    if encoded && hidden.is_some() && (is_stream || is_list) {
        tracing::error!(event = "upstream.encoded", resource = %resource.identifier, "the upstream compresses unasked, so no tool can be hidden");
        return bad_gateway();
    }
    if let Some(hidden) = hidden.as_ref().filter(|_| !is_stream && is_list) {
        let Ok(Some(body)) = tokio::time::timeout(gate.config.upstream_timeout, hidden.answer(body)).await else {
            tracing::error!(event = "upstream.unreadable", resource = %resource.identifier, "the list of tools is too large, or broke off");
            return bad_gateway();
        };
        parts.headers.remove(header::CONTENT_LENGTH);
        return match admitted.cut.is_cancelled() {
            true => answer::unavailable(),
            false => Response::from_parts(parts, body),
        };
    }
    if !is_stream && body.size_hint().exact().is_some_and(|size| size <= AT_ONCE) {
        return Response::from_parts(parts, Body::new(body));
    }
    if is_stream && hidden.is_some() {
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    let admitted = Admitted { gate, at, registered: admitted, since };
    let body = if is_stream {
        let address = is_get.then(sessions::Address::default);
        passing::stream(admitted, body, Looks { address, tools: hidden.map(Events::new) })
    } else {
        passing::answer(admitted, body)
    };
    Response::from_parts(parts, body)
}

fn foreign_session(gate: &Inner, subject: &str) -> Response<Body> {
    gate.metrics.refused(Refusal::Session);
    tracing::warn!(event = "gate.foreign_session", subject, "a session of another person was presented");
    answer::error(StatusCode::NOT_FOUND, "invalid_request", "no such session; initialize again")
}

/// While the body was on its way.
fn taken_back(gate: &Inner, resource: &GateResource) -> Response<Body> {
    gate.metrics.refused(Refusal::TakenBack);
    let metadata = metadata::url(&gate.config, resource);
    answer::challenge(&metadata, Some(OAuthErrorCode::InvalidToken), &resource.default_scopes)
}

fn bad_gateway() -> Response<Body> {
    answer::error(
        StatusCode::BAD_GATEWAY,
        "upstream_unavailable",
        "the server behind this gate cannot be used right now",
    )
}

fn gateway_timeout() -> Response<Body> {
    answer::error(StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", "the server behind this gate did not answer in time")
}

/// Takes the path of the public URL off a request, as a proxy in front may have done before.
pub(crate) fn strip(request: &mut Request, prefix: &str) {
    let Some(rest) = request.uri().path_and_query().and_then(|all| all.as_str().strip_prefix(prefix)) else { return };
    if prefix.is_empty() || !rest.starts_with('/') {
        return;
    }
    if let Ok(uri) = rest.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
}

/// The first path goes to the upstream URL itself, the others to the same path at its origin. The query is the request's.
pub(crate) fn target(resource: &GateResource, path: &str, request: &Uri) -> Option<Uri> {
    let is_first = resource.paths.first().is_some_and(|first| first.trim_end_matches('/') == path);
    let upstream_path = if is_first { resource.upstream.path() } else { request.path() };
    let path_and_query = match (request.query(), resource.upstream.query().filter(|_| is_first)) {
        (None, None) => upstream_path.to_owned(),
        (Some(query), None) | (None, Some(query)) => format!("{upstream_path}?{query}"),
        (Some(theirs), Some(ours)) => format!("{upstream_path}?{ours}&{theirs}"),
    };
    let authority = match (resource.upstream.host_str()?, resource.upstream.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    Uri::builder()
        .scheme(resource.upstream.scheme())
        .authority(authority)
        .path_and_query(path_and_query.parse::<PathAndQuery>().ok()?)
        .build()
        .ok()
}

/// The errors that led to an error, itself first.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

fn is_too_large(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<LengthLimitError>())
}

fn took_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::TimedOut)
    };
    causes(error).any(|cause| cause.is::<Elapsed>() || io(cause))
}

/// Whether it was the request's body that failed, not the upstream.
fn is_of_the_request(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_user)
}
