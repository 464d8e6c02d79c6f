//! `POST /oauth/register`: dynamic client registration (RFC 7591 §3).
//!
//! 1. The JSON is read leniently where clients differ: unknown members are ignored and `null` means absent. A member of
//!    the wrong type is refused.
//! 2. RegisterClient judges the metadata, fills in defaults and drops what it does not support.
//! 3. 201 echoes what was registered. Absent members are left out: a single `null` breaks most clients. A secret is
//!    there only for methods that use one; clients use whatever secret they are given.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use grantd_oauth_types::OAuthErrorCode;
use grantd_proto::v1::{ClientMetadata, RegisterClientRequest, RegisterClientResponse};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    app::{App, Shared},
    call::{self, Remote, request_id},
    errors::Failure,
    form,
};

/// More redirect URIs than any client has; the service need not look at more.
const MAX_REDIRECT_URIS: usize = 100;

/// Set by whoever serves this router, never by a client: a label by which the traces of the client's flow are found.
const FLOW_ID: &str = "x-grantd-flow-id";

/// RFC 7591 §3.2.1.
#[derive(Serialize)]
pub(crate) struct Registered {
    client_id: String,
    client_id_issued_at: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_secret: String,
    /// 0: it does not expire. There exactly when the secret is.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u8>,
    redirect_uris: Vec<String>,
    token_endpoint_auth_method: String,
    grant_types: Vec<String>,
    response_types: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    client_uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    logo_uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contacts: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    tos_uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    policy_uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    software_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    software_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    application_type: String,
    /// RFC 7592 §3; both or neither.
    #[serde(skip_serializing_if = "String::is_empty")]
    registration_client_uri: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    registration_access_token: String,
}

/// The endpoint.
#[tracing::instrument(name = "facade.register", skip_all, fields(error.type = tracing::field::Empty))]
pub(crate) async fn post(State(app): State<Shared>, remote: Remote, headers: HeaderMap, body: Body) -> Response {
    match register(&app, remote, &headers, body).await {
        Ok(registered) => {
            let no_store = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
            (StatusCode::CREATED, no_store, Json(registered)).into_response()
        }
        Err(failure) => failure.json_or_429(),
    }
}

async fn register(
    app: &App,
    Remote(remote_address): Remote,
    headers: &HeaderMap,
    body: Body,
) -> Result<Registered, Failure> {
    let metadata = read(&form::bytes(body, app.config.max_body).await?)?;
    let flow_id = headers.get(FLOW_ID).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let metadata = Some(metadata);
    let message = RegisterClientRequest { request_id: request_id()?, metadata, remote_address, flow_id };
    answer(app, call::register_client(app, message).await?)
}

/// The answer, with the address at which the registration is managed.
pub(crate) fn answer(app: &App, answer: RegisterClientResponse) -> Result<Registered, Failure> {
    let mut registered = registered(answer).ok_or_else(|| {
        tracing::error!("the service answered without a client");
        Failure::Internal
    })?;
    if !registered.registration_access_token.is_empty() {
        let path = format!("/oauth/register/{}", registered.client_id);
        registered.registration_client_uri = app.config.public_url.join(&path);
    }
    Ok(registered)
}

pub(crate) fn registered(answer: RegisterClientResponse) -> Option<Registered> {
    let client = answer.client?;
    let metadata = client.metadata?;
    // Never a secret for a public client, whatever the service says: clients would start to use it.
    let secret = if metadata.token_endpoint_auth_method == "none" { String::new() } else { answer.client_secret };
    Some(Registered {
        client_id: client.client_id,
        client_id_issued_at: client.client_id_issued_at,
        client_secret_expires_at: (!secret.is_empty()).then_some(0),
        client_secret: secret,
        redirect_uris: metadata.redirect_uris,
        token_endpoint_auth_method: metadata.token_endpoint_auth_method,
        grant_types: metadata.grant_types,
        response_types: metadata.response_types,
        client_name: metadata.client_name,
        client_uri: metadata.client_uri,
        logo_uri: metadata.logo_uri,
        scope: metadata.scope,
        contacts: metadata.contacts,
        tos_uri: metadata.tos_uri,
        policy_uri: metadata.policy_uri,
        software_id: metadata.software_id,
        software_version: metadata.software_version,
        application_type: metadata.application_type,
        registration_client_uri: String::new(),
        registration_access_token: answer.registration_access_token,
    })
}

/// What an update says of who it is about (RFC 7592 §2.2).
pub(crate) struct Claims {
    /// Empty when absent.
    pub(crate) client_secret: String,
}

