//! `[store]`: where state is kept.

use std::{fmt, path::PathBuf};

use grantd_store_redis::{ClientIdentity, ConnectError, RedisConfig};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::problems::Problems;

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Store {
    /// `embedded:`, or a Redis URL.
    pub(crate) url: StoreUrl,
    /// A file that holds `url`.
    pub(crate) url_file: Option<PathBuf>,
    /// `rediss..`: whose certificates are trusted beside those of the system's authorities.
    pub(crate) ca_file: Option<PathBuf>,
    /// `rediss..`: the certificate that Redis is shown.
    pub(crate) client_cert: Option<PathBuf>,
    /// The key of that certificate.
    pub(crate) client_key: Option<PathBuf>,
    /// How many replicas of Redis must have a commit before it is answered.
    pub(crate) wait_replicas: u8,
}

/// The kinds of store.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) enum StoreUrl {
    /// One file in the data directory.
    #[default]
    Embedded,
    /// Redis, by its URL, which may hold a password.
    Redis(url::Url),
}

const REDIS: [&str; 6] = ["redis", "rediss", "redis-sentinel", "rediss-sentinel", "redis-cluster", "rediss-cluster"];

impl Store {
    pub(super) fn check(&self, problems: &mut Problems) {
        for (one, other, key) in [
            (&self.client_cert, &self.client_key, "store.client_cert"),
            (&self.client_key, &self.client_cert, "store.client_key"),
        ] {
            problems.require(
                one.is_none() || other.is_some(),
                key,
                "client_cert and client_key go together: set both or none",
            );
        }
        let url = if self.url_file.is_some() { "store.url_file" } else { "store.url" };
        match self.redis().map(|redis| redis.check()) {
            Some(Err(ConnectError::Url(reason))) => {
                problems.add(url, reason);
            }
            Some(Err(error)) => {
                problems
                    .add(if self.ca_file.is_some() { "store.ca_file" } else { "store.client_cert" }, error.to_string());
            }
            Some(Ok(())) | None => {}
        }
    }

    /// Where Redis is, where the store is that.
    pub(crate) fn redis(&self) -> Option<RedisConfig> {
        let StoreUrl::Redis(url) = &self.url else { return None };
        let mut redis = RedisConfig::new(url.as_str());
        redis.wait_replicas = self.wait_replicas;
        redis.ca_file.clone_from(&self.ca_file);
        let identity = self.client_cert.clone().zip(self.client_key.clone());
        redis.client_identity = identity.map(|(cert_file, key_file)| ClientIdentity { cert_file, key_file });
        Some(redis)
    }
}

impl fmt::Display for StoreUrl {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded:"),
            Self::Redis(url) => {
                let mut url = url.clone();
                if url.password().is_some() {
                    // Cannot fail: a URL with a password has a host.
                    let _ = url.set_password(Some("(redacted)"));
                }
                url.set_query(None);
                write!(f, "{url}")
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if matches!(text.as_str(), "embedded:" | "embedded") {
            return Ok(Self::Embedded);
        }
        match url::Url::parse(&text) {
            Ok(url) if REDIS.contains(&url.scheme()) => Ok(Self::Redis(url)),
            // The URL is not repeated: it may hold a password.
            _ => Err(D::Error::custom(
                "write \"embedded:\" for one file in data_dir, or a Redis URL: redis://host:6379, \
                 redis-sentinel:// or redis-cluster://, and rediss.. for TLS",
            )),
        }
    }
}
