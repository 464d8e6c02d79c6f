//! A running gate, and an upstream that does what the test says.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, http::Response, middleware::map_request};
use futures::future::BoxFuture;
use grantd_gate::{Gate, GateConfig, GateResource};
use grantd_oauth_types::{AccessToken, GrantId, PublicUrl, ScopeSet, Secret};
use grantd_proto::{
    TokenServiceClient, Transport, TransportError,
    v1::{revocation_event::Event, token_service_server::TokenServiceServer},
};
use reqwest::{Method, RequestBuilder};
use tokio::{net::TcpListener, time::Instant};
use tonic::service::Routes;
use tower::ServiceExt as _;
use url::Url;

use crate::script::{MARKER, Script};

pub(crate) const PUBLIC: &str = "https://mcp.example.com";

/// The `n`th token that parses.
pub(crate) fn token(n: u8) -> String {
    AccessToken { grant_id: GrantId::new([7; 16]), secret: Secret::new([n; 32]) }.to_text()
}

pub(crate) fn config(upstream: &str) -> GateConfig {
    let public_url = PublicUrl::parse(PUBLIC).unwrap();
    GateConfig {
        resources: vec![GateResource {
            identifier: public_url.resource("/mcp"),
            name: "Articles".into(),
            paths: vec!["/mcp".into(), "/messages".into()],
            upstream: Url::parse(upstream).unwrap(),
            upstream_tls: None,
            scopes: ScopeSet::parse_lenient("read write"),
            default_scopes: ScopeSet::parse_lenient("read"),
            required_scopes: ScopeSet::default(),
            rules: Vec::new(),
            trust_mcp_headers: false,
            hide_forbidden_tools: false,
        }],
        public_url,
        cache_max_age: Duration::from_secs(60),
        cache_entries: 1000,
        stream_max_age: Duration::from_secs(30),
        call_timeout: Duration::from_secs(5),
        max_calls: 100,
        upstream_timeout: Duration::from_secs(30),
        max_body: 64 * 1024,
        allowed_origins: vec!["https://app.example".into()],
    }
}

/// A gate that listens.
pub(crate) struct Running {
    pub(crate) base: String,
    pub(crate) gate: Gate,
    pub(crate) script: Script,
    pub(crate) http: reqwest::Client,
    arrived: Arc<AtomicUsize>,
}

impl Running {
    /// With an upstream of its own.
    pub(crate) async fn before<F>(upstream: impl Fn(Request) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::with(config(&listen(upstream).await)).await
    }

    pub(crate) async fn with(config: GateConfig) -> Self {
        let script = Script::new();
        let service = Routes::new(TokenServiceServer::new(script.clone())).prepare();
        let transport = Transport::new(tower::service_fn(move |request: http::Request<tonic::body::Body>| {
            let service = service.clone();
            async move { service.oneshot(request).await.map_err(TransportError::from) }
        }));
        let gate = Gate::start(config, TokenServiceClient::new(transport));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let arrived = Arc::<AtomicUsize>::default();
        let counted = arrived.clone();
        let router = gate.router().layer(map_request(move |request: Request| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { request }
        }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let watched = script.clone();
        until(move || watched.is_watched()).await;
        Self { base, gate, script, http, arrived }
    }

    /// How many requests have arrived.
    pub(crate) fn arrived(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }

    /// A request without a token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// A call with the `n`th token.
    pub(crate) fn call(&self, n: u8) -> RequestBuilder {
        self.request(Method::POST, "/mcp").bearer_auth(token(n)).body("{}")
    }

    /// The status of a call with the `n`th token.
    pub(crate) async fn status(&self, n: u8) -> u16 {
        self.call(n).send().await.unwrap().status().as_u16()
    }

    /// Until what was announced so far was heard: announcements are heard in order, so when the one about the marker was,
    /// those before it were.
    pub(crate) async fn heard(&self) {
        assert_eq!(self.status(MARKER).await, 200);
        let before = self.script.marked();
        self.script.announce(Event::RevokedGrant("marker".into()));
        while self.script.marked() == before {
            assert_eq!(self.status(MARKER).await, 200);
        }
    }
}

/// Serves an upstream; gives its URL.
pub(crate) async fn listen<F>(upstream: impl Fn(Request) -> F + Clone + Send + Sync + 'static) -> String
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let upstream = Arc::new(upstream);
    let app = Router::new()
        .fallback(move |request: Request| -> BoxFuture<'static, Response<Body>> { Box::pin(upstream(request)) });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/upstream", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// An upstream that answers `{}`.
pub(crate) async fn ok(_: Request) -> Response<Body> {
    Response::new(Body::from("{}"))
}

/// Waits for what must become true.
pub(crate) async fn until(mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_true() {
        assert!(Instant::now() < deadline, "it did not become true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
