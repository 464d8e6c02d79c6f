//! Where nothing else is: the root tells a person what this server is for, everything else is a 404 in JSON.
//!
//! It is the fallback and not a route of its own, so that an MCP server may live at the root.

use axum::{extract::State, response::Response};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::{
    FacadeResource,
    app::{App, Shared},
    browser, errors, pages,
};

/// What no route answers.
pub(crate) async fn fallback(State(app): State<Shared>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_end_matches('/');
    let is_root = path.is_empty() || path == app.base;
    if is_root && method == Method::GET && browser::prefers_html(&headers) {
        return page(&app);
    }
    errors::unknown_path(method).await
}

fn page(app: &App) -> Response {
    let address = |resource: &FacadeResource| format!("{}{}", app.config.public_url, resource.path);
    let addresses: Vec<String> = app.config.resources.iter().map(address).collect();
    let before = "To use it, add its address to Claude, Cursor, VS Code or another MCP client:";
    let after = "The client will bring you back here, to sign in and to decide what it may do in your name.";
    let paragraphs: Vec<&str> =
        [before].into_iter().chain(addresses.iter().map(String::as_str)).chain([after]).collect();
    pages::message(app, StatusCode::OK, "An MCP server lives here", &paragraphs, String::new())
}
