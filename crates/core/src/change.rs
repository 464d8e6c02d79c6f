//! What a decision writes.

use grantd_oauth_types::{ClientId, Digest, GrantId};

use crate::{
    records::{AccessRecord, Client, CodeRecord, Grant, PendingRequest, RefreshRecord, Session, UsedAssertion, User},
    time::Timestamp,
};

/// The name of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordKey {
    /// A registered client.
    Client(ClientId),
    /// A pending authorization.
    Request(GrantId),
    /// An authorization code.
    Code(GrantId, Digest),
    /// An access token.
    Access(GrantId, Digest),
    /// A refresh token.
    Refresh(GrantId, Digest),
    /// The head of a grant.
    Grant(GrantId),
    /// A sign-in session, by the digest of its secret.
    Session(Digest),
    /// A local user, by user name.
    User(String),
    /// A used client assertion, by the digest of whose it was and its `jti`.
    Assertion(Digest),
}

/// Any record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant wraps the record of its name")]
pub enum Record {
    Client(Client),
    Request(PendingRequest),
    Code(CodeRecord),
    Access(AccessRecord),
    Refresh(RefreshRecord),
    Grant(Box<Grant>),
    Session(Session),
    User(User),
    Assertion(UsedAssertion),
}

impl Record {
    /// When it stops to exist; `None` keeps it.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self {
            Self::Client(client) => Some(client.expires_at),
            Self::Request(request) => Some(request.expires_at),
            Self::Code(code) => Some(code.expires_at),
            Self::Access(access) => Some(access.expires_at),
            Self::Refresh(refresh) => Some(refresh.expires_at),
            Self::Grant(grant) => Some(grant.expires_at),
            Self::Session(session) => Some(session.expires_at),
            Self::User(_) => None,
            Self::Assertion(used) => Some(used.expires_at),
        }
    }
}

/// What every gate must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announce {
    /// Nothing of this grant is valid any more.
    Revoked(GrantId),
    /// The grant's access token changed.
    Superseded(GrantId),
    /// Whose grant it is has less than before: what was let in for it must be asked about again.
    Changed(GrantId),
}

/// All or nothing: what a decision writes. Everything in it belongs to one slot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// Records that must still be as they were loaded: the same version, or still absent.
    pub unchanged: Vec<RecordKey>,
    /// To write; the first one identifies the commit.
    pub puts: Vec<(RecordKey, Record)>,
    /// To remove.
    pub deletes: Vec<RecordKey>,
    /// To announce.
    pub announce: Vec<Announce>,
}

impl Change {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty() && self.announce.is_empty()
    }
}
