//! Who calls, as a protected MCP server learns it: from the headers that the gate adds, and nobody outside can forge as long as
//! the server can be reached through the gate alone. Their values are percent-encoded.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Serialize;

/// The person, and the client they use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Identity {
    /// The stable id of the person.
    pub(super) user: String,
    /// What they sign in with.
    pub(super) preferred_username: String,
    /// Their address, when known.
    pub(super) email: Option<String>,
    /// Their groups.
    pub(super) groups: Vec<String>,
    /// The client they use.
    pub(super) client_id: Option<String>,
    /// What the client may do for them.
    pub(super) scopes: Vec<String>,
}

impl Identity {
    /// From the headers of a request; nothing when it did not come through the gate.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let sent = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
        let header = |name: &str| sent(name).map(decoded);
        // Taken apart first: an encoded comma belongs to the name of a group.
        let list = |name: &str, separator: char| -> Vec<String> {
            let text = sent(name).unwrap_or_default();
            text.split(separator).map(str::trim).filter(|item| !item.is_empty()).map(decoded).collect()
        };
        Some(Self {
            user: header("x-forwarded-user")?,
            preferred_username: header("x-forwarded-preferred-username").unwrap_or_default(),
            email: header("x-forwarded-email"),
            groups: list("x-forwarded-groups", ','),
            client_id: header("x-grantd-client-id"),
            scopes: list("x-grantd-scope", ' '),
        })
    }

    /// Whether the client may do this for them.
    pub(super) fn may(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_say_who_calls() {
        let mut headers = HeaderMap::new();
        assert_eq!(Identity::of(&headers), None);
        for (name, value) in [
            ("x-forwarded-user", "s1"),
            ("x-forwarded-preferred-username", "j%C3%B6rg"),
            ("x-forwarded-groups", "owner, staff,sales%2C Berlin,100%25"),
            ("x-grantd-scope", "read:articles write:articles"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let who = Identity::of(&headers).unwrap();
        assert_eq!(who.preferred_username, "j\u{f6}rg");
        assert_eq!(who.groups, ["owner", "staff", "sales, Berlin", "100%"]);
        assert!(who.may("write:articles") && !who.may("write"));
        assert_eq!(who.email, None);
    }
}
