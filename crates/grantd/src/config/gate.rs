//! `[gate]`: the bearer check and the proxy.

use serde::{Deserialize, Serialize};

use super::{
    problems::Problems,
    values::{Lifetime, Size},
};

/// The bearer check and the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Gate {
    /// How long a positive answer is trusted.
    pub(crate) cache_max_age: Lifetime,
    /// The largest request body that is forwarded.
    pub(crate) max_body: Size,
    /// How long the upstream may take to begin its answer.
    pub(crate) upstream_timeout: Lifetime,
    /// Origins of pages that may call, beside our own and loopback ones; `*` allows all.
    pub(crate) allowed_origins: Vec<String>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            cache_max_age: Lifetime::secs(5),
            max_body: Size(4 << 20),
            upstream_timeout: Lifetime::secs(300),
            allowed_origins: Vec::new(),
        }
    }
}

impl Gate {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.require(
            self.cache_max_age <= Lifetime::secs(60),
            "gate.cache_max_age",
            "it must be at most 1m: that long a revoked token may still be let through when announcements are lost",
        );
        problems.require(self.upstream_timeout >= Lifetime::secs(1), "gate.upstream_timeout", "it must be at least 1s");
        problems.require(
            self.max_body >= Size(1 << 10) && self.max_body <= Size(1 << 30),
            "gate.max_body",
            "it must be between 1KiB and 1GiB",
        );
        for (at, origin) in self.allowed_origins.iter().enumerate().filter(|(_, origin)| *origin != "*") {
            let key = format!("gate.allowed_origins[{at}]");
            match origin_of(origin) {
                Some(meant) if meant == *origin => {}
                Some(meant) => problems.add(
                    key,
                    format!(
                        "no browser writes an origin like this: write {meant:?}, without path, slash or default port"
                    ),
                ),
                None => problems.add(
                    key,
                    "write the origin of a page, such as \"https://app.example.com\", or \"*\" for every page",
                ),
            }
        }
    }
}

/// How browsers write the origin of a page at this URL (RFC 6454 §6.2).
fn origin_of(text: &str) -> Option<String> {
    let url = url::Url::parse(text).ok()?;
    // Those of http, https and the like; extensions and editors have schemes of their own, and are written alike.
    if url.origin().is_tuple() {
        return Some(url.origin().ascii_serialization());
    }
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{host}{port}", url.scheme()))
}
