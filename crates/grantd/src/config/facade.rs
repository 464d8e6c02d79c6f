//! `[facade]`: the OAuth endpoints and the pages.

use serde::{Deserialize, Serialize};

use super::{
    problems::Problems,
    values::{Lifetime, Size},
};

/// The OAuth endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Facade {
    /// Hosts that an authorization error may be redirected to at once.
    pub(crate) trusted_redirect_hosts: Vec<String>,
    /// Whether answers carry `iss` (RFC 9207).
    pub(crate) iss_parameter: bool,
    /// The longest a gRPC call may take.
    pub(crate) call_timeout: Lifetime,
    /// The largest request body.
    pub(crate) max_body: Size,
}

/// The callbacks of the known clients that are web sites.
const KNOWN_CLIENTS: [&str; 9] = [
    "claude.ai",
    "claude.com",
    "chatgpt.com",
    "vscode.dev",
    "insiders.vscode.dev",
    "www.cursor.com",
    "global.consent.azure-apim.net",
    "www.perplexity.ai",
    "enterprise.perplexity.ai",
];

impl Default for Facade {
    fn default() -> Self {
        Self {
            trusted_redirect_hosts: KNOWN_CLIENTS.map(str::to_owned).to_vec(),
            iss_parameter: true,
            call_timeout: Lifetime::secs(5),
            max_body: Size(512 << 10),
        }
    }
}

impl Facade {
    /// The longest a call may take.
    pub(crate) fn call_timeout(&self) -> std::time::Duration {
        self.call_timeout.0
    }

    pub(super) fn check(&self, problems: &mut Problems) {
        for (at, host) in self.trusted_redirect_hosts.iter().enumerate() {
            let plain = url::Host::parse(host).is_ok_and(|parsed| parsed.to_string() == *host);
            problems.require(
                plain,
                format!("facade.trusted_redirect_hosts[{at}]"),
                "write a host name in lower case, without scheme, port or wildcard, such as claude.ai",
            );
        }
        problems.require(
            self.call_timeout >= Lifetime::secs(1) && self.call_timeout <= Lifetime::secs(60),
            "facade.call_timeout",
            "it must be between 1s and 1m: clients give up on a slow sign-in themselves",
        );
        problems.require(
            (Size(8 << 10)..=Size(4 << 20)).contains(&self.max_body),
            "facade.max_body",
            "it must be between 8KiB and 4MiB: no OAuth request is larger, and each is held in memory",
        );
    }
}
