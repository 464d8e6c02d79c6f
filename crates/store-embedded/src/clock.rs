//! The store's clock. The one place in grantd that reads the system's.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use grantd_store::Timestamp;

/// Tells the store's time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the store's clock, from which everybody takes the time")]
    fn now(&self) -> Timestamp {
        // Before 1970 everything is alive: a broken clock must not expire what it cannot judge.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
