//! A store that fails when a test says so.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use grantd_store::{Announcement, Batch, CommitOutcome, Index, IndexPage, Key, Snapshot, Store, StoreError, Timestamp};
use grantd_store_embedded::EmbeddedStore;
use tokio::sync::{Notify, broadcast};
use tokio_stream::wrappers::BroadcastStream;

/// How the next operations fail.
#[derive(Debug)]
pub(crate) struct Faults {
    /// Breaks the announcements, as a store does that fails over.
    gaps: broadcast::Sender<()>,
    /// How many operations go well before one fails.
    good: AtomicUsize,
    /// How many fail then.
    bad: AtomicUsize,
    /// Whether a failing write happens all the same: its answer is lost.
    happens: AtomicBool,
    /// Whether reads and indexes count, too, or commits only.
    any: AtomicBool,
    /// How many commits conflict.
    conflicts: AtomicUsize,
    /// The next commit of a grant says that it has come, and waits.
    held: Mutex<Option<Held>>,
}

/// A commit that waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    pub(crate) arrived: Arc<Notify>,
    pub(crate) go: Arc<Notify>,
}

fn spend(of: &AtomicUsize) -> bool {
    of.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

fn away() -> StoreError {
    StoreError::Unavailable("the test says so".into())
}

impl Faults {
    pub(crate) fn new() -> Self {
        let [good, bad, conflicts] = [0; 3].map(AtomicUsize::new);
        let [happens, any] = [false; 2].map(AtomicBool::new);
        Self { gaps: broadcast::channel(16).0, good, bad, happens, any, conflicts, held: Mutex::default() }
    }

    fn strike(&self, is_commit: bool) -> bool {
        (is_commit || self.any.load(Ordering::SeqCst)) && !spend(&self.good) && spend(&self.bad)
    }

    /// From the `nth` commit on (0 is the next), `bad` of them fail; they happen all the same, or do not.
    pub(crate) fn fail(&self, nth: usize, bad: usize, happens: bool) {
        self.any.store(false, Ordering::SeqCst);
        self.good.store(nth, Ordering::SeqCst);
        self.happens.store(happens, Ordering::SeqCst);
        self.bad.store(bad, Ordering::SeqCst);
    }

    /// As [`Self::fail`], and reads and changes of indexes count, too.
    pub(crate) fn fail_any(&self, nth: usize, bad: usize, happens: bool) {
        self.fail(nth, bad, happens);
        self.any.store(true, Ordering::SeqCst);
    }

    /// All goes well again; how many failures were still to come.
    pub(crate) fn heal(&self) -> usize {
        self.conflicts.store(0, Ordering::SeqCst);
        self.good.store(0, Ordering::SeqCst);
        self.bad.swap(0, Ordering::SeqCst)
    }

    /// The next commits conflict: others are always faster.
    pub(crate) fn conflict(&self, commits: usize) {
        self.conflicts.store(commits, Ordering::SeqCst);
    }

    /// Holds the next commit that writes a grant.
    pub(crate) fn hold(&self) -> Held {
        let held = Held::default();
        *self.held.lock().unwrap() = Some(held.clone());
        held
    }

    /// Announcements break off, and go on.
    pub(crate) fn gap(&self) {
        self.gaps.send(()).unwrap();
    }
}

pub(crate) struct Flaky(pub(crate) EmbeddedStore, pub(crate) Arc<Faults>);

impl Flaky {
    async fn write<T>(
        &self,
        is_commit: bool,
        write: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if !self.1.strike(is_commit) {
            return write.await;
        }
        if self.1.happens.load(Ordering::SeqCst) {
            write.await?;
        }
        Err(away())
    }
}

#[async_trait]
impl Store for Flaky {
    async fn get(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        if self.1.strike(false) { Err(away()) } else { self.0.get(keys).await }
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, StoreError> {
        if batch.puts.first().is_some_and(|put| put.key.kind() == "grant") {
            let held = self.1.held.lock().unwrap().take();
            if let Some(held) = held {
                held.arrived.notify_one();
                held.go.notified().await;
            }
        }
        if spend(&self.1.conflicts) {
            return Ok(CommitOutcome::Conflict);
        }
        self.write(true, self.0.commit(batch)).await
    }

    async fn index_add(&self, index: &Index, member: &str, expires_at: Option<Timestamp>) -> Result<(), StoreError> {
        self.write(false, self.0.index_add(index, member, expires_at)).await
    }

    async fn index_remove(&self, index: &Index, member: &str) -> Result<(), StoreError> {
        self.write(false, self.0.index_remove(index, member)).await
    }

    async fn index_list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<IndexPage, StoreError> {
        if self.1.strike(false) { Err(away()) } else { self.0.index_list(index, after, limit).await }
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError> {
        let gaps = BroadcastStream::new(self.1.gaps.subscribe()).map(|_| Err(away()));
        Ok(futures::stream::select(self.0.watch().await?, gaps).boxed())
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        self.0.ping().await
    }
}
