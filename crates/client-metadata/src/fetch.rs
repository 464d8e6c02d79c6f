//! Fetching a document from a host that a stranger chose.
//!
//! 1. The host is resolved, and every address must be public ([`is_public`]); the connection goes to one of the addresses
//!    that were looked at, so a name that resolves anew to another changes nothing.
//! 2. TLS, for the host of the client id, by the authorities that are given.
//! 3. One GET, without cookies, credentials or redirects. 200, JSON, of bounded size, all of it within a few seconds.
//! 4. [`Document`] or [`KeySet`] reads it; the answer's own words say for how long it may be kept (RFC 9111 §4.2.1), within bounds.
//! 5. Who asks while a fetch is under way waits for that one, and its outcome is remembered for a moment, good or bad.
//!    At most a few are under way, and each host is asked a few times a minute only: nobody floods others through us.
//!    What is asked for clients that are known already has room of its own, so that strangers do not take it.
//!
//! No proxy is read from the environment. Left to others: where a document is kept, and what a client may do.

use std::{fmt, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::Semaphore};
use tokio_rustls::{TlsConnector, rustls::ClientConfig, rustls::pki_types::ServerName};

use crate::{
    address::is_public,
    document::{Document, DocumentError},
    keys::{KeySet, KeySetError},
    url::ClientIdUrl,
};

/// All of a fetch. A client waits ten seconds for the page that follows.
const PATIENCE: Duration = Duration::from_secs(4);
/// The largest document, in bytes; real ones have one or two thousand.
const MAX_BODY: usize = 32 << 10;
/// Fetches under way.
const MAX_FETCHES: usize = 16;
/// How long an outcome is answered again to who asks for the same, so that a page that is reloaded asks nobody.
const MOMENT: Duration = Duration::from_secs(10);
/// What is kept for such moments.
const MAX_OUTCOMES: u64 = 1000;
/// The shortest and longest time that a document is kept, whatever its host says.
const KEPT: (u64, u64) = (300, 24 * 3600);
/// A document whose host says nothing is kept for so many seconds.
const KEPT_BY_DEFAULT: u64 = 3600;

/// A [`Document`] or a [`KeySet`], and for how long it is as new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched<T> {
    /// What it says.
    pub content: T,
    /// How long it need not be fetched again.
    pub fresh_for: Duration,
}

/// Why there is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Its host may not be asked.
    #[error("the host of this client_id is not one that this server asks")]
    NotAllowed,
    /// The host has an address that is not public.
    #[error("the host of this client_id has no public address")]
    NoPublicAddress,
    /// The host is unknown, or nobody can be asked: resolvers do not tell the two apart.
    #[error("the host of this client_id cannot be found")]
    Unresolved,
    /// No connection, no TLS, no answer in time, or an answer that breaks off. Asking again may help.
    #[error("the client's metadata document could not be fetched: {0}")]
    Unreachable(&'static str),
    /// Too many fetches, or too many of this host.
    #[error("too many metadata documents are being fetched")]
    TooMany,
    /// An answer, and no document.
    #[error("the client's metadata document was answered with status {0}; it must be 200, without a redirect")]
    Status(u16),
    /// Something else than JSON.
    #[error("the client's metadata document must be served as application/json")]
    ContentType,
    /// Too much.
    #[error("the client's metadata document has more than {MAX_BODY} bytes")]
    TooLarge,
    /// It was read, and makes no client.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// It was read, and has no keys.
    #[error(transparent)]
    Keys(#[from] KeySetError),
}

impl FetchError {
    /// Whether asking again may help; otherwise the client's makers must act. A site that is overloaded or broken is as good as
    /// away; one that answers 403 or 404 has nothing for us.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::TooMany | Self::Status(408 | 429 | 500..=599))
    }
}

/// Whose document is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Of a client that somebody let in before. Its fetches count for itself alone.
    Kept,
    /// Of whoever is named. All of a host count together.
    Stranger,
}

/// What a [`Fetcher`] needs to know.
#[derive(Debug, Clone)]
pub struct FetcherConfig {
    /// Whom to believe.
    pub tls: Arc<ClientConfig>,
    /// Domains, with their subdomains, whose clients are let in; empty: all.
    pub allowed_domains: Vec<String>,
    /// Asks any address. For a machine of one's own and for tests only.
    pub allow_private_addresses: bool,
}

/// Fetches documents. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher(Arc<Inner>);

struct Inner {
    config: FetcherConfig,
    /// Fetches under way: for strangers, and for known clients.
    fetches: [Semaphore; 2],
    per_host: DefaultKeyedRateLimiter<String>,
    documents: Outcomes<Document>,
    keys: Outcomes<KeySet>,
}

