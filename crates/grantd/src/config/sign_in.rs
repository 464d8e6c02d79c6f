//! `[sign_in]`: people and their sessions.

use serde::{Deserialize, Serialize};

use super::{problems::Problems, values::Lifetime};

/// People and their sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SignIn {
    /// How long a person stays signed in.
    pub(crate) session_ttl: Lifetime,
    /// How many passwords are checked at once.
    pub(crate) argon2_parallel: usize,
}

impl Default for SignIn {
    fn default() -> Self {
        Self { session_ttl: Lifetime(grantd_core::Lifetimes::default().session), argon2_parallel: 2 }
    }
}

impl SignIn {
    pub(super) fn check(&self, problems: &mut Problems) {
        problems.require(
            self.session_ttl >= Lifetime::secs(300),
            "sign_in.session_ttl",
            "it must be at least 5m, or people are signed out while they read the consent page",
        );
        problems.require(
            (1..=64).contains(&self.argon2_parallel),
            "sign_in.argon2_parallel",
            "it must be between 1 and 64; each check takes 19 MiB and one core",
        );
    }
}
