//! Where an answer will go, in words for a person.
//!
//! This is the one thing on the consent page that nobody can lie about, so the page leads with it.

use grantd_oauth_types::{RedirectKind, RedirectUri};
use url::Url;

use crate::text::{LINE, clean};

/// A redirect URI for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) kind: RedirectKind,
    /// "claude.ai", "a program on this computer (localhost:3118)", "an app on this device (cursor:)".
    pub(crate) name: String,
    /// The host, or the scheme with its colon.
    pub(crate) place: String,
    /// The whole URI.
    pub(crate) uri: String,
}

impl Destination {
    pub(crate) fn of(redirect: &RedirectUri) -> Self {
        let kind = redirect.kind();
        let place = match redirect.host() {
            // Redirect URIs are ASCII, so lookalike letters show as `xn--`.
            Some(host) => match Url::parse(redirect.as_str()).ok().and_then(|url| url.port()) {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            },
            None => format!("{}:", redirect.scheme()),
        };
        let name = match kind {
            RedirectKind::Https => place.clone(),
            RedirectKind::Loopback => format!("a program on this computer ({place})"),
            RedirectKind::PrivateUse => format!("an app on this device ({place})"),
        };
        Self { kind, name, place, uri: clean(redirect.as_str(), LINE) }
    }

    pub(crate) fn is_loopback(&self) -> bool {
        self.kind == RedirectKind::Loopback
    }

    pub(crate) fn is_app(&self) -> bool {
        self.kind == RedirectKind::PrivateUse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (uri, name) in [
            ("https://claude.ai/api/mcp/auth_callback", "claude.ai"),
            ("https://Claude.AI:443/cb", "claude.ai"),
            ("https://a.example:8443/cb", "a.example:8443"),
            ("https://xn--laude-0ye.ai/cb", "xn--laude-0ye.ai"),
            ("http://localhost:3118/callback", "a program on this computer (localhost:3118)"),
            ("http://127.0.0.1/", "a program on this computer (127.0.0.1)"),
            ("http://[::1]:9/cb", "a program on this computer ([::1]:9)"),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "an app on this device (cursor:)"),
        ] {
            assert_eq!(Destination::of(&RedirectUri::parse(uri).unwrap()).name, name);
        }
    }
}