/// What became of fetches a moment ago, by URL.
type Outcomes<T> = moka::future::Cache<String, Result<Fetched<T>, FetchError>>;

fn outcomes<T: Clone + Send + Sync + 'static>() -> Outcomes<T> {
    moka::future::Cache::builder().max_capacity(MAX_OUTCOMES).time_to_live(MOMENT).build()
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fetcher").field(&self.0.config.allowed_domains).finish()
    }
}

impl Fetcher {
    /// A fetcher that has asked nobody yet.
    pub fn new(config: FetcherConfig) -> Self {
        let burst = NonZeroU32::new(10).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(Duration::from_secs(6)).unwrap_or(Quota::per_minute(burst)).allow_burst(burst);
        Self(Arc::new(Inner {
            config,
            fetches: [Semaphore::new(MAX_FETCHES), Semaphore::new(MAX_FETCHES)],
            per_host: RateLimiter::keyed(quota),
            documents: outcomes(),
            keys: outcomes(),
        }))
    }

    /// The document of a client id.
    pub async fn fetch(&self, url: &ClientIdUrl, known: Known) -> Result<Fetched<Document>, FetchError> {
        let read = |body: &[u8]| Ok(Document::read(url, body)?);
        self.0.asked(&self.0.documents, url, known, read).await
    }

    /// The keys at the `jwks_uri` of a known client, by the same rules.
    pub async fn fetch_keys(&self, url: &ClientIdUrl) -> Result<Fetched<KeySet>, FetchError> {
        self.0.asked(&self.0.keys, url, Known::Kept, |body| Ok(KeySet::read(body)?)).await
    }
}

impl Inner {
    fn is_allowed(&self, host: &str) -> bool {
        let allowed = &self.config.allowed_domains;
        let is_in = |domain: &String| {
            host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        allowed.is_empty() || allowed.iter().any(is_in)
    }

    async fn asked<T: Clone + Send + Sync + 'static>(
        &self,
        outcomes: &Outcomes<T>,
        url: &ClientIdUrl,
        known: Known,
        read: impl FnOnce(&[u8]) -> Result<T, FetchError>,
    ) -> Result<Fetched<T>, FetchError> {
        if !self.is_allowed(url.host()) {
            return Err(FetchError::NotAllowed);
        }
        let fetched = async {
            let (body, fresh_for) = self.fetch(url, known).await?;
            Ok(Fetched { content: read(&body)?, fresh_for })
        };
        let outcome = outcomes.get_with_by_ref(url.as_str(), fetched).await;
        if matches!(outcome, Err(FetchError::TooMany)) {
            // Nobody was asked, so there is nothing to remember.
            outcomes.invalidate(url.as_str()).await;
        }
        outcome
    }

    async fn fetch(&self, url: &ClientIdUrl, known: Known) -> Result<(Bytes, Duration), FetchError> {
        let [strangers, kept] = &self.fetches;
        let (places, counts_for) = match known {
            Known::Stranger => (strangers, url.host()),
            Known::Kept => (kept, url.as_str()),
        };
        let Ok(_place) = places.try_acquire() else { return Err(FetchError::TooMany) };
        self.per_host.retain_recent();
        if self.per_host.check_key(&counts_for.to_owned()).is_err() {
            return Err(FetchError::TooMany);
        }
        let fetched = tokio::time::timeout(PATIENCE, async {
            let response = self.get(url).await?;
            let fresh_for = checked(&response)?;
            let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
            let body = body.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
                true => FetchError::TooLarge,
                false => FetchError::Unreachable("the answer broke off"),
            })?;
            Ok((body.to_bytes(), fresh_for))
        });
        fetched.await.unwrap_or(Err(FetchError::Unreachable("its host took too long")))
    }

    async fn get(&self, url: &ClientIdUrl) -> Result<Response<Incoming>, FetchError> {
        let stream = self.connect(url).await?;
        let name = ServerName::try_from(url.host().to_owned()).map_err(|_| FetchError::NoPublicAddress)?;
        let tls = TlsConnector::from(self.config.tls.clone()).connect(name, stream).await;
        let tls = tls.map_err(|_| FetchError::Unreachable("TLS failed"))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await;
        let (mut sender, connection) = handshake.map_err(|_| FetchError::Unreachable("no HTTP is spoken there"))?;
        // Ends with the response, or with the sender.
        tokio::spawn(connection);
        let request = Request::get(url.path_and_query())
            .header(header::HOST, url.authority())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("grantd/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())
            .map_err(|_| FetchError::Unreachable("its URL cannot be asked for"))?;
        sender.send_request(request).await.map_err(|_| FetchError::Unreachable("there was no answer"))
    }

    /// To an address that was looked at. One that is not public spoils them all: such a name was set up for this.
    async fn connect(&self, url: &ClientIdUrl) -> Result<TcpStream, FetchError> {
        let resolved = tokio::net::lookup_host((url.host(), url.port())).await;
        let addresses: Vec<SocketAddr> = resolved.map_err(|_| FetchError::Unresolved)?.collect();
        let is_fine = |address: &SocketAddr| self.config.allow_private_addresses || is_public(address.ip());
        if addresses.is_empty() || !addresses.iter().all(is_fine) {
            return Err(FetchError::NoPublicAddress);
        }
        TcpStream::connect(&addresses[..]).await.map_err(|_| FetchError::Unreachable("nothing answers there"))
    }
}

