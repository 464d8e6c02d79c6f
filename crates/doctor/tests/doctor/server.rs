//! A server for MCP that does everything right, and a fault that spoils an answer.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State as Extract,
    http::{HeaderMap, Method, Response, Uri},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use url::Url;

/// What was asked.
pub(crate) struct Ask {
    pub(crate) base: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: HashMap<String, String>,
    pub(crate) form: HashMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn is(&self, request: &str) -> bool {
        let (method, path) = request.split_once(' ').unwrap();
        self.method == method && self.path == path
    }

    pub(crate) fn starts(&self, path: &str) -> bool {
        self.method == Method::GET && self.path.starts_with(path)
    }

    pub(crate) fn param(&self, name: &str) -> &str {
        self.query.get(name).or_else(|| self.form.get(name)).map_or("", String::as_str)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether it is to the MCP endpoint, in either spelling.
    pub(crate) fn is_mcp(&self) -> bool {
        matches!(self.path.as_str(), "/mcp" | "/mcp/" | "/") && self.method != Method::OPTIONS
    }
}

/// What is answered.
#[derive(Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// What the request came to, for faults that are about that.
    pub(crate) note: &'static str,
}

impl Reply {
    fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    fn of(status: u16, body: &Value) -> Self {
        Self { body: body.to_string(), ..Self::new(status) }.with("content-type", "application/json")
    }

    fn error(status: u16, error: &str) -> Self {
        Self::of(status, &json!({"error": error, "error_description": "told"}))
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(known, _)| known != name);
    }

    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// Changes the JSON of the body.
    pub(crate) fn json(&mut self, change: impl FnOnce(&mut Value)) {
        let mut body = serde_json::from_str(&self.body).unwrap();
        change(&mut body);
        self.body = body.to_string();
    }

    /// Another answer altogether.
    pub(crate) fn instead(&mut self, status: u16, error: &str) {
        let cors: Vec<_> = self.headers.drain(..).filter(|(name, _)| name.starts_with("access-control")).collect();
        *self = Self::error(status, error);
        self.headers.extend(cors);
    }

    /// A page where none belongs.
    pub(crate) fn page(&mut self, status: u16) {
        self.instead(status, "");
        self.body = "<!DOCTYPE html><title>Sign in</title>".to_owned();
        self.set("content-type", "text/html");
    }
}

/// Spoils an answer.
pub(crate) type Fault = fn(&Ask, &mut Reply, &mut State);

/// What the server remembers.
#[derive(Default)]
pub(crate) struct State {
    /// Redirect URIs and secrets.
    clients: HashMap<String, (Vec<String>, Option<String>)>,
    codes: HashSet<String>,
    /// The refresh tokens of the one grant, the newest last.
    refresh: Vec<String>,
    pub(crate) is_revoked: bool,
    count: u32,
}

impl State {
    fn next(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("mock-{kind}-{}-of-the-tests", self.count)
    }

    /// Whether a client registered a redirect URI letter for letter.
    pub(crate) fn has_exactly(&self, client: &str, uri: &str) -> bool {
        self.clients.get(client).is_some_and(|(uris, _)| uris.iter().any(|known| known == uri))
    }

    /// Takes back the pair that was issued last.
    pub(crate) fn forget_last(&mut self) {
        self.refresh.pop();
    }

    pub(crate) fn tokens(&mut self) -> Value {
        let (access, refresh) = (self.next("access"), self.next("refresh"));
        self.refresh.push(refresh.clone());
        json!({"access_token": access, "token_type": "Bearer", "expires_in": 3600, "refresh_token": refresh, "scope": "read"})
    }
}

struct App {
    base: String,
    path: &'static str,
    fault: Fault,
    state: Mutex<State>,
}

/// A running one.
pub(crate) struct Server {
    pub(crate) base: String,
    running: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Server {
    pub(crate) async fn start(path: &'static str, fault: Fault) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let app = Arc::new(App { base: base.clone(), path, fault, state: Mutex::default() });
        let router = Router::new().fallback(serve).with_state(app);
        let running = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, running }
    }
}

