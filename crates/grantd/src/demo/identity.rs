//! Who calls, as a protected MCP server learns it: from the headers that the gate adds, and nobody outside can forge.

use http::HeaderMap;
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
        let header = |name: &str| {
            let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            value.filter(|value| !value.is_empty())
        };
        let list = |name: &str, separator: char| -> Vec<String> {
            let text = header(name).unwrap_or_default();
            text.split(separator).map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
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
            ("x-forwarded-preferred-username", "owner"),
            ("x-forwarded-groups", "owner, staff"),
            ("x-grantd-scope", "read:articles write:articles"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let who = Identity::of(&headers).unwrap();
        assert_eq!(who.groups, ["owner", "staff"]);
        assert!(who.may("write:articles") && !who.may("write"));
        assert_eq!(who.email, None);
    }
}
