//! `POST /oauth/introspect`: token introspection (RFC 7662 §2).
//!
//! 1. The form and the client's credentials are read as at the token endpoint.
//! 2. IntrospectToken authenticates the client, which needs a secret or an assertion, and answers about its own tokens and those of
//!    resources that name it.
//! 3. Of any other token nothing is said but that it is not active (RFC 7662 §2.2).
//!
//! Left to others: resource servers that call TokenService themselves, with a service key.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use grantd_proto::v1::{IntrospectTokenRequest, IntrospectTokenResponse};
use http::{HeaderMap, header};
use serde::Serialize;

use crate::{
    app::{App, Shared},
    call::{self, request_id},
    client_auth,
    errors::Failure,
    form,
};

/// RFC 7662 §2.2. All but `active` are absent when it is false.
#[derive(Serialize)]
struct Introspected {
    active: bool,
    #[serde(flatten)]
    token: Option<Token>,
}

#[derive(Serialize)]
struct Token {
    scope: String,
    client_id: String,
    username: String,
    /// For access tokens only: it is the type of RFC 6749 §5.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    exp: i64,
    sub: String,
    aud: String,
    iss: String,
}

/// The endpoint.
#[tracing::instrument(name = "facade.introspect", skip_all, fields(error.type = tracing::field::Empty))]
pub(crate) async fn post(State(app): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    match introspect(&app, &headers, body).await {
        Ok(answer) => ([(header::CACHE_CONTROL, "no-store")], Json(introspected(&app, answer))).into_response(),
        Err(failure) => client_auth::failure(&failure, &headers),
    }
}

async fn introspect(app: &App, headers: &HeaderMap, body: Body) -> Result<IntrospectTokenResponse, Failure> {
    let params = form::body(headers, body, app.config.max_body).await?;
    let client = Some(client_auth::read(headers, &params)?);
    let token = form::required(&params, "token")?;
    call::introspect_token(app, IntrospectTokenRequest { request_id: request_id()?, token, client }).await
}

fn introspected(app: &App, answer: IntrospectTokenResponse) -> Introspected {
    let active = answer.active;
    let token = active.then(|| Token {
        scope: answer.scope,
        client_id: answer.client_id,
        username: answer.username,
        token_type: (answer.token_use == "access_token").then_some("Bearer"),
        exp: answer.expires_at,
        sub: answer.subject,
        aud: answer.audience,
        iss: app.config.public_url.as_str().to_owned(),
    });
    Introspected { active, token }
}
