//! `GET /.well-known/oauth-authorization-server`: authorization-server metadata (RFC 8414 §3).
//!
//! 1. At start the document is made from configuration alone and turned into bytes.
//! 2. It is served at the well-known address, and with the issuer's or a resource's path appended: older clients look
//!    there.
//! 3. Any other path below it is a JSON 404.
//!
//! No service is asked, so this never fails: every measured client gives up on a 5xx here. Absent members are left out;
//! a null breaks clients. There is no OpenID Connect document, because there are no ID tokens.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use grantd_oauth_types::{GrantType, ScopeSet, TokenEndpointAuthMethod};
use http::{Uri, header};
use serde::Serialize;

use crate::{FacadeConfig, app::Shared, errors};

const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// RFC 8414 §2, RFC 9207 §3.
#[derive(Serialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    registration_endpoint: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: Vec<&'static str>,
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    code_challenge_methods_supported: [&'static str; 1],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    introspection_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    /// Only where it is so: who reads it does not register.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id_metadata_document_supported: Option<bool>,
    /// Only when `iss` is sent: clients compare the two.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_response_iss_parameter_supported: Option<bool>,
}

/// The document's bytes.
pub(crate) fn document(config: &FacadeConfig) -> Bytes {
    let url = &config.public_url;
    let scopes = config.resources.iter().fold(ScopeSet::default(), |all, resource| all.union(&resource.scopes));
    // Those that SDKs choose from come first, and those of them that need nothing from the client before the others.
    let algorithms = &config.assertion_algorithms;
    let by_assertion = (!algorithms.is_empty()).then_some("private_key_jwt");
    let methods = || config.auth_methods.iter().map(|method| method.as_str()).chain(by_assertion);
    let document = Document {
        issuer: url.as_str().to_owned(),
        authorization_endpoint: url.join("/oauth/authorize"),
        token_endpoint: url.join("/oauth/token"),
        registration_endpoint: url.join("/oauth/register"),
        scopes_supported: scopes.iter().map(ToString::to_string).collect(),
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: GrantType::ALL.iter().map(|grant| grant.as_str()).collect(),
        token_endpoint_auth_methods_supported: methods().collect(),
        token_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
        code_challenge_methods_supported: ["S256"],
        revocation_endpoint: url.join("/oauth/revoke"),
        revocation_endpoint_auth_methods_supported: methods().collect(),
        revocation_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
        introspection_endpoint: url.join("/oauth/introspect"),
        introspection_endpoint_auth_methods_supported: methods()
            .filter(|method| *method != TokenEndpointAuthMethod::None.as_str())
            .collect(),
        introspection_endpoint_auth_signing_alg_values_supported: algorithms.clone(),
        client_id_metadata_document_supported: config.client_id_metadata_documents.then_some(true),
        authorization_response_iss_parameter_supported: config.iss_parameter.then_some(true),
    };
    // A struct of strings always serializes; an empty body would be a visible bug, not a hidden one.
    serde_json::to_vec(&document).unwrap_or_default().into()
}

/// Where else the document is served: the issuer's path, and each resource's with and without it.
pub(crate) fn paths(config: &FacadeConfig) -> Vec<String> {
    let base = config.public_url.path();
    let own = std::iter::once(base.to_owned());
    let resources = config.resources.iter().flat_map(|r| [r.path.clone(), format!("{base}{}", r.path)]);
    own.chain(resources).map(|path| path.trim_matches('/').to_owned()).collect()
}

/// The document.
pub(crate) async fn get(State(app): State<Shared>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=60")];
    (headers, app.metadata.clone()).into_response()
}

/// The document with a path appended, when it is one of ours.
pub(crate) async fn get_below(state: State<Shared>, uri: Uri) -> Response {
    // Not decoded: a path that is no text is just not there.
    let below = uri.path().split_once(WELL_KNOWN).map_or("", |(_, path)| path);
    if state.metadata_paths.iter().any(|known| known == below.trim_matches('/')) {
        get(state).await
    } else {
        errors::not_found().await
    }
}
