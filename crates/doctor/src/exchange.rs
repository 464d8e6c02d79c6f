//! Sending one request politely: with a limit of time and size, on a connection of its own, and all of them counted.
//!
//! 1. A redirect is followed only where measured clients follow one: 307 or 308, within one origin, and three at most. It
//!    is recorded either way.
//! 2. A body is read up to [`MAX_BODY`]; a stream of events is not read at all.
//! 3. After [`MAX_SILENT`] requests without an answer nothing is sent any more: there is nobody, or somebody is in trouble.
//!
//! Every request carries the same trace id (W3C Trace Context), by which the operator of the server finds all of them.

use std::{
    error::Error as StdError,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::Instant;
use url::Url;

use crate::{Answer, Failure, observation::Redirect};

/// The largest body that is read, in bytes. Metadata and tokens have a few thousand.
const MAX_BODY: usize = 256 << 10;
/// How many requests may go without an answer.
const MAX_SILENT: u32 = 3;
/// How many are sent at all. A visit has some forty.
const MAX_REQUESTS: u32 = 80;
/// How many redirects are followed for one request.
const MAX_REDIRECTS: usize = 3;

/// What the doctor calls itself.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("grantd-doctor/", env!("CARGO_PKG_VERSION")));

/// A request to be sent.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    /// Whether redirects within one origin are followed.
    pub(crate) follow: bool,
    /// Whether it says who asks. Some clients do not.
    pub(crate) is_named: bool,
}

impl Ask {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), body: Bytes::new(), follow: false, is_named: true }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        // A value that cannot be sent is left out; ours can, and a token that cannot be is refused by the server.
        if let Ok(mut value) = HeaderValue::from_str(value) {
            value.set_sensitive(name == header::AUTHORIZATION);
            self.headers.push((name, value));
        }
        self
    }

    pub(crate) fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = body.to_string().into();
        self.header(header::CONTENT_TYPE, "application/json")
    }

    pub(crate) fn form(mut self, params: &[(&str, &str)]) -> Self {
        self.body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish().into();
        self.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }
}

/// Sends requests. Nothing is sent in parallel.
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
    trace_id: String,
    silent: AtomicU32,
    sent: AtomicU32,
}

impl Http {
    pub(crate) fn new(tls: rustls::ClientConfig, timeout: Duration, trace_id: String) -> Self {
        let connector =
            hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        // No connection is used twice: one that the server has closed meanwhile would look like a fault of the server.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Self { client, timeout, trace_id, silent: AtomicU32::new(0), sent: AtomicU32::new(0) }
    }

    /// Whether nothing is sent any more.
    pub(crate) fn has_given_up(&self) -> bool {
        self.silent.load(Relaxed) >= MAX_SILENT || self.sent() >= MAX_REQUESTS
    }

    /// How many requests were sent.
    pub(crate) fn sent(&self) -> u32 {
        self.sent.load(Relaxed)
    }

    pub(crate) async fn send(&self, ask: Ask) -> (Vec<Redirect>, Result<Answer, Failure>) {
        let mut redirects = Vec::new();
        let mut url = ask.url.clone();
        let began = Instant::now();
        loop {
            self.sent.fetch_add(1, Relaxed);
            let answered = tokio::time::timeout(self.timeout, self.exchange(&ask, &url, began)).await;
            let outcome = answered.unwrap_or(Err(Failure::TimedOut(self.timeout)));
            match outcome {
                Ok(_) => self.silent.store(0, Relaxed),
                Err(_) => _ = self.silent.fetch_add(1, Relaxed),
            }
            if let Ok(answer) = &outcome
                && ask.follow
                && redirects.len() < MAX_REDIRECTS
                && matches!(answer.status, 307 | 308)
                && let Some(to) = answer.location().and_then(|to| url.join(to).ok())
                && to.origin() == url.origin()
            {
                redirects.push(Redirect { status: answer.status, to: to.clone() });
                url = to;
                continue;
            }
            return (redirects, outcome);
        }
    }

    async fn exchange(&self, ask: &Ask, url: &Url, began: Instant) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(&ask.method).uri(url.as_str());
        let parent = format!("00-{}-{:016x}-01", self.trace_id, u64::from(self.sent()));
        request = request.header("traceparent", parent);
        if ask.is_named {
            request = request.header(header::USER_AGENT, USER_AGENT);
        }
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(ask.body.clone()))
            .map_err(|error| Failure::Connect(format!("the address cannot be asked: {error}")))?;
        let response = self.client.request(request).await.map_err(|error| failure(&error))?;
        let (head, body) = response.into_parts();
        let mut answer = Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: Bytes::new(),
            elapsed: began.elapsed(),
        };
        if answer.media_type() == "text/event-stream" {
            return Ok(answer);
        }
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
            Failure::Broken(match error.is::<LengthLimitError>() {
                true => format!("the body has more than {MAX_BODY} bytes"),
                false => chain(&*error),
            })
        })?;
        answer.body = body.to_bytes();
        answer.elapsed = began.elapsed();
        Ok(answer)
    }
}

fn failure(error: &hyper_util::client::legacy::Error) -> Failure {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        // What TLS says comes wrapped into errors of the connection, which do not name it as their source.
        let mut within = cause;
        while let Some(inner) = within.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            within = inner;
        }
        if let Some(tls) = within.downcast_ref::<rustls::Error>() {
            return Failure::Tls(tls.to_string());
        }
        next = cause.source();
    }
    if error.is_connect() { Failure::Connect(chain(error)) } else { Failure::Broken(chain(error)) }
}

/// The innermost causes say it best; the outermost only that it was a connection.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut said = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if said.last() != Some(&text) {
            said.push(text);
        }
        next = cause.source();
    }
    let last = said.len().saturating_sub(2);
    said.split_off(last).join(": ")
}
