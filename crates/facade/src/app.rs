//! What every handler shares: configuration, the two clients, and what is computed from them once.

use std::sync::Arc;

use bytes::Bytes;
use grantd_proto::{IdentityServiceClient, TokenServiceClient};
use tokio::sync::Semaphore;

use crate::{FacadeConfig, clicks::Clicks, cookie::SessionCookie, metadata, metrics::Metrics, pages::PageHeaders};

/// Sign-ins under way. At some tens of milliseconds each this is a few seconds of waiting.
const MAX_SIGN_INS: usize = 64;

/// The state of the router.
pub(crate) type Shared = Arc<App>;

/// The facade's values. Immutable but for `clicks`.
pub(crate) struct App {
    pub(crate) config: FacadeConfig,
    /// The public URL's path without a trailing slash: every link starts with it.
    pub(crate) base: String,
    /// The public URL's origin, as browsers write it in `Origin`.
    pub(crate) origin: String,
    pub(crate) cookie: SessionCookie,
    /// The authorization-server metadata, ready to send.
    pub(crate) metadata: Bytes,
    /// The paths below the well-known one at which the metadata is also served.
    pub(crate) metadata_paths: Vec<String>,
    pub(crate) page_headers: PageHeaders,
    /// Makes a double click on a decision work where the decision ends the session.
    pub(crate) clicks: Clicks,
    /// Places for calls. Without one a request does not wait: whoever is too busy says so at once.
    pub(crate) calls: Semaphore,
    /// Places for sign-ins, of their own and few: each costs the service a password hash, so they pile up first, and what
    /// has nothing to do with them must go on.
    pub(crate) sign_ins: Semaphore,
    /// Places for calls that are sent again for longer than others.
    pub(crate) patient: Semaphore,
    pub(crate) tokens: TokenServiceClient,
    pub(crate) identity: IdentityServiceClient,
    pub(crate) metrics: Metrics,
}

impl App {
    /// Calls that are under way, and sign-ins.
    pub(crate) fn under_way(&self) -> (usize, usize) {
        let sign_ins = MAX_SIGN_INS.min(self.config.max_calls);
        (self.config.max_calls - self.calls.available_permits(), sign_ins - self.sign_ins.available_permits())
    }

    pub(crate) fn new(config: FacadeConfig, tokens: TokenServiceClient, identity: IdentityServiceClient) -> Self {
        Self {
            base: config.public_url.path().to_owned(),
            origin: config.public_url.origin(),
            cookie: SessionCookie::new(config.public_url.is_https()),
            metadata: metadata::document(&config),
            metadata_paths: metadata::paths(&config),
            page_headers: PageHeaders::new(),
            clicks: Clicks::default(),
            calls: Semaphore::new(config.max_calls),
            sign_ins: Semaphore::new(MAX_SIGN_INS.min(config.max_calls)),
            patient: Semaphore::new(config.max_calls / 8),
            config,
            tokens,
            identity,
            metrics: Metrics::new(),
        }
    }

    /// A link to one of our own endpoints; `path` starts with a slash.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}