/// Reads them. What only the server may say is refused, and so is another client's id.
pub(crate) fn claims(body: &[u8], client_id: &str) -> Result<Claims, Failure> {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
        return Err(refused("the body must be a JSON object"));
    };
    let given = |name: &str| members.get(name).is_some_and(|value| !value.is_null());
    for name in
        ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"]
    {
        if given(name) {
            return Err(refused(format!("{name} is for the server to say; leave it out")));
        }
    }
    if text(&members, "client_id")? != client_id {
        return Err(refused("client_id must be there, and be that of the address"));
    }
    Ok(Claims { client_secret: text(&members, "client_secret")? })
}

fn refused(description: impl AsRef<str>) -> Failure {
    Failure::oauth(OAuthErrorCode::InvalidClientMetadata, description)
}

/// Reads client metadata.
pub(crate) fn read(body: &[u8]) -> Result<ClientMetadata, Failure> {
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
        return Err(refused("the body must be a JSON object"));
    };
    let redirect_uris = texts(&members, "redirect_uris")?;
    if redirect_uris.len() > MAX_REDIRECT_URIS {
        return Err(Failure::oauth(OAuthErrorCode::InvalidRedirectUri, "at most 100 redirect URIs may be registered"));
    }
    Ok(ClientMetadata {
        redirect_uris,
        token_endpoint_auth_method: text(&members, "token_endpoint_auth_method")?,
        grant_types: texts(&members, "grant_types")?,
        response_types: texts(&members, "response_types")?,
        client_name: text(&members, "client_name")?,
        client_uri: text(&members, "client_uri")?,
        logo_uri: text(&members, "logo_uri")?,
        scope: text(&members, "scope")?,
        contacts: texts(&members, "contacts")?,
        tos_uri: text(&members, "tos_uri")?,
        policy_uri: text(&members, "policy_uri")?,
        software_id: text(&members, "software_id")?,
        software_version: text(&members, "software_version")?,
        application_type: text(&members, "application_type")?,
    })
}

/// A text member; empty when absent.
fn text(members: &Map<String, Value>, name: &str) -> Result<String, Failure> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if !text.contains('\0') => Ok(text.clone()),
        Some(_) => Err(refused(format!("{name} must be a text"))),
    }
}

/// A member that is a list of texts; empty when absent.
fn texts(members: &Map<String, Value>, name: &str) -> Result<Vec<String>, Failure> {
    let wrong = || refused(format!("{name} must be a list of texts"));
    match members.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| match value {
                Value::String(text) if !text.contains('\0') => Ok(text.clone()),
                _ => Err(wrong()),
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lenient_where_clients_differ() {
        for body in [
            r#"{}"#,
            r#"{"redirect_uris":["https://a.example/cb"],"unknown":{"deep":[1,null]},"jwks":{"keys":[]}}"#,
            r#"{"client_name":null,"contacts":null,"redirect_uris":null}"#,
            r#"{"scope":"","grant_types":["authorization_code","urn:ietf:params:oauth:grant-type:device_code"]}"#,
        ] {
            read(body.as_bytes()).unwrap_or_else(|failure| panic!("{body}: {failure:?}"));
        }
    }

    #[test]
    fn wrong_types_are_refused() {
        for body in [
            "",
            "null",
            "[]",
            "\"x\"",
            "{",
            "{\"client_name\":\"\u{0}\"}",
            r#"{"client_name":"a\u0000b"}"#,
            r#"{"client_name":1}"#,
            r#"{"scope":["a"]}"#,
            r#"{"redirect_uris":"https://a.example/cb"}"#,
            r#"{"redirect_uris":["https://a.example/cb",null]}"#,
            r#"{"grant_types":{}}"#,
            r#"{"client_name":"\ud800"}"#,
        ] {
            let Err(Failure::OAuth { error, .. }) = read(body.as_bytes()) else { panic!("{body}") };
            assert_eq!(error.code, OAuthErrorCode::InvalidClientMetadata, "{body}");
        }
        assert!(read(b"{\"client_name\":\"\xff\"}").is_err());
        assert!(read("[".repeat(100_000).as_bytes()).is_err());
        let many = serde_json::json!({ "redirect_uris": vec!["https://a.example/"; 101] }).to_string();
        let Err(Failure::OAuth { error, .. }) = read(many.as_bytes()) else { panic!() };
        assert_eq!(error.code, OAuthErrorCode::InvalidRedirectUri);
    }

    proptest! {
        #[test]
        fn no_input_panics(body in "\\PC{0,80}") {
            let _ = read(body.as_bytes());
        }
    }
}
