//! Short words for the properties: batches, expectations, a watch with patience.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use grantd_store::{
    Announcement, Batch, CommitId, CommitOutcome, Entry, Key, Precondition, Put, Snapshot, Store, StoreError, Timestamp,
};

use crate::{Failure, Verdict};

/// A bound on patience for what should come at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fails with a text unless `$holds`.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err($crate::Failure(format!($($text)+)));
        }
    };
}
pub(crate) use ensure;

/// A commit id of its own.
pub(crate) fn id() -> CommitId {
    CommitId(rand::random())
}

/// A key in the slot `slot`.
pub(crate) fn key(slot: &str, name: &str) -> Key {
    Key::raw(format!("oauth:test:{{{slot}}}:{name}"))
}

/// An empty batch with an id of its own.
pub(crate) fn batch() -> Build {
    Build(Batch { id: id(), preconditions: vec![], puts: vec![], deletes: vec![], announce: vec![] })
}

/// A batch under construction.
#[derive(Clone)]
pub(crate) struct Build(pub(crate) Batch);

impl Build {
    pub(crate) fn absent(mut self, key: &Key) -> Self {
        self.0.preconditions.push(Precondition::Absent(key.clone()));
        self
    }

    pub(crate) fn version(mut self, key: &Key, version: CommitId) -> Self {
        self.0.preconditions.push(Precondition::Version(key.clone(), version));
        self
    }

    pub(crate) fn put(self, key: &Key, value: &str) -> Self {
        self.put_until(key, value, None)
    }

    pub(crate) fn put_until(mut self, key: &Key, value: &str, expires_at: Option<Timestamp>) -> Self {
        self.0.puts.push(Put { key: key.clone(), value: Bytes::copy_from_slice(value.as_bytes()), expires_at });
        self
    }

    pub(crate) fn delete(mut self, key: &Key) -> Self {
        self.0.deletes.push(key.clone());
        self
    }

    pub(crate) fn announce(mut self, announcement: Announcement) -> Self {
        self.0.announce.push(announcement);
        self
    }

    pub(crate) fn id(&self) -> CommitId {
        self.0.id
    }

    pub(crate) async fn outcome(&self, store: &dyn Store) -> Result<CommitOutcome, StoreError> {
        store.commit(self.0.clone()).await
    }

    /// Commits, or fails; answers the version of what was put.
    pub(crate) async fn committed(&self, store: &dyn Store, why: &str) -> Result<CommitId, Failure> {
        let outcome = self.outcome(store).await?;
        ensure!(outcome == CommitOutcome::Committed, "{why}: expected Committed, got {outcome:?}");
        Ok(self.id())
    }

    /// Conflicts, or fails.
    pub(crate) async fn conflicts(&self, store: &dyn Store, why: &str) -> Verdict {
        let outcome = self.outcome(store).await?;
        ensure!(outcome == CommitOutcome::Conflict, "{why}: expected Conflict, got {outcome:?}");
        Ok(())
    }

    /// Is refused as misuse, or fails.
    pub(crate) async fn is_misuse(&self, store: &dyn Store, why: &str) -> Verdict {
        let outcome = self.outcome(store).await;
        ensure!(matches!(outcome, Err(StoreError::Misuse(_))), "{why}: expected Misuse, got {outcome:?}");
        Ok(())
    }
}

/// The record under a key.
pub(crate) async fn read(store: &dyn Store, key: &Key) -> Result<Option<Entry>, Failure> {
    let Snapshot { entries, .. } = store.get(std::slice::from_ref(key)).await?;
    ensure!(entries.len() == 1, "one key was asked for, {} entries came", entries.len());
    Ok(entries.into_iter().next().flatten())
}

/// The record under a key is this text.
pub(crate) async fn holds(store: &dyn Store, key: &Key, value: &str, why: &str) -> Verdict {
    match read(store, key).await? {
        Some(entry) if entry.value == value.as_bytes() => Ok(()),
        other => Err(Failure(format!("{why}: {key} should hold {value:?}, but it is {other:?}"))),
    }
}

/// There is no record under a key.
pub(crate) async fn is_gone(store: &dyn Store, key: &Key, why: &str) -> Verdict {
    let entry = read(store, key).await?;
    ensure!(entry.is_none(), "{why}: {key} should be absent, but it is {entry:?}");
    Ok(())
}

/// The store's time.
pub(crate) async fn now(store: &dyn Store) -> Result<Timestamp, Failure> {
    Ok(store.get(&[]).await?.now)
}

/// A watch that has begun.
pub(crate) struct Watch(BoxStream<'static, Result<Announcement, StoreError>>);

impl Watch {
    pub(crate) async fn begin(store: &dyn Store) -> Result<Self, Failure> {
        Ok(Self(store.watch().await?))
    }

    /// Exactly these announcements come next.
    pub(crate) async fn hears(&mut self, expected: &[Announcement], why: &str) -> Verdict {
        for (nth, wanted) in expected.iter().enumerate() {
            let item = tokio::time::timeout(PATIENCE, self.0.next()).await;
            let Ok(item) = item else {
                return Err(Failure(format!("{why}: nothing came, expected {wanted:?} as number {nth}")));
            };
            ensure!(
                matches!(&item, Some(Ok(heard)) if heard == wanted),
                "{why}: expected {wanted:?} as number {nth}, got {item:?}"
            );
        }
        Ok(())
    }
}
