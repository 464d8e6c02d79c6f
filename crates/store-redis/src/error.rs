//! What can go wrong, for those who start and for those who use the store. No text holds the URL or its password.

use fred::error::{Error, ErrorKind};
use grantd_store::StoreError;

/// Why grantd cannot start on this Redis.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is not one of ours.
    #[error("the Redis URL cannot be used: {0}")]
    Url(&'static str),
    /// A certificate, a key, or what was said of them.
    #[error("TLS to Redis: {0}")]
    Tls(String),
    /// Nobody answers there, or not to us.
    #[error("Redis cannot be used: {0}")]
    Unreachable(String),
    /// Scripts need what came with Redis 7.
    #[error("this Redis is version {0}; grantd needs Redis 7.0 or newer, or Valkey")]
    TooOld(String),
    /// It may drop records that grantd relies on.
    #[error(
        "this Redis has maxmemory-policy {0} and may drop tokens and grants when memory is short; \
         set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf)"
    )]
    Evicts(String),
    /// The ACL hides what start must see.
    #[error(
        "the Redis user may not run INFO, by which grantd checks version and eviction policy; add +info to its ACL"
    )]
    InfoDenied,
}

/// What the callers of the store get to know.
pub(crate) fn store(cause: &Error) -> StoreError {
    let details = cause.details();
    if details.starts_with("GRANTD_CORRUPT") || details.starts_with("WRONGTYPE") {
        return StoreError::Corrupt(details.to_owned());
    }
    StoreError::Unavailable(match cause.kind() {
        ErrorKind::Timeout => "no answer within the deadline".to_owned(),
        _ => details.to_owned(),
    })
}

/// What is said at start.
pub(crate) fn connect(cause: &Error) -> ConnectError {
    if cause.details().starts_with("NOPERM") && cause.details().contains("info") {
        return ConnectError::InfoDenied;
    }
    ConnectError::Unreachable(cause.details().to_owned())
}
