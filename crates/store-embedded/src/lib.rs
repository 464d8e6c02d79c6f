//! The store of one machine: a redb file.
//!
//! 1. [`EmbeddedStore::open`] creates or opens the file (`file`), refuses one that another process has, that is damaged
//!    (`database`) or that a newer grantd wrote (`schema`), and starts the one writer thread (`writer`).
//! 2. Reads run in the calling task, each in a read transaction of its own. They are a few lookups in cached pages, redb
//!    lets them run beside the writer without waiting for its fsync, and a hop to a blocking thread would cost more
//!    than the read. A listing visits a bounded number of rows for the same reason.
//! 3. Writes go through a bounded queue to the writer thread, which applies what has queued up in one transaction with
//!    one fsync (`apply`), and answers when it is durable. Announcements are sent then, and not before.
//! 4. The writer removes what has expired, in small transactions between the others (`sweep`).
//! 5. When the last handle is dropped, the writer finishes the queue and ends; the drop waits for it.
//! 6. After a write that failed, reads go on and the writer tries again by itself (`database`, over `disk`).
//! 7. [`EmbeddedStore::backup`] copies one moment into a new file (`backup`).
//!
//! Not here: retries, and what the records mean. Two processes cannot share a file; for that there is Redis.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use grantd_store::{
    Announcement, Batch, CommitId, CommitOutcome, Entry, Index, IndexPage, Key, Snapshot, Store, StoreError, Timestamp,
};
use redb::ReadTransaction;
use tokio::{sync::broadcast, time::Instant};
use tokio_stream::wrappers::BroadcastStream;

mod apply;
mod backup;
mod clock;
mod database;
mod disk;
mod error;
mod file;
mod schema;
mod sweep;
mod writer;

pub use backup::Backup;
pub use clock::{Clock, SystemClock};
pub use error::{BackupError, OpenError};
pub use writer::Stats;

use database::Database;
#[cfg(test)]
use disk::Disk;
use writer::{Change, Settings, Writer};

/// How many announcements a watcher may be behind before some are lost to it, with an error in their place.
const ANNOUNCEMENTS: usize = 4096;

/// How many members a listing looks at, live or expired, before it answers a short page.
const VISITED: usize = 4096;

/// Handles are cheap to clone and share one file and one writer.
#[derive(Clone, Debug)]
pub struct EmbeddedStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Joined when dropped.
    writer: Writer,
    database: Arc<Database>,
    clock: Arc<dyn Clock>,
    announcements: broadcast::Sender<Announcement>,
}

impl EmbeddedStore {
    /// Opens the file at `path`; creates it (mode 0600) and its folder (mode 0700) where they are missing. Blocks for
    /// as long as that takes, which includes a check of the whole file. A file that is refused is left as it is.
    pub fn open(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::start(file::open(path.as_ref())?, clock, Settings::default())
    }

    fn start(database: Database, clock: Arc<dyn Clock>, settings: Settings) -> Result<Self, OpenError> {
        let database = Arc::new(database);
        let (announcements, _) = broadcast::channel(ANNOUNCEMENTS);
        let writer = Writer::start(database.clone(), clock.clone(), announcements.clone(), settings)?;
        Ok(Self(Arc::new(Inner { writer, database, clock, announcements })))
    }

    /// What the writer has done since the file was opened.
    pub fn stats(&self) -> Stats {
        self.0.writer.stats()
    }

    /// Removes what has expired now, instead of within a minute; answers how many records and members that were.
    pub async fn sweep(&self) -> Result<u64, StoreError> {
        self.0.writer.sweep().await
    }

    /// Copies what is committed, as of one moment, into a new file at `to`, which is opened like any other: the file
    /// is complete and durable before it gets that name, and only its owner may read it. Refuses a name that is taken.
    /// Writes and reads go on; the space that writes free is not used again before the copy is done. Blocks, so call it
    /// where that is allowed.
    pub fn backup(&self, to: &Path) -> Result<Backup, BackupError> {
        backup::take(&self.0.database, to)
    }

    fn read<T>(&self, read: impl FnMut(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let answer = self.0.database.read(read);
        if answer.is_err() {
            self.0.writer.try_out();
        }
        answer
    }
}

impl Inner {
    fn is_alive(&self, now: Timestamp, expires_at: Option<u64>) -> bool {
        expires_at.is_none_or(|at| now.is_before(Timestamp(at)))
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn get(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        self.read(|transaction| {
            let records = transaction.open_table(schema::RECORDS)?;
            let now = self.0.clock.now();
            let mut entries = Vec::with_capacity(keys.len());
            for key in keys {
                let row = records.get(key.as_str())?;
                entries.push(row.and_then(|row| {
                    let (version, expires_at, value) = row.value();
                    self.0.is_alive(now, expires_at).then(|| Entry {
                        value: Bytes::copy_from_slice(value),
                        version: CommitId(*version),
                        expires_at: expires_at.map(Timestamp),
                    })
                }));
            }
            Ok(Snapshot { now, entries })
        })
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, StoreError> {
        batch.check()?;
        self.0.writer.write(Change::Commit(batch)).await
    }

    async fn index_add(&self, index: &Index, member: &str, expires_at: Option<Timestamp>) -> Result<(), StoreError> {
        let change = Change::IndexAdd { index: index.clone(), member: member.to_owned(), expires_at };
        self.0.writer.write(change).await.map(drop)
    }

    async fn index_remove(&self, index: &Index, member: &str) -> Result<(), StoreError> {
        let change = Change::IndexRemove { index: index.clone(), member: member.to_owned() };
        self.0.writer.write(change).await.map(drop)
    }

    async fn index_list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<IndexPage, StoreError> {
        if limit == 0 {
            return Err(StoreError::Misuse("a page without members"));
        }
        self.read(|transaction| {
            let now = self.0.clock.now();
            let mut page = IndexPage::default();
            for (nth, row) in schema::members_after(transaction, index, after)?.enumerate() {
                let (key, expires_at) = row?;
                let (of, member) = key.value();
                if of != index.as_str() {
                    break;
                }
                let alive = self.0.is_alive(now, expires_at.value());
                if alive && page.members.len() == limit {
                    page.next = page.members.last().cloned();
                    break;
                }
                if alive {
                    page.members.push(member.to_owned());
                }
                if nth + 1 == VISITED {
                    page.next = Some(member.to_owned());
                    break;
                }
            }
            Ok(page)
        })
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError> {
        let announcements = BroadcastStream::new(self.0.announcements.subscribe());
        Ok(announcements
            .map(|item| item.map_err(|gap| StoreError::Unavailable(format!("announcements were missed: {gap}"))))
            .boxed())
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        let begin = Instant::now();
        self.0.writer.is_running()?;
        self.read(|transaction| Ok(transaction.open_table(schema::META)?.get(schema::FORMAT_KEY)?.map(drop)))?;
        Ok(begin.elapsed())
    }
}

#[cfg(test)]
mod tests;
