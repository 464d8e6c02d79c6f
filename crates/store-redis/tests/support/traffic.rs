//! Commits without end, on all slots, and what became of them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use grantd_store::{Announcement, Batch, CommitId, CommitOutcome, Key, Put, Store as _, StoreError};
use grantd_store_redis::RedisStore;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::PATIENCE;

/// One record of a grant, and an announcement of it.
pub(crate) fn batch(grant: &str, number: u64) -> Batch {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let key = Key::raw(format!("oauth:test:{{{grant}}}:one"));
    let puts = vec![Put { key, value: Bytes::from(number.to_string()), expires_at: None }];
    let announce = vec![Announcement::SupersededGrant(grant.to_owned())];
    Batch { id: CommitId(id), preconditions: vec![], puts, deletes: vec![], announce }
}

/// As many tasks as there are grants, each committing to its own, one commit after the other.
pub(crate) struct Traffic {
    seen: Arc<Seen>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    committed: AtomicU64,
    failed: AtomicU64,
    wrong: Mutex<Option<String>>,
}

impl Traffic {
    pub(crate) fn start(store: &RedisStore, grants: impl IntoIterator<Item = String>) -> Self {
        let seen = Arc::new(Seen::default());
        let task = |grant: String| {
            let (store, seen) = (store.clone(), seen.clone());
            tokio::spawn(async move {
                let mut number = 0;
                while !seen.stop.load(Ordering::Relaxed) {
                    number += 1;
                    match store.commit(batch(&grant, number)).await {
                        Ok(CommitOutcome::Committed) => _ = seen.committed.fetch_add(1, Ordering::Relaxed),
                        Err(StoreError::Unavailable(_)) => _ = seen.failed.fetch_add(1, Ordering::Relaxed),
                        other => *seen.wrong.lock().unwrap() = Some(format!("{other:?}")),
                    }
                    sleep(Duration::from_millis(2)).await;
                }
            })
        };
        Self { tasks: grants.into_iter().map(task).collect(), seen }
    }

    pub(crate) fn committed(&self) -> u64 {
        self.seen.committed.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.seen.failed.load(Ordering::Relaxed)
    }

    /// Waits until so many more are committed.
    pub(crate) async fn goes_on(&self, commits: u64) {
        let (begin, before) = (Instant::now(), self.committed());
        while self.committed() < before + commits {
            assert!(begin.elapsed() < PATIENCE, "commits do not go on");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it. Whatever failed was merely unavailable.
    pub(crate) async fn stop(self) -> (u64, u64) {
        self.seen.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        assert_eq!(*self.seen.wrong.lock().unwrap(), None, "only Unavailable is an answer to this");
        (self.seen.committed.load(Ordering::Relaxed), self.seen.failed.load(Ordering::Relaxed))
    }
}

/// A watch, as soon as there is one.
pub(crate) async fn until_it_watches(store: &RedisStore) -> BoxStream<'static, Result<Announcement, StoreError>> {
    let begin = Instant::now();
    loop {
        match store.watch().await {
            Ok(watch) => return watch,
            Err(error) => assert!(begin.elapsed() < PATIENCE, "it does not listen again: {error}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until every one of these grants can be committed to.
pub(crate) async fn until_it_commits(store: &RedisStore, grants: &[String]) {
    let begin = Instant::now();
    for grant in grants {
        while let Err(error) = store.commit(batch(grant, 1)).await {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
            assert!(begin.elapsed() < PATIENCE, "it does not come back: {error}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The next announcement. A connection beside the listener's that is only now made anew is told to watchers, too; they miss
/// nothing by it.
pub(crate) async fn next_heard(watch: &mut BoxStream<'static, Result<Announcement, StoreError>>) -> Announcement {
    loop {
        if let Ok(heard) = timeout(PATIENCE, watch.next()).await.expect("it is announced").expect("the stream goes on")
        {
            return heard;
        }
    }
}

/// Commits to each grant, and hears of each in the same order.
pub(crate) async fn commits_are_heard(
    committing: &RedisStore,
    watch: &mut BoxStream<'static, Result<Announcement, StoreError>>,
    grants: &[String],
) {
    for grant in grants {
        let announced = format!("heard-{grant}");
        let mut batch = batch(grant, 2);
        batch.announce = vec![Announcement::RevokedGrant(announced.clone())];
        committing.commit(batch).await.unwrap();
        while next_heard(watch).await != Announcement::RevokedGrant(announced.clone()) {}
    }
}

/// Reads a watch beside the traffic, as a watcher must: who does not read falls behind, and is told so.
pub(crate) struct Listening {
    stop: oneshot::Sender<()>,
    reading: JoinHandle<Watch>,
}

type Watch = BoxStream<'static, Result<Announcement, StoreError>>;

impl Listening {
    pub(crate) fn to(mut watch: Watch) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let reading = tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = &mut stopped => return watch,
                    heard = watch.next() => drop(heard.unwrap().unwrap()),
                }
            }
        });
        Self { stop, reading }
    }

    /// The watch, which has had no gap.
    pub(crate) async fn stop(self) -> Watch {
        let _ = self.stop.send(());
        self.reading.await.unwrap()
    }
}

/// Reads a watch until it says that something may be missing.
pub(crate) async fn until_a_gap(watch: &mut BoxStream<'static, Result<Announcement, StoreError>>) {
    let gap = async { while watch.next().await.unwrap().is_ok() {} };
    timeout(PATIENCE, gap).await.expect("a watcher is told");
}

/// Names of grants, in slots all over.
pub(crate) fn grants(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("g{n}")).collect()
}
