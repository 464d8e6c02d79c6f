//! Whose an `Mcp-Session-Id` is: a session of one person is not to be used by another.
//!
//! Remembered in this process, for sessions it saw begin; a bounded number, the least used forgotten first. With several
//! gates a session that began elsewhere is unknown here and passes: its upstream decides.

use grantd_oauth_types::Digest;

pub(crate) struct Sessions(moka::sync::Cache<Digest, std::sync::Arc<str>>);

impl Sessions {
    pub(crate) fn new() -> Self {
        Self(moka::sync::Cache::new(100_000))
    }

    /// The upstream opened a session for this person.
    pub(crate) fn opened(&self, resource: usize, session: &[u8], subject: &str) {
        self.0.insert(key(resource, session), subject.into());
    }

    /// Whether this person may use the session.
    pub(crate) fn may_use(&self, resource: usize, session: &[u8], subject: &str) -> bool {
        self.0.get(&key(resource, session)).is_none_or(|owner| *owner == *subject)
    }
}

fn key(resource: usize, session: &[u8]) -> Digest {
    Digest::of(&[&resource.to_be_bytes()[..], session].concat())
}
