//! `POST /oauth/revoke`: token revocation (RFC 7009 §2).
//!
//! 1. The form and the client's credentials are read as at the token endpoint.
//! 2. RevokeToken authenticates the client and revokes the whole grant of the token, when it is the client's: an access
//!    token without its refresh token is of no use, and a refresh token without its access tokens is not revoked.
//! 3. 200, also for a token that is unknown or over (RFC 7009 §2.2). `token_type_hint` is not needed: a token says what it is.

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use grantd_proto::v1::RevokeTokenRequest;
use http::{HeaderMap, StatusCode, header};

use crate::{
    app::{App, Shared},
    call::{self, request_id},
    client_auth,
    errors::Failure,
    form,
};

/// The endpoint.
#[tracing::instrument(name = "facade.revoke", skip_all, fields(error.type = tracing::field::Empty))]
pub(crate) async fn post(State(app): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    match revoke(&app, &headers, body).await {
        Ok(()) => (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response(),
        Err(failure) => client_auth::failure(&failure, &headers),
    }
}

async fn revoke(app: &App, headers: &HeaderMap, body: Body) -> Result<(), Failure> {
    let params = form::body(headers, body, app.config.max_body).await?;
    let client = Some(client_auth::read(headers, &params)?);
    let token = form::required(&params, "token")?;
    call::revoke_token(app, RevokeTokenRequest { request_id: request_id()?, client, token }).await.map(drop)
}