async fn serve(
    Extract(app): Extract<Arc<App>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let pairs = |bytes: &[u8]| url::form_urlencoded::parse(bytes).into_owned().collect();
    let ask = Ask {
        base: app.base.clone(),
        path: uri.path().to_owned(),
        query: pairs(uri.query().unwrap_or_default().as_bytes()),
        form: pairs(&body),
        method,
        headers,
        body,
    };
    let reply = {
        let mut state = app.state.lock().unwrap();
        let mut reply = answer(&app, &ask, &mut state);
        if ask.path != "/authorize" {
            reply.set("access-control-allow-origin", "*");
            reply.set("access-control-expose-headers", "WWW-Authenticate, Mcp-Session-Id");
        }
        (app.fault)(&ask, &mut reply, &mut state);
        reply
    };
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).unwrap()
}

const HEADERS: &str =
    "authorization, content-type, accept, mcp-protocol-version, mcp-session-id, last-event-id, mcp-method, mcp-name";

fn answer(app: &App, ask: &Ask, state: &mut State) -> Reply {
    let base = &app.base;
    if ask.method == Method::OPTIONS {
        return Reply::new(204).with("access-control-allow-headers", HEADERS);
    }
    let resource_root = "/.well-known/oauth-protected-resource";
    let server_root = "/.well-known/oauth-authorization-server";
    match (ask.method.as_str(), ask.path.as_str()) {
        ("GET", path) if path == resource_root || path == format!("{resource_root}{}", app.path) => Reply::of(
            200,
            &json!({
                "resource": format!("{base}{}", app.path),
                "authorization_servers": [base],
                "scopes_supported": ["read"],
                "bearer_methods_supported": ["header"],
            }),
        ),
        ("GET", path) if path == server_root || path == format!("{server_root}{}", app.path) => {
            let endpoint = |path: &str| format!("{base}{path}");
            Reply::of(
                200,
                &json!({
                    "issuer": base,
                    "authorization_endpoint": endpoint("/authorize"),
                    "token_endpoint": endpoint("/token"),
                    "registration_endpoint": endpoint("/register"),
                    "revocation_endpoint": endpoint("/revoke"),
                    "response_types_supported": ["code"],
                    "grant_types_supported": ["authorization_code", "refresh_token"],
                    "code_challenge_methods_supported": ["S256"],
                    "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
                    "authorization_response_iss_parameter_supported": true,
                }),
            )
        }
        ("POST", "/register") => register(ask, state),
        ("DELETE", path) if path.starts_with("/register/") => Reply::new(204),
        ("GET", "/authorize") => authorize(ask, state),
        ("POST", "/token") => token(ask, state),
        ("POST", "/revoke") => {
            if state.refresh.contains(&ask.param("token").to_owned()) {
                state.is_revoked = true;
            }
            Reply::new(200)
        }
        (_, path) if path.trim_end_matches('/') == app.path => mcp(app, ask, state),
        _ => Reply::error(404, "not_found"),
    }
}

fn mcp(app: &App, ask: &Ask, state: &State) -> Reply {
    let metadata = format!("{}/.well-known/oauth-protected-resource{}", app.base, app.path);
    let bearer = ask.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
    if bearer.is_empty() {
        let challenge = format!("Bearer resource_metadata=\"{metadata}\", scope=\"read\"");
        return Reply::error(401, "unauthorized").with("www-authenticate", &challenge);
    }
    if !bearer.starts_with("mock-access-") || state.is_revoked {
        let challenge = format!("Bearer error=\"invalid_token\", resource_metadata=\"{metadata}\", scope=\"read\"");
        return Reply::error(401, "invalid_token").with("www-authenticate", &challenge);
    }
    if ask.method != Method::POST {
        return Reply { note: "let in", ..Reply::error(405, "invalid_request") };
    }
    Reply { note: "let in", ..Reply::of(200, &json!({"jsonrpc": "2.0", "id": 1, "result": {}})) }
}

fn register(ask: &Ask, state: &mut State) -> Reply {
    let Ok(metadata) = serde_json::from_slice::<Value>(&ask.body) else {
        return Reply::error(400, "invalid_client_metadata");
    };
    let id = state.next("client");
    let uris = metadata["redirect_uris"].as_array().unwrap().iter().map(|uri| uri.as_str().unwrap().to_owned());
    let method = metadata["token_endpoint_auth_method"].clone();
    let secret = (method != "none").then(|| state.next("secret"));
    let mut registered = json!({
        "client_id": id,
        "client_id_issued_at": 1,
        "redirect_uris": metadata["redirect_uris"],
        "token_endpoint_auth_method": method,
        "grant_types": ["authorization_code", "refresh_token"],
        "registration_client_uri": format!("{}/register/{id}", ask.base),
        "registration_access_token": state.next("management"),
    });
    if let Some(secret) = &secret {
        registered["client_secret"] = json!(secret);
        registered["client_secret_expires_at"] = json!(0);
    }
    state.clients.insert(id, (uris.collect(), secret));
    Reply::of(201, &registered).with("cache-control", "no-store")
}

