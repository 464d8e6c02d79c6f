//! `[client_metadata]`: clients whose id is the URL of a metadata document.

use std::path::PathBuf;

use grantd_oauth_types::PublicUrl;
use serde::{Deserialize, Serialize};

use super::problems::Problems;

/// Clients whose id is the URL of a metadata document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ClientMetadata {
    /// Whether such clients are let in, and told so.
    pub(crate) enabled: bool,
    /// Whose; empty: everybody's.
    pub(crate) allowed_domains: Vec<String>,
    /// An authority to believe beside the usual ones.
    pub(crate) ca_file: Option<PathBuf>,
    /// Asks hosts of the own network, too.
    pub(crate) insecure_allow_private_addresses: bool,
}

impl ClientMetadata {
    pub(super) fn check(&self, public_url: &PublicUrl, problems: &mut Problems) {
        for (at, domain) in self.allowed_domains.iter().enumerate() {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
            problems.require(
                !domain.is_empty() && domain.bytes().all(plain) && !domain.starts_with('.') && !domain.ends_with('.'),
                format!("client_metadata.allowed_domains[{at}]"),
                "write a domain in lower case, such as claude.ai; its subdomains are meant as well",
            );
        }
        problems.require(
            !(self.insecure_allow_private_addresses && public_url.is_https()),
            "client_metadata.insecure_allow_private_addresses",
            "on a public server anybody could make it ask hosts of its own network; it is for a localhost public_url only",
        );
    }
}
