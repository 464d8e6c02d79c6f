//! The one thread that writes.
//!
//! 1. Callers put jobs into a bounded queue; a full queue is an answer at once, not a wait.
//! 2. The thread takes what has queued up, applies each change in turn in one transaction, and commits it with one
//!    fsync. While that runs the next group queues up, so the more callers, the fewer fsyncs each costs.
//! 3. When it is durable, announcements go out and the callers are answered, in the order of the queue. When it fails,
//!    every caller of the group gets the error; `database` sees to it that reading goes on and writing begins again.
//! 4. Once a minute, and between groups, what has expired is swept.
//! 5. A reader that failed asks for an empty transaction: it fails likewise, and what follows is as under 3.
//!
//! A group in which nothing was to be written costs no fsync.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread::JoinHandle,
    time::Duration,
};

use grantd_store::{Announcement, Batch, CommitOutcome, Index, StoreError, Timestamp};
use redb::Durability;
use tokio::{
    sync::{broadcast, oneshot},
    time::Instant,
};

use crate::{
    apply::{Applied, Tables},
    clock::Clock,
    database::Database,
    error::{self, OpenError},
    sweep,
};

/// What the writer is asked to write.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Commit(Batch),
    IndexAdd { index: Index, member: String, expires_at: Option<Timestamp> },
    IndexRemove { index: Index, member: String },
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Job {
    Write(Change, Reply<CommitOutcome>),
    Sweep(Reply<u64>),
    Try,
}

/// How the writer works. Only tests depart from the default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// How many jobs may wait.
    pub(crate) queue: usize,
    /// How many jobs one transaction takes.
    pub(crate) group: usize,
    /// How long between sweeps.
    pub(crate) sweep_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue: 1024, group: 256, sweep_every: Duration::from_secs(60) }
    }
}

/// What the writer has done since the file was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Batches and index changes that were decided.
    pub changes: u64,
    /// Transactions that made them durable, one fsync each.
    pub transactions: u64,
    /// Expired records and index members that were removed.
    pub swept: u64,
}

#[derive(Debug, Default)]
struct Counters {
    changes: AtomicU64,
    transactions: AtomicU64,
    swept: AtomicU64,
}

/// The way to the writer thread, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    /// `None` while dropping.
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    running: Arc<AtomicBool>,
    /// Whether an empty transaction is waiting in the queue.
    trying: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

