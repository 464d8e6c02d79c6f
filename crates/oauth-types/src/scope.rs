//! Scopes (RFC 6749 §3.3).

use std::{collections::BTreeSet, fmt};

/// One scope token: printable ASCII without space, `"` and `\`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(String);

impl Scope {
    /// Reads a scope token.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = !text.is_empty()
            && text.len() <= 256
            && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        valid.then(|| Self(text.to_owned()))
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of scope tokens; displays as the space-separated list of the RFC, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ScopeSet(BTreeSet<Scope>);

impl ScopeSet {
    /// Reads a list as clients send it: leading, trailing and double spaces and duplicates are fine, and tokens that are
    /// no scope tokens are dropped, because an unknown scope is never a reason to refuse.
    pub fn parse_lenient(text: &str) -> Self {
        text.split_ascii_whitespace().filter_map(Scope::parse).collect()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this scope is in the set.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// Whether every scope of `other` is in this set.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// The scopes in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.0.intersection(&other.0).cloned().collect()
    }

    /// The scopes in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.0.union(&other.0).cloned().collect()
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_clients_send_them() {
        for (sent, read) in [
            ("read:articles write:articles", "read:articles write:articles"),
            (" offline_access", "offline_access"),
            ("b  a b", "a b"),
            ("", ""),
            ("a\u{e9} ok \"x\" back\\slash", "ok"),
        ] {
            assert_eq!(ScopeSet::parse_lenient(sent).to_string(), read, "{sent:?}");
        }
    }

    #[test]
    fn set_algebra() {
        let (ab, bc) = (ScopeSet::parse_lenient("a b"), ScopeSet::parse_lenient("b c"));
        assert_eq!(ab.intersection(&bc).to_string(), "b");
        assert_eq!(ab.union(&bc).to_string(), "a b c");
        assert!(ab.union(&bc).contains_all(&ab) && !ab.contains_all(&bc));
        assert!(ab.contains_all(&ScopeSet::default()));
    }
}