/// Whether an answer is a document, and for how long.
pub(crate) fn checked<B>(response: &Response<B>) -> Result<Duration, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
        return Err(FetchError::ContentType);
    }
    Ok(Duration::from_secs(fresh_for(response.headers()).clamp(KEPT.0, KEPT.1)))
}

/// The freshness lifetime that is left, in seconds, from `Cache-Control` and `Age`. Documents that may not be stored, or not
/// without asking again, are kept for the shortest time: an authorization has several requests.
fn fresh_for(headers: &HeaderMap) -> u64 {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives: Vec<String> =
        values.flat_map(|value| value.split(',')).map(|directive| directive.trim().to_ascii_lowercase()).collect();
    if directives.iter().any(|directive| directive == "no-store" || directive.starts_with("no-cache")) {
        return 0;
    }
    let seconds = |name: &str| {
        let value = directives.iter().find_map(|directive| directive.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.trim_matches('"').parse::<u64>().ok())
    };
    let Some(max_age) = seconds("max-age") else { return KEPT_BY_DEFAULT };
    let age = headers.get(header::AGE).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    max_age.saturating_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_document_is_kept() {
        for (headers, seconds) in [
            (&[][..], 3600),
            (&[("cache-control", "max-age=7200")], 7200),
            (&[("cache-control", "public, Max-Age=\"7200\"")], 7200),
            (&[("cache-control", "max-age=7200"), ("age", "7000")], 300),
            (&[("cache-control", "max-age=7200"), ("age", "9000")], 300),
            (&[("cache-control", "max-age=0")], 300),
            (&[("cache-control", "no-store, max-age=7200")], 300),
            (&[("cache-control", "max-age=7200"), ("cache-control", "no-cache")], 300),
            (&[("cache-control", "max-age=99999999999999999999")], 3600),
            (&[("cache-control", "max-age=31536000")], 24 * 3600),
            (&[("cache-control", "s-maxage=5, maximum-age=5")], 3600),
        ] {
            let mut response = Response::builder().header("content-type", "application/json");
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            let response = response.body(()).unwrap();
            assert_eq!(checked(&response), Ok(Duration::from_secs(seconds)), "{headers:?}");
        }
    }

    #[tokio::test]
    async fn strangers_take_nothing_from_clients_that_are_known() {
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls =
            Arc::new(tls.with_root_certificates(tokio_rustls::rustls::RootCertStore::empty()).with_no_client_auth());
        let fetcher = Fetcher::new(FetcherConfig { tls, allowed_domains: vec![], allow_private_addresses: true });
        // A port that was free a moment ago: nothing answers there.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = |n: usize| ClientIdUrl::parse(&format!("https://localhost:{port}/{n}")).unwrap();
        let fetch = async |n: usize, known| fetcher.fetch(&url(n), known).await.unwrap_err();
        for n in 0..10 {
            assert!(matches!(fetch(n, Known::Stranger).await, FetchError::Unreachable(_)), "{n}");
        }
        assert_eq!(fetch(10, Known::Stranger).await, FetchError::TooMany);
        // Also one that a stranger named a moment ago, in vain.
        for n in [10, 11] {
            assert!(matches!(fetch(n, Known::Kept).await, FetchError::Unreachable(_)), "{n}");
        }
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for (status, content_type, expected) in [
            (200, "application/json; charset=utf-8", None),
            (200, "Application/JSON", None),
            (200, "application/oauth-client+json", None),
            (200, "text/html", Some(FetchError::ContentType)),
            (200, "text/json", Some(FetchError::ContentType)),
            (200, "", Some(FetchError::ContentType)),
            (301, "application/json", Some(FetchError::Status(301))),
            (204, "application/json", Some(FetchError::Status(204))),
            (404, "application/json", Some(FetchError::Status(404))),
        ] {
            let response = Response::builder().status(status).header("content-type", content_type).body(()).unwrap();
            assert_eq!(checked(&response).err(), expected, "{status} {content_type}");
        }
    }
}
