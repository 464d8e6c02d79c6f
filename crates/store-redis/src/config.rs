//! Where Redis is, and how long to wait for it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use grantd_store::Timestamp;

/// Where Redis is, and how long to wait for it.
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisConfig {
    /// `redis://` or `rediss://` (TLS): `[user[:password]@]host[:port][/database]`. It may hold a password and is
    /// neither shown nor logged.
    pub url: String,
    /// How long a call may take, from its beginning. Then it fails; a commit may have happened all the same.
    pub deadline: Duration,
    /// How long one attempt to connect may take, TLS included.
    pub connect_timeout: Duration,
    /// How many connections carry the calls. Calls are pipelined, so a few suffice: they keep one large reply from
    /// holding up all others.
    pub connections: usize,
}

impl RedisConfig {
    /// The defaults: 2 s a call, 2 s to connect, 4 connections.
    pub fn new(url: impl Into<String>) -> Self {
        let seconds = Duration::from_secs(2);
        Self { url: url.into(), deadline: seconds, connect_timeout: seconds, connections: 4 }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &"(hidden)")
            .field("deadline", &self.deadline)
            .field("connect_timeout", &self.connect_timeout)
            .field("connections", &self.connections)
            .finish()
    }
}

/// How far the store's clock is ahead of Redis' own. Zero, and left alone, in production: tests drive it to let records
/// expire. Clones share one offset.
#[derive(Debug, Clone, Default)]
pub struct ClockOffset(Arc<AtomicU64>);

impl ClockOffset {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub(crate) fn millis(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn apply(&self, time: Timestamp) -> Timestamp {
        time.plus(Duration::from_millis(self.millis()))
    }
}
