//! `/oauth/sign-out`: ends the person's session.
//!
//! 1. GET shows a page with a button; it changes nothing, so a link or an image cannot sign anybody out.
//! 2. POST, from our own page only, ends the session and clears the cookie.
//! 3. From a consent page ("Not you?") the form carries the authorization request along, and a 303 leads back to it.
//!
//! Grants live on: signing out here takes nothing back from clients.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, header};

use crate::{answer, app::Shared, authorize::Asked, browser, form, pages, sign_in::back};

/// The page with the button.
pub(crate) async fn get(State(app): State<Shared>) -> Response {
    pages::sign_out(&app).into_response()
}

/// Ends the session.
#[tracing::instrument(name = "facade.sign_out", skip_all, fields(error.type = tracing::field::Empty))]
pub(crate) async fn post(State(app): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    if !browser::is_own_form(&headers, &app.origin) {
        return pages::foreign_form(&app);
    }
    let read = async {
        let params = form::body(&headers, body, app.config.max_body).await?;
        params.one("continue")?.filter(|query| !query.is_empty()).map(Asked::parse).transpose()
    };
    let asked = match read.await {
        Ok(asked) => asked,
        Err(failure) => return pages::failure(&app, &failure),
    };
    if let Some(session) = app.cookie.read(&headers) {
        answer::sign_out(&app, &session).await;
    }
    let mut response = match asked {
        Some(asked) => back(&app, &asked.query),
        None => pages::signed_out(&app),
    };
    response.headers_mut().insert(header::SET_COOKIE, app.cookie.clear());
    response
}
