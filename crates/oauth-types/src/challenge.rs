//! `WWW-Authenticate: Bearer ...` (RFC 6750 §3, RFC 9728 §5.1), in the one shape every measured client reads.
//!
//! Clients parse this header with regular expressions and hand-made parsers: the scheme is spelled `Bearer`, no value is
//! empty, nothing is escaped, and no text could be taken for another parameter.

use crate::{OAuthErrorCode, ScopeSet};

/// A Bearer challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BearerChallenge<'a> {
    /// Absolute URL of the protected-resource metadata.
    pub resource_metadata: &'a str,
    /// What the client should ask for; left out when empty.
    pub scope: &'a ScopeSet,
    /// `invalid_token` or `insufficient_scope`; none when no token was sent.
    pub error: Option<OAuthErrorCode>,
}

impl BearerChallenge<'_> {
    /// The header's value.
    pub fn header_value(&self) -> String {
        let mut value = String::from("Bearer ");
        if let Some(error) = self.error {
            value.push_str("error=\"");
            value.push_str(error.as_str());
            value.push_str("\", ");
        }
        value.push_str("resource_metadata=\"");
        value.push_str(self.resource_metadata);
        value.push('"');
        if !self.scope.is_empty() {
            value.push_str(", scope=\"");
            value.push_str(&self.scope.to_string());
            value.push('"');
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let scope = ScopeSet::parse_lenient("read:articles write:articles");
        let metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
        let mut challenge = BearerChallenge { resource_metadata: metadata, scope: &scope, error: None };
        assert_eq!(
            challenge.header_value(),
            format!("Bearer resource_metadata=\"{metadata}\", scope=\"read:articles write:articles\"")
        );
        challenge.error = Some(OAuthErrorCode::InvalidToken);
        assert!(challenge.header_value().starts_with("Bearer error=\"invalid_token\", resource_metadata="));
        let none = ScopeSet::default();
        challenge.scope = &none;
        assert!(!challenge.header_value().contains("scope="));
    }
}
