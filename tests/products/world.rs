//! What the products meet, and the steps that they have in common. What differs stands in the tests.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, http::Uri, response::IntoResponse, routing::post};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{
    Client, Deployment, Options, PASSWORD, Site,
    client::{Pair, VERIFIER, challenge, pair, param},
    http,
};

/// A running grantd, an MCP server behind it, and a site for metadata documents.
pub(super) struct World {
    pub(super) deployment: Deployment,
    site: Site,
    documents: Arc<Mutex<HashMap<String, Value>>>,
    http: reqwest::Client,
}

/// The challenge of a 401 (RFC 9728 §5.1).
pub(super) struct Challenge {
    pub(super) resource_metadata: String,
    pub(super) scope: String,
}

/// What discovery comes to.
pub(super) struct Found {
    /// Protected-resource metadata.
    pub(super) resource: Value,
    /// Authorization-server metadata.
    pub(super) server: Value,
}

/// A client as the product knows it.
pub(super) struct Known {
    pub(super) id: String,
    pub(super) secret: Option<String>,
    pub(super) answer: Value,
}

/// How a product authenticates at the token endpoint.
#[derive(Clone, Copy)]
pub(super) enum Auth {
    /// `client_id` in the body.
    Public,
    /// Id and secret in the body; an empty secret when there is none.
    Post,
    /// Basic, raw; with an empty secret when there is none.
    Basic,
    /// Basic with a percent-encoded id, as RFC 6749 §2.3.1 has it.
    BasicEncoded,
}

/// An MCP server that says who called it.
async fn answer(headers: axum::http::HeaderMap, Json(call): Json<Value>) -> Json<Value> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let result = json!({
        "client": text("x-grantd-client-id"), "user": text("x-forwarded-preferred-username"),
        "authorization": text("authorization"), "method": call["method"],
    });
    Json(json!({"jsonrpc": "2.0", "id": call["id"], "result": result}))
}

