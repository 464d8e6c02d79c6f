//! Protected-resource metadata (RFC 9728): where to sign in. Ready-made, and served without asking anybody.

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Method, Response, StatusCode, header},
    routing::any,
};
use bytes::Bytes;

use crate::{GateConfig, GateResource, answer, cors};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The URL of a resource's document, for challenges.
pub(crate) fn url(config: &GateConfig, resource: &GateResource) -> String {
    format!("{}{WELL_KNOWN}{}", config.public_url.origin(), document_path(config, resource))
}

/// The well-known path is inserted between origin and path (RFC 9728 §3.1).
fn document_path(config: &GateConfig, resource: &GateResource) -> String {
    let path = resource.paths.first().map_or("", |path| path.trim_end_matches('/'));
    format!("{}{path}", config.public_url.path())
}

fn document(config: &GateConfig, resource: &GateResource) -> Bytes {
    let scopes: Vec<&str> = resource.scopes.iter().map(grantd_oauth_types::Scope::as_str).collect();
    let document = serde_json::json!({
        "resource": resource.identifier.as_str(),
        "authorization_servers": [config.public_url.as_str()],
        "scopes_supported": scopes,
        "bearer_methods_supported": ["header"],
        "resource_name": resource.name,
    });
    Bytes::from(document.to_string())
}

fn serve(method: &Method, document: Option<Bytes>) -> Response<Body> {
    let mut response = match (method, document) {
        (&Method::OPTIONS, _) => return cors::preflight("GET, HEAD, OPTIONS"),
        (&Method::GET | &Method::HEAD, Some(document)) => {
            let mut response = Response::new(Body::from(document));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
            response
        }
        (_, None) => answer::error(StatusCode::NOT_FOUND, "not_found", "no such resource is protected here"),
        (_, Some(_)) => {
            let mut response = answer::error(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "use GET");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            response
        }
    };
    cors::apply(response.headers_mut());
    response
}

/// The root document, one for each path of each resource, and a JSON 404 for everything else below.
pub(crate) fn routes(config: &GateConfig) -> Router {
    let mut documents = std::collections::BTreeMap::new();
    let base = config.public_url.path();
    let all: Vec<_> = config.resources.iter().map(|resource| (resource, document(config, resource))).collect();
    // What is published goes before what is only tolerated: `/.well-known/../base/mcp` is no resource at `/base/mcp`.
    for (resource, bytes) in &all {
        for path in &resource.paths {
            let path = path.trim_end_matches('/');
            documents.entry(format!("{WELL_KNOWN}{base}{path}")).or_insert_with(|| bytes.clone());
        }
        documents.entry(WELL_KNOWN.to_owned()).or_insert_with(|| bytes.clone());
    }
    for (resource, bytes) in &all {
        for path in &resource.paths {
            documents.entry(format!("{WELL_KNOWN}{}", path.trim_end_matches('/'))).or_insert_with(|| bytes.clone());
        }
    }
    let documents = std::sync::Arc::new(documents);
    let below = base.to_owned();
    let handler = any(move |request: axum::extract::Request| {
        let path = request.uri().path().trim_end_matches('/');
        // Also where the issuer's path comes first, as clients look that do not insert.
        let path = path.strip_prefix(&below).filter(|rest| rest.starts_with(WELL_KNOWN)).unwrap_or(path);
        let answer = serve(request.method(), documents.get(path).cloned());
        async move { answer }
    });
    let bases = if base.is_empty() { vec![""] } else { vec!["", base] };
    bases.into_iter().fold(Router::new().without_v07_checks(), |router, base| {
        [format!("{base}{WELL_KNOWN}"), format!("{base}{WELL_KNOWN}/"), format!("{base}{WELL_KNOWN}/{{*path}}")]
            .iter()
            .fold(router, |router, path| router.route(path, handler.clone()))
    })
}
