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
}

impl Default for Gate {
    fn default() -> Self {
        Self { cache_max_age: Lifetime::secs(5), max_body: Size(4 << 20) }
    }
}

impl Gate {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.require(
            self.cache_max_age <= Lifetime::secs(60),
            "gate.cache_max_age",
            "it must be at most 1m: that long a revoked token may still be let through when announcements are lost",
        );
        problems.require(
            self.max_body >= Size(1 << 10) && self.max_body <= Size(1 << 30),
            "gate.max_body",
            "it must be between 1KiB and 1GiB",
        );
    }
}
