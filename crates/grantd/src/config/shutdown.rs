//! `[shutdown]`: how long the steps of stopping take.

use serde::{Deserialize, Serialize};

use super::{problems::Problems, values::Lifetime};
use crate::drain::Pace;

/// The steps of stopping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Shutdown {
    /// How long it goes on accepting, not ready any more.
    pub(crate) delay: Lifetime,
    /// How long what is in flight may take after that.
    pub(crate) deadline: Lifetime,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { delay: Lifetime::secs(0), deadline: Lifetime::secs(10) }
    }
}

impl Shutdown {
    /// As the drain wants it.
    pub(crate) fn pace(&self) -> Pace {
        Pace { delay: self.delay.0, deadline: self.deadline.0 }
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        problems.require(
            self.delay <= Lifetime::secs(300),
            "shutdown.delay",
            "it must be at most 5m: load balancers notice within seconds, and nothing stops before it is over",
        );
        problems.require(
            self.deadline >= Lifetime::secs(1) && self.deadline <= Lifetime::secs(3600),
            "shutdown.deadline",
            "it must be between 1s and 1h: what is in flight needs a moment, and a client that never ends must not hold the stop up",
        );
    }
}
