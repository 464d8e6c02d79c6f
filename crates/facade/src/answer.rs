//! Sending an answer to a client's redirect URI (RFC 6749 §4.1.2, §4.1.2.1, RFC 9207).
//!
//! 1. Parameters are appended to the URI, `state` byte for byte, `iss` when configured.
//! 2. The answer is a 302: callbacks are read with GET.
//! 3. On plain-http localhost the session ends and its cookie is cleared in the same answer, because the browser would
//!    bring it along to whatever listens on the other port.
//!
//! An error goes out as a redirect only to loopback and trusted hosts; everywhere else the person gets a page with a
//! link, because anybody may register a redirect URI and this host must not redirect to it unasked.

use axum::response::{IntoResponse as _, Response};
use grantd_oauth_types::{RedirectKind, RedirectUri};
use grantd_proto::v1::SignOutRequest;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    app::App,
    browser,
    call::{self, request_id},
    errors::Failure,
    pages,
};

/// The address an answer goes to: `params`, then `state` and `iss`.
pub(crate) fn location<'a>(
    app: &'a App,
    redirect: &RedirectUri,
    params: impl IntoIterator<Item = (&'a str, &'a str)>,
    state: Option<&'a str>,
) -> String {
    let iss = app.config.iss_parameter.then_some(("iss", app.config.public_url.as_str()));
    redirect.with_params(params.into_iter().chain(state.map(|state| ("state", state))).chain(iss))
}

/// Sends the browser to the client.
pub(crate) async fn redirect(app: &App, location: &str, session: Option<&str>) -> Response {
    let Ok(mut target) = HeaderValue::from_str(location) else {
        return pages::failure(app, &Failure::Internal);
    };
    target.set_sensitive(true);
    let mut response = StatusCode::FOUND.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, target);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    end_local_session(app, &mut response, session).await;
    response
}

/// On plain-http localhost: ends the session before the browser leaves for a client.
async fn end_local_session(app: &App, response: &mut Response, session: Option<&str>) {
    if app.cookie.leaks_to_other_ports() {
        if let Some(session) = session {
            sign_out(app, session).await;
        }
        response.headers_mut().insert(header::SET_COOKIE, app.cookie.clear());
    }
}

/// Ends a session. Best effort: the cookie is cleared in any case, and `call` has logged why it failed.
pub(crate) async fn sign_out(app: &App, session: &str) {
    let Ok(request_id) = request_id() else { return };
    let message = SignOutRequest { request_id, session_secret: session.to_owned() };
    let _ = call::sign_out(app, message).await;
}

/// Answers a failed authorization request: to the client where it may go there, else to the person.
pub(crate) async fn refuse(
    app: &App,
    headers: &HeaderMap,
    failure: &Failure,
    state: Option<&str>,
    session: Option<&str>,
) -> Response {
    failure.trace();
    let target = match failure {
        Failure::OAuth { error, redirect_uri: Some(uri) } => RedirectUri::parse(uri).ok().map(|uri| (error, uri)),
        _ => None,
    };
    let Some((error, redirect_uri)) = target else {
        return if browser::prefers_json(headers) { json(failure) } else { pages::failure(app, failure) };
    };
    let params = [("error", error.code.as_str()), ("error_description", error.description.as_str())];
    let location = location(app, &redirect_uri, params, state);
    if may_redirect(app, &redirect_uri) && !browser::is_from_own_page(headers) {
        redirect(app, &location, session).await
    } else if browser::prefers_json(headers) {
        json(failure)
    } else {
        // Measured: the link takes the cookie to the other port just as a redirect does.
        let mut response = pages::failure_with_link(app, error, &redirect_uri, &location);
        end_local_session(app, &mut response, session).await;
        response
    }
}

/// The failure for a program that looks ahead. It takes exactly 400 as the sign to register anew, so here even an unknown
/// client is just that.
fn json(failure: &Failure) -> Response {
    let mut response = failure.json();
    if matches!(failure, Failure::OAuth { .. }) {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    response
}

fn may_redirect(app: &App, redirect: &RedirectUri) -> bool {
    match redirect.kind() {
        RedirectKind::Loopback => true,
        RedirectKind::Https => {
            let trusted = &app.config.trusted_redirect_hosts;
            redirect.host().is_some_and(|host| trusted.iter().any(|trusted| trusted.eq_ignore_ascii_case(host)))
        }
        RedirectKind::PrivateUse => false,
    }
}
