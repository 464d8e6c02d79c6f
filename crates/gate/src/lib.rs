//! The gate: checks the bearer token of every MCP request and forwards it.
//!
//! 1. `check` finds the resource, reads the bearer token and asks TokenService (through `cache`).
//! 2. A refusal is answered with a challenge before the body is read (`answer`).
//! 3. Where a resource has rules, `calls` reads the messages and compares what they need with what the token may do.
//! 4. `proxy` forwards what is let through, streaming both ways, with the person's identity and nothing that the outside
//!    could have forged (`headers`).
//! 5. `watch` hears of revocations: it evicts cached answers and cuts open streams (`streams`).
//! 6. `metadata` says where to sign in (RFC 9728).
//! 7. `metrics` counts, without a lock.
//!
//! Correctness rests on the age of a cached answer alone; the watcher only makes it prompt. What a token may do is decided
//! by TokenService.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::any};
use grantd_oauth_types::{PublicUrl, ResourceUri, ScopeSet};
use grantd_proto::TokenServiceClient;
use tokio_util::sync::CancellationToken;
use url::Url;

mod answer;
mod cache;
mod calls;
mod check;
mod cors;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod hidden;
mod message;
mod metadata;
mod metrics;
mod mirrored;
mod passing;
mod proxy;
mod rules;
mod sessions;
mod sse;
mod streams;
mod uploading;
mod watch;

pub use message::METHODS;
pub use rules::GateRule;

/// What the gate needs to know.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// The issuer.
    pub public_url: PublicUrl,
    /// At least one; the first answers the root metadata document.
    pub resources: Vec<GateResource>,
    /// How long a positive answer is trusted; zero asks every time.
    pub cache_max_age: Duration,
    /// How many answers are kept.
    pub cache_entries: u64,
    /// How long an open stream goes on without its grant being confirmed; it is asked for after each quarter of
    /// that time, so three times before the stream is cut.
    pub stream_max_age: Duration,
    /// How long TokenService may take to answer.
    pub call_timeout: Duration,
    /// How many questions to TokenService may be under way; beyond that a call is answered 503 at once.
    pub max_calls: usize,
    /// How long the upstream may take to start its answer.
    pub upstream_timeout: Duration,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// Origins of browser clients beside our own and loopback ones; `*` allows all.
    pub allowed_origins: Vec<String>,
}

/// One protected resource.
#[derive(Debug, Clone)]
pub struct GateResource {
    /// Its identifier.
    pub identifier: ResourceUri,
    /// What it is called.
    pub name: String,
    /// The first is the identifier's path.
    pub paths: Vec<String>,
    /// Where calls go.
    pub upstream: Url,
    /// How TLS is spoken there, where the public authorities are not all that is believed.
    pub upstream_tls: Option<Arc<rustls::ClientConfig>>,
    /// Every scope it knows.
    pub scopes: ScopeSet,
    /// What a client should ask for.
    pub default_scopes: ScopeSet,
    /// What every call needs, whatever it is: asked for with the token, before a body is read.
    pub required_scopes: ScopeSet,
    /// What some calls need beyond that. None: bodies are neither read nor held up.
    pub rules: Vec<GateRule>,
    /// Whether `Mcp-Method` and `Mcp-Name` stand for the body: only for an upstream that refuses them when they disagree.
    pub trust_mcp_headers: bool,
    /// Whether lists of tools are passed on without those that the token may not call.
    pub hide_forbidden_tools: bool,
}

/// The running gate.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

pub(crate) struct Inner {
    config: GateConfig,
    /// What the upstreams are told of the public URL.
    origin: axum::http::HeaderMap,
    tokens: TokenServiceClient,
    cache: cache::Cache,
    streams: streams::Streams,
    sessions: sessions::Sessions,
    /// One for each resource.
    upstreams: Vec<proxy::Upstream>,
    closing: CancellationToken,
    /// Places for bearer checks.
    calls: tokio::sync::Semaphore,
    /// Places for the confirmations of open streams: a flood of bad tokens must not cut them.
    confirmations: tokio::sync::Semaphore,
    metrics: Arc<metrics::Metrics>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Gate {
    /// Starts the gate, and the watcher of revocations. Must be called within a Tokio runtime.
    pub fn start(config: GateConfig, tokens: TokenServiceClient) -> Self {
        let gate = Self(Arc::new(Inner {
            cache: cache::Cache::new(config.cache_max_age, config.call_timeout, config.cache_entries),
            streams: streams::Streams::default(),
            sessions: sessions::Sessions::new(),
            upstreams: config
                .resources
                .iter()
                .map(|resource| proxy::upstream(resource.upstream_tls.as_deref()))
                .collect(),
            closing: CancellationToken::new(),
            calls: tokio::sync::Semaphore::new(config.max_calls),
            confirmations: tokio::sync::Semaphore::new(config.max_calls),
            metrics: Arc::default(),
            origin: headers::origin(&config.public_url),
            config,
            tokens,
        }));
        metrics::watch(&gate.0);
        tokio::spawn(watch::run(gate.0.clone()));
        gate
    }

    /// The routes: every path of every resource, and the metadata documents. Without a fallback.
    ///
    /// Where the public URL has a path, each is served below it and without it: whether the proxy in front strips it does not
    /// matter. Should the two meet, the one below the public URL wins: it is what is published.
    pub fn router(&self) -> Router {
        let base = self.0.config.public_url.path();
        let mut routes = std::collections::BTreeMap::new();
        for prefix in [base, ""] {
            for (at, resource) in self.0.config.resources.iter().enumerate() {
                for path in &resource.paths {
                    let path = path.trim_end_matches('/');
                    for slash in ["", "/"] {
                        let spelling = format!("{prefix}{path}{slash}");
                        routes.entry(if spelling.is_empty() { "/".to_owned() } else { spelling }).or_insert((
                            at,
                            path.to_owned(),
                            prefix.to_owned(),
                        ));
                    }
                }
            }
        }
        // Paths come from configuration: a segment that starts with `:` or `*` is meant literally.
        routes.into_iter().fold(metadata::routes(&self.0.config).without_v07_checks(), |router, (spelling, meant)| {
            let (inner, (at, path, prefix)) = (self.0.clone(), meant);
            let handler = any(move |mut request: axum::extract::Request| {
                proxy::strip(&mut request, &prefix);
                check::handle(inner, at, path, request)
            });
            router.route(&spelling, handler)
        })
    }

    /// Ends open streams and the watcher. Calls in flight are finished.
    pub fn close(&self) {
        self.0.closing.cancel();
    }
}

impl Inner {
    fn resource(&self, at: usize) -> Option<&GateResource> {
        self.config.resources.get(at)
    }
}
