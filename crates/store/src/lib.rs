//! What a store is: keys, versions, expiry and atomic batches. It knows no OAuth.
//!
//! A rule is applied in three steps, by the token service:
//!
//! 1. [`Store::get`] loads records with their versions and the store's own time;
//! 2. a plain function of `grantd-core` decides;
//! 3. [`Store::commit`] writes the decision, if nothing it rests on has changed; on [`CommitOutcome::Conflict`] the
//!    service starts again at 1.
//!
//! A record's version is the id of the commit that wrote it. A commit whose reply was lost can therefore be sent again:
//! when the batch's first put is there and already bears this commit's id the answer is `Committed`, and nothing happens
//! twice. (A first put that has expired meanwhile is absent, here as everywhere.)
//!
//! Expiry is judged by the `expires_at` of the record against the store's clock, at read and in preconditions alike; a
//! backend's own expiry (a Redis TTL) only collects garbage.
//!
//! [`codec`] turns the records of `grantd-core` into bytes and back. Retrying after a failure is the caller's business.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
pub use grantd_core::Timestamp;

pub mod codec;
pub mod keys;
mod traced;

pub use keys::{Index, Key};
pub use traced::Traced;

/// The id of a commit, and so the version of every record it wrote. Random, chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(pub [u8; 16]);

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The bytes that were put.
    pub value: Bytes,
    /// The commit that put them.
    pub version: CommitId,
    /// When it stops to exist; `None` for records that stay.
    pub expires_at: Option<Timestamp>,
}

/// What one [`Store::get`] saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The store's time when it answered. Ages are judged by this clock only.
    pub now: Timestamp,
    /// One per key asked for, in that order; `None` when absent or expired.
    pub entries: Vec<Option<Entry>>,
}

/// What must hold for a batch to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// The record is there, not expired, and has this version.
    Version(Key, CommitId),
    /// There is no record, or it has expired.
    Absent(Key),
}

impl Precondition {
    /// The record it is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Version(key, _) | Self::Absent(key) => key,
        }
    }
}

/// One record to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Where.
    pub key: Key,
    /// What. Never a secret in the clear.
    pub value: Bytes,
    /// When it stops to exist; `None` keeps it.
    pub expires_at: Option<Timestamp>,
}

/// All or nothing. Every key of a batch must have the same [`Key::slot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Becomes the version of every put.
    pub id: CommitId,
    /// All must hold.
    pub preconditions: Vec<Precondition>,
    /// Written when they do. The first one tells whether this batch was committed already.
    pub puts: Vec<Put>,
    /// Removed when they do, before the puts; absent ones are fine.
    pub deletes: Vec<Key>,
    /// Sent to every watcher once it is written (also when it is found to be written already).
    pub announce: Vec<Announcement>,
}

impl Batch {
    /// Refuses keys of two slots. For stores: what no backend can promise, none lets pass.
    pub fn check(&self) -> Result<(), StoreError> {
        let checked = self.preconditions.iter().map(Precondition::key);
        let mut slots = checked.chain(self.puts.iter().map(|put| &put.key)).chain(&self.deletes).map(Key::slot);
        let first = slots.next();
        if slots.any(|slot| Some(slot) != first) {
            return Err(StoreError::Misuse("keys of two slots in one batch"));
        }
        Ok(())
    }
}

/// The answer to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Written, now or by an earlier attempt with the same id.
    Committed,
    /// A precondition did not hold. Nothing was written.
    Conflict,
}

/// What a gate must forget. Subjects, clients and grants are named by their ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Announcement {
    /// Nothing of this grant is valid any more.
    RevokedGrant(String),
    /// Nothing of this person's grants is valid any more.
    RevokedSubject(String),
    /// Nothing of this client's grants is valid any more.
    RevokedClient(String),
    /// The grant's access tokens changed.
    SupersededGrant(String),
    /// The person of the grant has less than before.
    ChangedGrant(String),
}

/// One page of an index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IndexPage {
    /// Members in ascending order.
    pub members: Vec<String>,
    /// Pass it as `after` to go on; `None` on the last page. A page may be short, or empty, and still not be the last.
    pub next: Option<String>,
}

/// Why a store could not answer. The outcome of a failed commit is unknown: send it again with the same id.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Away, too slow or overloaded; trying again later may work.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
    /// A record cannot be read: damaged, or written by a newer grantd. Trying again will not help.
    #[error("the store holds a record that cannot be read: {0}")]
    Corrupt(String),
    /// The request breaks the contract of this trait: keys of two slots in one batch, a page of zero members.
    #[error("the store was misused: {0}")]
    Misuse(&'static str),
}

/// Keys, versions, expiry.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads records. Keys may have different slots; those of one slot are read at one moment. One round trip per slot.
    async fn get(&self, keys: &[Key]) -> Result<Snapshot, StoreError>;

    /// Writes a batch, or nothing.
    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, StoreError>;

    /// Puts a member into an index, or renews it. An index may lag and may list what is gone; it is never trusted for a
    /// decision.
    async fn index_add(&self, index: &Index, member: &str, expires_at: Option<Timestamp>) -> Result<(), StoreError>;

    /// Takes a member out of an index.
    async fn index_remove(&self, index: &Index, member: &str) -> Result<(), StoreError>;

    /// Lists members after `after`, in ascending order, at most `limit` (at least 1), without the expired ones.
    async fn index_list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<IndexPage, StoreError>;

    /// Announcements from now on, of every process that shares the store. An `Err` item says that some may have been
    /// missed; the stream goes on. Fails with `Unavailable` while announcements cannot be heard.
    async fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError>;

    /// One cheap round trip that proves the store can be reached and read. For readiness.
    async fn ping(&self) -> Result<Duration, StoreError>;
}