impl Writer {
    pub(crate) fn start(
        database: Arc<Database>,
        clock: Arc<dyn Clock>,
        announcements: broadcast::Sender<Announcement>,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let (queue, jobs) = mpsc::sync_channel(settings.queue);
        let counters = Arc::new(Counters::default());
        let running = Arc::new(AtomicBool::new(true));
        let trying = Arc::new(AtomicBool::new(false));
        let thread =
            Thread { database, clock, announcements, settings, counters: counters.clone(), trying: trying.clone() };
        let guard = Running(running.clone());
        let thread = std::thread::Builder::new()
            .name("grantd-writer".into())
            .spawn(move || {
                let _guard = guard;
                thread.run(&jobs);
            })
            .map_err(|cause| OpenError::Unusable { path: "a writer thread".into(), cause: cause.to_string() })?;
        Ok(Self { queue: Some(queue), thread: Some(thread), running, trying, counters })
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            changes: self.counters.changes.load(Ordering::Relaxed),
            transactions: self.counters.transactions.load(Ordering::Relaxed),
            swept: self.counters.swept.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn is_running(&self) -> Result<(), StoreError> {
        if self.running.load(Ordering::Acquire) { Ok(()) } else { Err(stopped()) }
    }

    pub(crate) async fn write(&self, change: Change) -> Result<CommitOutcome, StoreError> {
        self.ask(|reply| Job::Write(change, reply)).await
    }

    pub(crate) async fn sweep(&self) -> Result<u64, StoreError> {
        self.ask(Job::Sweep).await
    }

    /// Lets the writer find out what is wrong with the file, and mend it. Does not wait.
    pub(crate) fn try_out(&self) {
        if !self.trying.swap(true, Ordering::AcqRel) {
            let sent = self.queue.as_ref().is_some_and(|queue| queue.try_send(Job::Try).is_ok());
            if !sent {
                // Full of writes, which find out likewise.
                self.trying.store(false, Ordering::Release);
            }
        }
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.try_send(job(reply)).map_err(|cause| match cause {
            TrySendError::Full(_) => StoreError::Unavailable("the writer's queue is full".into()),
            TrySendError::Disconnected(_) => stopped(),
        })?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Closes the queue: the thread finishes what is in it, and ends.
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the writer has stopped".into())
}

/// Notes the end of the thread, however it comes.
#[derive(Debug)]
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// What the thread works with.
pub(crate) struct Thread {
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    announcements: broadcast::Sender<Announcement>,
    settings: Settings,
    counters: Arc<Counters>,
    trying: Arc<AtomicBool>,
}

impl Thread {
    fn run(self, jobs: &Receiver<Job>) {
        let mut sweep_at = Instant::now() + self.settings.sweep_every;
        loop {
            let first = jobs.recv_timeout(sweep_at.saturating_duration_since(Instant::now()));
            if matches!(first, Err(RecvTimeoutError::Disconnected)) {
                return;
            }
            let mut group = Vec::new();
            let mut sweeps = Vec::new();
            for job in first.into_iter().chain(jobs.try_iter()).take(self.settings.group) {
                match job {
                    Job::Write(change, reply) => group.push((change, reply)),
                    Job::Sweep(reply) => sweeps.push(reply),
                    Job::Try => {
                        self.trying.store(false, Ordering::Release);
                        let _ = self.transaction(|_| Ok((false, ())));
                    }
                }
            }
            self.write(group);
            for reply in sweeps {
                let _ = reply.send(self.sweep_all());
            }
            if Instant::now() >= sweep_at {
                let more = self.sweep().is_ok_and(|swept| swept == sweep::CHUNK);
                // With more to do the next pass comes soon, but those who commit go first.
                let pause = if more { Duration::from_millis(20) } else { self.settings.sweep_every };
                sweep_at = Instant::now() + pause;
            }
        }
    }

    /// Without a thread: for tests that must know what happens when.
    #[cfg(test)]
    pub(crate) fn alone(database: Arc<Database>, clock: Arc<dyn Clock>) -> Self {
        let (announcements, settings) = (broadcast::channel(1).0, Settings::default());
        Self { database, clock, announcements, settings, counters: Arc::default(), trying: Arc::default() }
    }

    /// One group, in one transaction.
    pub(crate) fn write(&self, group: Vec<(Change, Reply<CommitOutcome>)>) {
        if group.is_empty() {
            return;
        }
        let (changes, replies): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        self.counters.changes.fetch_add(changes.len() as u64, Ordering::Relaxed);
        let applied = self.transaction(|tables| {
            let mut wrote = false;
            let mut applied = Vec::with_capacity(changes.len());
            for change in changes {
                let one = tables.apply(change, self.clock.now())?;
                wrote |= one.wrote;
                applied.push(one);
            }
            Ok((wrote, applied))
        });
        match applied {
            Ok(applied) => {
                for (Applied { outcome, announce, .. }, reply) in applied.into_iter().zip(replies) {
                    for announcement in announce {
                        // Nobody may be watching.
                        let _ = self.announcements.send(announcement);
                    }
                    let _ = reply.send(Ok(outcome));
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Err(error::copy(&error)));
                }
            }
        }
    }

    /// One pass.
    pub(crate) fn sweep(&self) -> Result<u64, StoreError> {
        let swept = self.transaction(|tables| {
            let swept = tables.sweep(self.clock.now())?;
            Ok((swept > 0, swept))
        })?;
        self.counters.swept.fetch_add(swept, Ordering::Relaxed);
        Ok(swept)
    }

    fn sweep_all(&self) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let swept = self.sweep()?;
            all += swept;
            if swept < sweep::CHUNK {
                return Ok(all);
            }
        }
    }

    /// Runs `work`, which answers whether it wrote anything, in a transaction.
    fn transaction<T>(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Result<(bool, T), redb::Error>,
    ) -> Result<T, StoreError> {
        self.database.write(|database| self.run_transaction(database, work))
    }

    fn run_transaction<T>(
        &self,
        database: &redb::Database,
        work: impl FnOnce(&mut Tables<'_>) -> Result<(bool, T), redb::Error>,
    ) -> Result<(bool, T), redb::Error> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        let (wrote, answer) = {
            let mut tables = Tables::open(&transaction)?;
            work(&mut tables)?
        };
        if wrote {
            transaction.commit()?;
            self.counters.transactions.fetch_add(1, Ordering::Relaxed);
        } else {
            transaction.abort()?;
        }
        Ok((wrote, answer))
    }
}
