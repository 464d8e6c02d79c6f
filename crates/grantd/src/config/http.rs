//! `[http]`: the listener for clients and people.

use serde::{Deserialize, Serialize};

use super::problems::Problems;
use crate::http::TrustedProxies;

/// The listener for clients and people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Http {
    /// Whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<String>,
    /// How many connections may be open.
    pub(crate) max_connections: usize,
    /// How many calls of the token service may be under way.
    pub(crate) max_calls: usize,
}

impl Default for Http {
    fn default() -> Self {
        Self { trusted_proxies: Vec::new(), max_connections: 10_000, max_calls: 1024 }
    }
}

impl Http {
    /// The proxies. What cannot be read was refused when the configuration was checked.
    pub(crate) fn proxies(&self) -> TrustedProxies {
        TrustedProxies::parse(self.trusted_proxies.iter().map(String::as_str)).unwrap_or_default()
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        for (at, text) in self.trusted_proxies.iter().enumerate() {
            let path = format!("http.trusted_proxies[{at}]");
            match TrustedProxies::parse([text.as_str()]) {
                Err(_) => problems.add(path, "write an address or a network, such as 127.0.0.1 or 10.0.0.0/8"),
                Ok(_) => problems.require(
                    !text.ends_with("/0"),
                    path,
                    "that is everybody: then any client may say that it has another's address",
                ),
            }
        }
        problems.require(
            self.max_connections >= 16,
            "http.max_connections",
            "it must be at least 16: every open event stream of a client takes one",
        );
        problems.require(
            (16..=1_000_000).contains(&self.max_calls),
            "http.max_calls",
            "it must be between 16 and 1000000",
        );
    }
}
