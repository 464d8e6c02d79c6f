//! `[operations]`: the listener for whoever runs grantd.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Config, Purpose, problems::Problems, values};

/// The listener for probes and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Operations {
    /// Where it listens; nowhere unless set.
    #[serde(with = "values::optional_address")]
    pub(crate) listen: Option<SocketAddr>,
}

impl Operations {
    pub(super) fn check(&self, config: &Config, purpose: Purpose, problems: &mut Problems) {
        let (other, key) = match purpose {
            Purpose::Serve | Purpose::Demo | Purpose::Facade => (config.listen, "listen"),
            Purpose::TokenService => (config.token_service.listen, "token_service.listen"),
            Purpose::Tool => return,
        };
        problems.require(
            self.listen != Some(other),
            "operations.listen",
            format!("{other} is taken by {key}: choose another port, which only your own network reaches"),
        );
    }
}