async fn document(State(documents): State<Arc<Mutex<HashMap<String, Value>>>>, uri: Uri) -> axum::response::Response {
    match documents.lock().unwrap().get(uri.path()) {
        Some(document) => Json(document.clone()).into_response(),
        None => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

impl World {
    /// Metadata documents are off, as by default: products register.
    pub(super) async fn new() -> Self {
        Self::with(false).await
    }

    /// Metadata documents are on: products that have one use it.
    pub(super) async fn with_documents() -> Self {
        Self::with(true).await
    }

    async fn with(client_metadata: bool) -> Self {
        let documents = Arc::new(Mutex::new(HashMap::new()));
        let site = Site::start(|_| Router::new().fallback(document).with_state(documents.clone())).await;
        let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = Options {
            upstream: format!("http://{}/mcp", upstream.local_addr().unwrap()),
            config: if client_metadata { site.client_metadata() } else { String::new() },
            ..Options::default()
        };
        tokio::spawn(async move { axum::serve(upstream, Router::new().route("/mcp", post(answer))).await });
        Self { deployment: Deployment::embedded(options).await, site, documents, http: http() }
    }

    /// Publishes a document at the path that its makers use; gives the client id.
    pub(super) fn publish(&self, path: &str, mut members: Value) -> String {
        let id = self.site.url(path);
        members["client_id"] = json!(id);
        self.documents.lock().unwrap().insert(path.to_owned(), members);
        id
    }

    /// The URL of something that is published.
    pub(super) fn site_url(&self, path: &str) -> String {
        self.site.url(path)
    }

    /// The URL that a person configures.
    pub(super) fn url(&self) -> String {
        self.deployment.resource()
    }

    fn origin(&self) -> &str {
        self.deployment.issuer()
    }

    /// A request to the MCP URL, without `User-Agent`.
    pub(super) fn ask(&self, method: Method) -> RequestBuilder {
        self.http.request(method, self.url())
    }

    /// `initialize`, as the SDKs post it.
    pub(super) fn initialize(&self) -> RequestBuilder {
        let call = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
        });
        self.ask(Method::POST).header("accept", "application/json, text/event-stream").json(&call)
    }

    /// Sends a probe, which must be answered with a challenge that can be read as measured clients read it.
    pub(super) async fn probe(&self, request: RequestBuilder) -> Challenge {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
        let [challenge] = challenges[..] else { panic!("{challenges:?}") };
        let challenge = challenge.to_str().unwrap();
        let parameters = challenge.strip_prefix("Bearer ").unwrap_or_else(|| panic!("{challenge}"));
        let value = |name: &str| {
            let all: Vec<_> = parameters.split(", ").filter_map(|pair| pair.split_once('=')).collect();
            let (_, value) = all.iter().find(|(found, _)| *found == name).unwrap_or_else(|| panic!("{challenge}"));
            value.trim_matches('"').to_owned()
        };
        Challenge { resource_metadata: value("resource_metadata"), scope: value("scope") }
    }

    /// What is found at a well-known URL: a document, or nothing, and never anything else.
    async fn look(&self, url: &str) -> Option<Value> {
        let answer = self.http.get(url).header("mcp-protocol-version", "2025-06-18").send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(kind.starts_with("application/json"), "{url}: {kind}");
        match answer.status() {
            StatusCode::OK => Some(answer.json().await.unwrap()),
            status => {
                assert_eq!(status, StatusCode::NOT_FOUND, "{url}");
                None
            }
        }
    }

    /// Where clients look, in their order, and all that they would try next: each place has the one document or nothing.
    async fn looked(&self, urls: &[String]) -> Value {
        let mut all = Vec::new();
        for url in urls {
            all.extend(self.look(url).await);
        }
        assert!(all.iter().all(|document| *document == all[0]), "{urls:?}: {all:?}");
        all.into_iter().next().unwrap_or_else(|| panic!("nothing at {urls:?}"))
    }

    /// Discovery: what the challenge names, then the well-known places of RFC 9728 and RFC 8414, and those that only some
    /// clients try. What strict clients compare is compared.
    pub(super) async fn discover(&self, challenge: &Challenge) -> Found {
        let origin = self.origin();
        let well_known = |path: &str| format!("{origin}/.well-known/{path}");
        let resource = [
            challenge.resource_metadata.clone(),
            well_known("oauth-protected-resource/mcp"),
            well_known("oauth-protected-resource"),
        ];
        let resource = self.looked(&resource).await;
        assert_eq!(resource["resource"], self.url(), "VS Code, Gemini CLI and Go compare it with the URL");
        assert_eq!(resource["authorization_servers"], json!([origin]));
        // This one is below the MCP URL, where everything may want a token first.
        let below = format!("{}/.well-known/openid-configuration", self.url());
        let below = self.http.get(below).send().await.unwrap().status();
        assert!([StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED].contains(&below), "{below}");
        let server = [
            well_known("oauth-authorization-server"),
            well_known("openid-configuration"),
            well_known("oauth-authorization-server/mcp"),
            well_known("openid-configuration/mcp"),
        ];
        let server = self.looked(&server).await;
        assert_eq!(server["issuer"], origin);
        assert_eq!(server["code_challenge_methods_supported"], json!(["S256"]), "Zed and Go need it");
        Found { resource, server }
    }

    /// The usual beginning of a client that posts.
    pub(super) async fn find(&self) -> (Challenge, Found) {
        let challenge = self.probe(self.initialize()).await;
        let found = self.discover(&challenge).await;
        (challenge, found)
    }

    /// Registration, with the members that the product sends.
    pub(super) async fn register(&self, found: &Found, metadata: Value) -> Known {
        let url = found.server["registration_endpoint"].as_str().unwrap();
        let answer = self.http.post(url).json(&metadata).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{metadata}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["redirect_uris"], metadata["redirect_uris"]);
        assert!(answer.as_object().unwrap().values().all(|member| !member.is_null()), "{answer}");
        let secret = answer["client_secret"].as_str().map(str::to_owned);
        Known { id: answer["client_id"].as_str().unwrap().to_owned(), secret, answer }
    }

    /// The client of a metadata document, which may be used because the server says so.
    pub(super) fn documented(&self, found: &Found, id: String) -> Known {
        assert_eq!(found.server["client_id_metadata_document_supported"], true);
        let methods = found.server["token_endpoint_auth_methods_supported"].as_array().unwrap();
        assert!(methods.contains(&json!("none")), "Claude.ai uses its document only then");
        Known { id, secret: None, answer: Value::Null }
    }

    fn authorize_url(&self, found: &Found, client: &Known, parameters: &[(&str, &str)]) -> String {
        let challenge = challenge();
        let fixed = [
            ("response_type", "code"),
            ("client_id", client.id.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        let mut url = url::Url::parse(found.server["authorization_endpoint"].as_str().unwrap()).unwrap();
        url.query_pairs_mut().extend_pairs(fixed).extend_pairs(parameters);
        url.to_string()
    }

    /// The browser of a person who agrees; gives the code. The answer is a redirect that a listener for GET can take, at the
    /// redirect URI that was asked for, with what strict clients compare.
    pub(super) async fn authorize(&self, found: &Found, client: &Known, parameters: &[(&str, &str)]) -> String {
        let sent = |name: &str| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let url = self.authorize_url(found, client, parameters);
        let browser = Client {
            base: self.origin().to_owned(),
            id: client.id.clone(),
            secret: None,
            registration: String::new(),
            http: http(),
        };
        let page = browser.consent_page_at(&url, "owner", PASSWORD).await;
        let answer = browser.follow(&page, &page.approve).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        let location = answer.headers()["location"].to_str().unwrap();
        let redirect_uri = sent("redirect_uri").unwrap();
        assert!(location.starts_with(&format!("{redirect_uri}?")), "{location}");
        assert!(!location.contains('+'), "Codex decodes %20 only: {location}");
        assert_eq!(param(location, "state").as_deref(), sent("state"));
        assert_eq!(param(location, "iss").as_deref(), Some(self.origin()));
        param(location, "code").unwrap()
    }

    /// What the authorization endpoint answers at once.
    pub(super) async fn refused_to_ask(&self, found: &Found, client: &Known, parameters: &[(&str, &str)]) -> Response {
        self.http.get(self.authorize_url(found, client, parameters)).send().await.unwrap()
    }

    /// A token request, authenticated as the product does it.
    pub(super) async fn token(&self, found: &Found, client: &Known, auth: Auth, form: &[(&str, &str)]) -> Response {
        let secret = client.secret.as_deref().unwrap_or_default();
        let mut request = self.http.post(found.server["token_endpoint"].as_str().unwrap());
        let mut form = form.to_vec();
        match auth {
            Auth::Public => form.push(("client_id", &client.id)),
            Auth::Post => form.extend([("client_id", client.id.as_str()), ("client_secret", secret)]),
            Auth::Basic => request = request.basic_auth(&client.id, Some(secret)),
            Auth::BasicEncoded => {
                let encoded: String = url::form_urlencoded::byte_serialize(client.id.as_bytes()).collect();
                request = request.basic_auth(encoded, Some(secret));
            }
        }
        request.form(&form).send().await.unwrap()
    }

    /// The exchange of a code; `more` is sent beside what every client sends.
    pub(super) async fn exchange(
        &self,
        found: &Found,
        client: &Known,
        auth: Auth,
        code: &str,
        more: &[(&str, &str)],
    ) -> Pair {
        let form = [("grant_type", "authorization_code"), ("code", code), ("code_verifier", VERIFIER)];
        pair(self.token(found, client, auth, &[&form, more].concat()).await).await
    }

    /// A refresh; `more` is sent beside what every client sends.
    pub(super) async fn refresh(
        &self,
        found: &Found,
        client: &Known,
        auth: Auth,
        held: &Pair,
        more: &[(&str, &str)],
    ) -> Pair {
        let form = [("grant_type", "refresh_token"), ("refresh_token", held.refresh.as_str())];
        let next = pair(self.token(found, client, auth, &[&form, more].concat()).await).await;
        assert_ne!(next.access, held.access);
        assert_eq!(next.scope, held.scope, "a refresh keeps what was granted");
        next
    }

    /// A call of the MCP server, which is told who calls and not with which token.
    pub(super) async fn call(&self, client: &Known, held: &Pair) {
        let answer = self.initialize().bearer_auth(&held.access).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let answer: Value = answer.json().await.unwrap();
        let expected = json!({"client": client.id, "user": "owner", "authorization": null, "method": "initialize"});
        assert_eq!(answer["result"], expected);
    }
}