/// The address of a redirect URI without a loopback port.
fn without_port(uri: &str) -> String {
    let Ok(mut url) = Url::parse(uri) else { return uri.to_owned() };
    if matches!(url.host_str(), Some("127.0.0.1" | "localhost")) {
        let _ = url.set_port(None);
    }
    url.to_string()
}

fn authorize(ask: &Ask, state: &mut State) -> Reply {
    let redirect_uri = ask.param("redirect_uri");
    let is_known = match state.clients.get(ask.param("client_id")) {
        Some((uris, _)) => uris.iter().any(|uri| without_port(uri) == without_port(redirect_uri)),
        None => ask.param("client_id") == grantd_doctor::CLAUDE_CODE && redirect_uri.starts_with("http://localhost:"),
    };
    if !is_known {
        return Reply::error(400, "invalid_client");
    }
    let params = if ask.param("response_type") != "code" {
        ("error", "unsupported_response_type".to_owned())
    } else if ask.param("code_challenge").len() != 43 {
        ("error", "invalid_request".to_owned())
    } else if ask.param("approve") == "1" {
        let code = state.next("code");
        state.codes.insert(code.clone());
        ("code", code)
    } else {
        return Reply { body: "<h1>Sign in</h1>".to_owned(), ..Reply::new(200) }.with("content-type", "text/html");
    };
    redirect(ask, params)
}

/// Sends the browser to the client.
pub(crate) fn redirect(ask: &Ask, (name, value): (&str, String)) -> Reply {
    let mut to = Url::parse(ask.param("redirect_uri")).unwrap();
    to.query_pairs_mut().append_pair(name, &value);
    if let Some(state) = ask.query.get("state") {
        to.query_pairs_mut().append_pair("state", state);
    }
    to.query_pairs_mut().append_pair("iss", &ask.base);
    Reply::new(302).with("location", &to.as_str().replace('+', "%20"))
}

fn token(ask: &Ask, state: &mut State) -> Reply {
    let refused = || Reply::error(400, "invalid_grant").with("cache-control", "no-store");
    let basic = !ask.header("authorization").is_empty();
    let known = match basic {
        // Only clients with a secret use the header.
        true => state.clients.values().any(|(_, secret)| secret.is_some()),
        false => state.clients.get(ask.param("client_id")).is_some_and(|(_, secret)| secret.is_none()),
    };
    if !known {
        return Reply::error(401, "invalid_client").with("cache-control", "no-store");
    }
    match ask.param("grant_type") {
        "authorization_code" if state.codes.remove(ask.param("code")) && !state.is_revoked => {
            let tokens = state.tokens();
            Reply { note: "exchanged", ..Reply::of(200, &tokens).with("cache-control", "no-store") }
        }
        "authorization_code" if ask.param("code").starts_with("mock-code-") => {
            Reply { note: "code again", ..refused() }
        }
        "refresh_token" if state.is_revoked => Reply { note: "revoked", ..refused() },
        "refresh_token" => match state.refresh.iter().position(|known| known == ask.param("refresh_token")) {
            None => refused(),
            Some(at) => {
                let note = if at + 1 == state.refresh.len() { "refreshed" } else { "spent" };
                let tokens = state.tokens();
                Reply { note, ..Reply::of(200, &tokens).with("cache-control", "no-store") }
            }
        },
        _ => refused(),
    }
}

/// Whether somebody signs in, and how their browser brings the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Person {
    Away,
    Agrees,
    /// Through a form and a redirect that repeats it.
    Posts,
}

/// Opens the address, agrees, and takes the answer to the client.
pub(crate) fn visit(url: Url, person: Person) {
    tokio::spawn(async move {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = http.get(format!("{url}&approve=1")).send().await.unwrap();
        let location = answer.headers()["location"].to_str().unwrap();
        let request = match person {
            Person::Posts => http.post(location),
            _ => http.get(location),
        };
        let arrived = request.send().await.unwrap();
        assert!(arrived.status().is_success());
    });
}
