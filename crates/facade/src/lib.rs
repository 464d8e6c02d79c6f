//! The facade: OAuth and HTML outside, gRPC inside.
//!
//! It speaks to clients (RFC 6749, 7591, 8414, 9207) and to people, and turns each request into calls of the
//! TokenService and the IdentityService. It only translates: what is valid, granted or refused is decided there. It
//! holds no token and no rule, so any number of facades may run side by side.
//!
//! The way through it, one file per endpoint:
//!
//! 1. `metadata` tells a client where the endpoints are, without asking any service;
//! 2. `register` gives it a client id;
//! 3. `authorize` checks its request and shows the sign-in form or the consent page;
//! 4. `sign_in` (and `sign_out`) open and end the person's session, which `cookie` carries;
//! 5. `approve` and `deny` send the person's answer to the client (`decision`, `answer`);
//! 6. `token` exchanges codes and refresh tokens;
//! 7. `revoke`, `introspect` and `manage` take back, describe, and change what a client has.
//!
//! `home` answers a person who opens the root, and what is not there.
//!
//! What they share: `form` reads parameters strictly, `client_auth` finds out who calls the token endpoint,
//! `call` gives each RPC its deadline, `errors` maps what comes back, `pages` renders, `text` makes untrusted
//! text fit to show, `browser` judges where a request came from, `cors` lets web clients in.
//!
//! Left to others: `/mcp` and the protected-resource metadata (`grantd-gate`), TLS, limits on connections, and the
//! trace context of a call (the transport that is handed in).

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    middleware::{from_fn, map_response},
    routing::{get, post},
};
use grantd_oauth_types::{PublicUrl, ScopeSet, TokenEndpointAuthMethod};
use grantd_proto::{IdentityServiceClient, TokenServiceClient};
use tower_http::catch_panic::CatchPanicLayer;

mod answer;
mod app;
mod approve;
mod authorize;
mod browser;
mod call;
mod clicks;
mod client_auth;
mod cookie;
mod cors;
mod decision;
mod deny;
mod destination;
mod errors;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod home;
mod introspect;
mod manage;
mod metadata;
mod metrics;
mod pages;
mod register;
mod revoke;
mod sign_in;
mod sign_out;
mod text;
mod token;

#[cfg(test)]
mod tests;

/// What the facade must be told. Nothing of it is ever taken from a request.
#[derive(Debug, Clone)]
pub struct FacadeConfig {
    /// The issuer and the origin of every endpoint.
    pub public_url: PublicUrl,
    /// The protected resources, for the metadata: their paths and what may be asked for.
    pub resources: Vec<FacadeResource>,
    /// Hosts that an authorization error may be redirected to at once, beside loopback. Compared whole, in lower case.
    /// Everybody may register a client, so any other host gets a page with a link: this host is no open redirector.
    pub trusted_redirect_hosts: Vec<String>,
    /// How clients may authenticate at the token endpoint, for the metadata.
    pub auth_methods: Vec<TokenEndpointAuthMethod>,
    /// By which client assertions may be signed (`private_key_jwt`), for the metadata; empty where none are taken.
    pub assertion_algorithms: Vec<&'static str>,
    /// Whether clients may have the URL of a metadata document as their id: said in the metadata, and then they do.
    pub client_id_metadata_documents: bool,
    /// Whether answers carry `iss`, and the metadata says so (RFC 9207). Off only for clients that break on it.
    pub iss_parameter: bool,
    /// The longest a gRPC call may take, its retries included.
    pub call_timeout: Duration,
    /// How many gRPC calls may be under way; beyond that a request is answered 503 at once.
    pub max_calls: usize,
    /// The largest request body in bytes.
    pub max_body: usize,
}

/// A protected resource, as far as the facade must know it.
#[derive(Debug, Clone)]
pub struct FacadeResource {
    /// Its path below the public URL, such as `/mcp`.
    pub path: String,
    /// The scopes a client may ask for there.
    pub scopes: ScopeSet,
}

/// The facade's routes, with a fallback: a page for people at the root, 404 in JSON elsewhere.
///
/// Every endpoint is served at the root and, when the public URL has a path, below that path too: whether the proxy in
/// front strips it does not matter. The remote address is read from [`axum::extract::ConnectInfo`] when it is there.
pub fn router(config: FacadeConfig, tokens: TokenServiceClient, identity: IdentityServiceClient) -> Router {
    let app = Arc::new(app::App::new(config, tokens, identity));
    metrics::watch(&app);

    // For programs, also from other origins. The 405 answers are set before the CORS layer so that it covers them.
    let api = Router::new()
        .route("/oauth/register", post(register::post))
        .route("/register", post(register::post))
        .route("/oauth/register/{client_id}", get(manage::get).put(manage::put).delete(manage::delete))
        .route("/oauth/token", post(token::post))
        .route("/token", post(token::post))
        .route("/oauth/revoke", post(revoke::post))
        .route("/oauth/introspect", post(introspect::post))
        .route("/.well-known/oauth-authorization-server", get(metadata::get))
        .route("/.well-known/oauth-authorization-server/", get(metadata::get))
        .route("/.well-known/oauth-authorization-server/{*path}", get(metadata::get_below))
        .route("/.well-known/openid-configuration", get(errors::not_found))
        .route("/.well-known/openid-configuration/{*path}", get(errors::not_found))
        .method_not_allowed_fallback(errors::method_not_allowed)
        .layer(from_fn(cors::layer));

    // For people. HEAD on a decision is refused: whoever sends it wants no decision.
    let people = Router::new()
        .route("/oauth/authorize", get(authorize::get))
        .route("/authorize", get(authorize::get))
        .route("/oauth/authorize/approve", get(approve::get).head(errors::method_not_allowed))
        .route("/oauth/authorize/deny", get(deny::get).head(errors::method_not_allowed))
        .route("/oauth/sign-in", post(sign_in::post))
        .route("/oauth/sign-out", get(sign_out::get).post(sign_out::post))
        .method_not_allowed_fallback(errors::method_not_allowed);

    let endpoints = api.merge(people);
    let mut router = endpoints.clone();
    if !app.base.is_empty() {
        // The path comes from configuration: a segment that starts with `:` or `*` is meant literally.
        router = router.without_v07_checks().nest(&app.base, endpoints);
    }
    router
        .fallback(home::fallback)
        .layer(map_response(errors::no_sniffing))
        // Outermost, so that nothing that runs here can take the connection down.
        .layer(CatchPanicLayer::custom(errors::panicked))
        .with_state(app)
}
