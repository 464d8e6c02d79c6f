//! `POST /oauth/sign-in`: the sign-in form's target.
//!
//! 1. The form must come from our own page: else another site could sign the person in as somebody else.
//! 2. SignIn checks the password; the service slows guessing down.
//! 3. Right: the session goes into the cookie, and a 303 leads back to the authorization request the form carried along.
//!    It can lead nowhere else: only the query is taken from the form.
//! 4. Wrong: the form again, with the user name and without the password.
//!
//! Passwords, users and sessions are the IdentityService's.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use grantd_proto::v1::SignInRequest;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    answer,
    app::{App, Shared},
    authorize::{Asked, Step, begin},
    browser,
    call::{self, Remote, request_id},
    errors::Failure,
    form::{self, Params},
    pages::{self, Retry},
};

/// The endpoint.
#[tracing::instrument(name = "facade.sign_in", skip_all, fields(error.type = tracing::field::Empty))]
pub(crate) async fn post(State(app): State<Shared>, remote: Remote, headers: HeaderMap, body: Body) -> Response {
    if !browser::is_own_form(&headers, &app.origin) {
        return pages::foreign_form(&app);
    }
    let read = async {
        let params = form::body(&headers, body, app.config.max_body).await?;
        let asked = Asked::parse(params.one("continue")?.unwrap_or_default())?;
        Ok((params, asked))
    };
    let (params, asked) = match read.await {
        Ok(read) => read,
        Err(failure) => return pages::failure(&app, &failure),
    };
    match sign_in(&app, &params, remote).await {
        Ok(cookie) => {
            let mut response = back(&app, &asked.query);
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response
        }
        Err(failure @ (Failure::WrongCredentials | Failure::SlowDown)) => {
            let username = params.text("username").unwrap_or_default();
            again(&app, &headers, &asked, &username, &failure).await
        }
        Err(failure) => pages::failure(&app, &failure),
    }
}

/// Signs in; answers the cookie to set.
async fn sign_in(app: &App, params: &Params, Remote(remote_address): Remote) -> Result<HeaderValue, Failure> {
    let message = SignInRequest {
        request_id: request_id()?,
        username: params.text("username")?,
        password: params.text("password")?,
        remote_address,
    };
    let answer = call::sign_in(app, message).await?;
    app.cookie.set(&answer.session_secret, answer.expires_in).ok_or(Failure::Internal)
}

/// Back to the authorization request, to be fetched with GET.
pub(crate) fn back(app: &App, query: &str) -> Response {
    let location = app.link(&format!("/oauth/authorize?{query}"));
    let Ok(location) = HeaderValue::try_from(location) else { return pages::failure(app, &Failure::Internal) };
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The form once more. Asking without a session says who asks, and writes nothing.
async fn again(app: &App, headers: &HeaderMap, asked: &Asked, username: &str, failure: &Failure) -> Response {
    let (client, redirect_uri) = match begin(app, asked, None).await {
        Ok(Step::SignIn { client, redirect_uri } | Step::Consent { client, redirect_uri, .. }) => {
            (client, redirect_uri)
        }
        Err(failure) => return answer::refuse(app, headers, &failure, asked.state(), None).await,
    };
    let retry = Retry { username, slow_down: *failure == Failure::SlowDown };
    let mut response = pages::sign_in(app, &client, &redirect_uri, &asked.query, Some(retry));
    *response.status_mut() = failure.parts().0;
    failure.add_retry_after(response.headers_mut());
    response
}
