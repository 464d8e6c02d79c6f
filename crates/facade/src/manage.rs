//! `/oauth/register/{client_id}`: a client manages its registration (RFC 7592).
//!
//! 1. `Authorization: Bearer` holds the registration access token that the registration answered. A 401 says nothing of
//!    whether there is such a client.
//! 2. GET reads, PUT replaces (what is left out goes back to its default, as at registration), DELETE ends the
//!    registration and every grant of the client.
//! 3. The answer is that of a registration, with the token as it was sent and without the secret: of both only a digest
//!    is kept.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use grantd_oauth_types::OAuthErrorCode;
use grantd_proto::v1::{Client, DeleteClientRequest, GetClientRequest, RegisterClientResponse, UpdateClientRequest};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    app::{App, Shared},
    call::{self, request_id},
    errors::Failure,
    form,
    register::{self, Registered},
};

/// Reads the registration (RFC 7592 §2.1).
#[tracing::instrument(name = "facade.registration.read", skip_all, fields(error.type = tracing::field::Empty))]
pub(crate) async fn get(state: State<Shared>, id: Path<String>, headers: HeaderMap) -> Response {
    answer(read(&state, id.0, &headers).await)
}

/// Replaces the metadata (RFC 7592 §2.2).
#[tracing::instrument(name = "facade.registration.update", skip_all, fields(error.type = tracing::field::Empty))]
pub(crate) async fn put(state: State<Shared>, id: Path<String>, headers: HeaderMap, body: Body) -> Response {
    answer(update(&state, id.0, &headers, body).await)
}

/// Ends the registration (RFC 7592 §2.3).
#[tracing::instrument(name = "facade.registration.delete", skip_all, fields(error.type = tracing::field::Empty))]
pub(crate) async fn delete(state: State<Shared>, id: Path<String>, headers: HeaderMap) -> Response {
    match end(&state, id.0, &headers).await {
        Ok(()) => (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store")]).into_response(),
        Err(failure) => refused(&failure),
    }
}

async fn read(app: &App, client_id: String, headers: &HeaderMap) -> Result<Registered, Failure> {
    let registration_access_token = token(headers)?;
    let message = GetClientRequest { client_id, registration_access_token: registration_access_token.clone() };
    registered(app, call::get_client(app, message).await?, registration_access_token)
}

async fn update(app: &App, client_id: String, headers: &HeaderMap, body: Body) -> Result<Registered, Failure> {
    let registration_access_token = token(headers)?;
    let body = form::bytes(body, app.config.max_body).await?;
    let metadata = register::read(&body)?;
    let claims = register::claims(&body, &client_id)?;
    let message = UpdateClientRequest {
        request_id: request_id()?,
        client_id,
        metadata: Some(metadata),
        registration_access_token: registration_access_token.clone(),
        client_secret: claims.client_secret,
    };
    registered(app, call::update_client(app, message).await?, registration_access_token)
}

async fn end(app: &App, client_id: String, headers: &HeaderMap) -> Result<(), Failure> {
    let registration_access_token = token(headers)?;
    let message = DeleteClientRequest { request_id: request_id()?, client_id, registration_access_token };
    call::delete_client(app, message).await.map(drop)
}

/// The registration access token. Never empty: without one the service would take the facade for the one who asks.
pub(crate) fn token(headers: &HeaderMap) -> Result<String, Failure> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (first, second) = (values.next(), values.next());
    let bearer = first.filter(|_| second.is_none()).and_then(|value| value.to_str().ok());
    let token =
        bearer.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match token.map(|(_, token)| token.trim()) {
        Some(token) if !token.is_empty() => Ok(token.to_owned()),
        _ => Err(Failure::oauth(
            OAuthErrorCode::InvalidToken,
            "send the registration access token as Authorization: Bearer",
        )),
    }
}

fn registered(app: &App, client: Client, registration_access_token: String) -> Result<Registered, Failure> {
    let client = Some(client);
    register::answer(app, RegisterClientResponse { client, client_secret: String::new(), registration_access_token })
}

fn answer(outcome: Result<Registered, Failure>) -> Response {
    match outcome {
        Ok(registered) => {
            let no_store = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
            (no_store, Json(registered)).into_response()
        }
        Err(failure) => refused(&failure),
    }
}

fn refused(failure: &Failure) -> Response {
    let mut response = failure.json();
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
