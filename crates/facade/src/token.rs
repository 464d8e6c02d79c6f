//! `POST /oauth/token`: the token endpoint (RFC 6749 §4.1.3, §5, §6).
//!
//! 1. The form is read strictly; what cannot be read is `invalid_request`.
//! 2. The client's credentials are read from the header or the body (`client_auth`); without a client id it ends here
//!    with `invalid_client`, before any grant is looked at.
//! 3. The grant goes to IssueToken, which authenticates the client, decides and rotates.
//! 4. 200 with exactly the members of RFC 6749 §5.1, never stored by any cache.
//!
//! Under overload this answers 503 and never 429: a 429 throws SDK users into a new sign-in (measured).

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use grantd_oauth_types::{GrantType, OAuthErrorCode};
use grantd_proto::v1::{
    AuthorizationCodeGrant, IssueTokenRequest, IssueTokenResponse, RefreshTokenGrant, issue_token_request::Grant,
};
use http::{HeaderMap, header};
use serde::Serialize;

use crate::{
    app::{App, Shared},
    call::{self, Remote, request_id},
    client_auth,
    errors::Failure,
    form::{self, Params},
};

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct Issued {
    access_token: String,
    token_type: String,
    expires_in: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    refresh_token: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
}

/// The endpoint.
#[tracing::instrument(name = "facade.token", skip_all, fields(error.type = tracing::field::Empty))]
pub(crate) async fn post(State(app): State<Shared>, remote: Remote, headers: HeaderMap, body: Body) -> Response {
    match issue(&app, remote, &headers, body).await {
        Ok(token) => {
            let no_store = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
            (no_store, Json(issued(token))).into_response()
        }
        Err(failure) => client_auth::failure(&failure, &headers),
    }
}

async fn issue(
    app: &App,
    Remote(remote_address): Remote,
    headers: &HeaderMap,
    body: Body,
) -> Result<IssueTokenResponse, Failure> {
    let params = form::body(headers, body, app.config.max_body).await?;
    let message = IssueTokenRequest {
        request_id: request_id()?,
        client: Some(client_auth::read(headers, &params)?),
        grant: Some(grant(&params)?),
        resource: params.all("resource"),
        remote_address,
    };
    call::issue_token(app, message).await
}

/// The grant. Its values may be empty: the service refuses them after it has authenticated the client.
fn grant(params: &Params) -> Result<Grant, Failure> {
    let grant_type = params.text("grant_type")?;
    if grant_type.is_empty() {
        return Err(Failure::invalid_request("the grant_type is missing"));
    }
    match GrantType::parse(&grant_type) {
        Some(GrantType::AuthorizationCode) => Ok(Grant::AuthorizationCode(AuthorizationCodeGrant {
            code: params.text("code")?,
            redirect_uri: params.text("redirect_uri")?,
            code_verifier: params.text("code_verifier")?,
        })),
        Some(GrantType::RefreshToken) => Ok(Grant::RefreshToken(RefreshTokenGrant {
            refresh_token: params.text("refresh_token")?,
            scope: params.text("scope")?,
        })),
        None => Err(Failure::oauth(
            OAuthErrorCode::UnsupportedGrantType,
            "the grant type must be authorization_code or refresh_token",
        )),
    }
}

fn issued(token: IssueTokenResponse) -> Issued {
    let IssueTokenResponse { access_token, token_type, expires_in, refresh_token, scope } = token;
    Issued { access_token, token_type, expires_in, refresh_token, scope }
}
