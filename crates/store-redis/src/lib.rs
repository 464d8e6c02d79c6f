//! The store of many machines: Redis 7 or newer; one server, behind Sentinel, or a Cluster. fred, the client, is named in
//! this crate only.
//!
//! 1. [`RedisStore::connect`] reads the URL (`config`, `target`, `tls`), opens a few connections that are kept (`line`),
//!    and refuses a Redis that is too old or would evict records (`startup`).
//! 2. Every call (`connection`) is one script (`script`), run by its digest: one round trip, one slot, one moment. Redis' own clock is
//!    the store's clock, read inside the script.
//! 3. Each call has a deadline, and fails at once while Redis is known to be away. Nothing is ever sent twice by
//!    itself: a commit whose reply was lost is the caller's to send again.
//! 4. One more connection listens for announcements (`watch`) and hands them to every watcher of this process.
//!
//! Records are strings that `redis-cli GET` shows readably (`record`); indexes are pairs of sorted sets (`index`).
//!
//! On a Cluster each primary has a clock of its own, and a read of several slots answers the earliest of theirs: keep
//! them synchronized. While one primary is away, calls to all of them fail, until Redis has promoted a replica.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use fred::types::{FromValue, Value};
use futures::{future::try_join_all, stream::BoxStream};
use grantd_store::{
    Announcement, Batch, CommitOutcome, Entry, Index, IndexPage, Key, Snapshot, Store, StoreError, Timestamp,
};
use tokio::time::Instant;

mod config;
mod connection;
mod error;
mod index;
mod line;
mod listen;
mod record;
#[cfg(test)]
mod record_properties;
mod script;
mod startup;
mod target;
mod tls;
mod watch;

pub use config::{ClientIdentity, ClockOffset, RedisConfig};
pub use error::ConnectError;

use connection::{Call, Connections};
use script::Script;
use target::Target;
use watch::{Heard, Listener};

/// Handles are cheap to clone and share their connections, which end with the last of them.
#[derive(Clone, Debug)]
pub struct RedisStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connections: Connections,
    listener: Listener,
    offset: ClockOffset,
}

impl RedisStore {
    /// Connects, and checks that this Redis can be relied on. Fails when Redis is away now; once connected, the store
    /// comes back by itself whenever Redis does.
    pub async fn connect(config: RedisConfig, offset: ClockOffset) -> Result<Self, ConnectError> {
        let target = Arc::new(Target::new(&config).await?);
        let heard = Heard::new();
        let connections = Connections::open(&config, &target, &heard).await?;
        startup::check(&connections, config.wait_replicas).await?;
        let listener = Listener::start(&config, &target, heard, connections.lines()).await?;
        let store = Self(Arc::new(Inner { connections, listener, offset }));
        store.prove().await.map_err(|cause| ConnectError::Unreachable(cause.to_string()))?;
        Ok(store)
    }

    async fn run<T: FromValue>(
        &self,
        script: &Script,
        keys: Vec<fred::types::Key>,
        arguments: Vec<Value>,
    ) -> Result<T, StoreError> {
        self.0.connections.run(Call { script, keys, arguments }).await
    }

    /// A script that reads and one that writes nothing: shows at start what an ACL forbids.
    async fn prove(&self) -> Result<(), StoreError> {
        self.read_slot(&[&Key::raw("oauth:ping")]).await?;
        let nothing = Batch {
            id: grantd_store::CommitId([0; 16]),
            preconditions: vec![],
            puts: vec![],
            deletes: vec![Key::raw("oauth:ping")],
            announce: vec![],
        };
        // Without waiting: with the replicas away, reads are still answered.
        let (keys, arguments) = script::commit(nothing, &self.0.offset)?;
        self.run::<i64>(&script::COMMIT, keys, arguments).await.map(drop)
    }

    /// The records under keys of one slot, all at one moment.
    async fn read_slot(&self, keys: &[&Key]) -> Result<Snapshot, StoreError> {
        let names = keys.iter().map(|key| key.as_str().into()).collect();
        let answer: Vec<Option<Bytes>> = self.run(&script::READ, names, vec![]).await?;
        let mut answer = answer.into_iter();
        let now = match (answer.next().flatten(), answer.next().flatten()) {
            (Some(seconds), Some(micros)) => record::time(&seconds, &micros)?,
            _ => return Err(StoreError::Corrupt("Redis does not tell the time".into())),
        };
        let now = self.0.offset.apply(now);
        let mut entries: Vec<Option<Entry>> = Vec::with_capacity(keys.len());
        for (key, found) in keys.iter().zip(answer) {
            let entry = found.map(|found| record::decode(key, &found)).transpose()?;
            entries.push(entry.filter(|entry| entry.expires_at.is_none_or(|at| now.is_before(at))));
        }
        if entries.len() != keys.len() {
            return Err(StoreError::Corrupt("Redis answered another number of records".into()));
        }
        Ok(Snapshot { now, entries })
    }

    /// Reads slot by slot, side by side.
    async fn read(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        let mut slots: Vec<(Vec<usize>, Vec<&Key>)> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        for (place, key) in keys.iter().enumerate() {
            let slot = *known.entry(key.slot()).or_insert(slots.len());
            if slot == slots.len() {
                slots.push((vec![], vec![]));
            }
            if let Some((places, of_slot)) = slots.get_mut(slot) {
                places.push(place);
                of_slot.push(key);
            }
        }
        if slots.is_empty() {
            return self.read_slot(&[]).await;
        }
        let read = try_join_all(slots.iter().map(|(_, keys)| self.read_slot(keys))).await?;
        // The earliest of the moments: every record in the answer was alive then.
        let now = read.iter().map(|snapshot| snapshot.now).min().unwrap_or(Timestamp(0));
        let mut entries: Vec<Option<Entry>> = vec![None; keys.len()];
        for ((places, _), snapshot) in slots.into_iter().zip(read) {
            for (place, entry) in places.into_iter().zip(snapshot.entries) {
                if let Some(slot) = entries.get_mut(place) {
                    *slot = entry;
                }
            }
        }
        Ok(Snapshot { now, entries })
    }

    async fn run_commit(&self, batch: Batch) -> Result<CommitOutcome, StoreError> {
        let (keys, arguments) = script::commit(batch, &self.0.offset)?;
        match self.0.connections.write::<i64>(Call { script: &script::COMMIT, keys, arguments }).await? {
            1 => Ok(CommitOutcome::Committed),
            0 => Ok(CommitOutcome::Conflict),
            other => Err(StoreError::Corrupt(format!("the commit script answered {other}"))),
        }
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn get(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        self.read(keys).await
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, StoreError> {
        batch.check()?;
        self.run_commit(batch).await
    }

    async fn index_add(&self, index: &Index, member: &str, expires_at: Option<Timestamp>) -> Result<(), StoreError> {
        let arguments = vec![script::offset(&self.0.offset), member.into(), index::score(expires_at)];
        self.run::<Value>(&script::INDEX_ADD, index::keys(index), arguments).await.map(drop)
    }

    async fn index_remove(&self, index: &Index, member: &str) -> Result<(), StoreError> {
        let arguments = vec![member.into()];
        self.run::<Value>(&script::INDEX_REMOVE, index::keys(index), arguments).await.map(drop)
    }

    async fn index_list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<IndexPage, StoreError> {
        if limit == 0 {
            return Err(StoreError::Misuse("a page without members"));
        }
        let arguments = index::list_arguments(&self.0.offset, after, limit);
        let rows: Vec<Bytes> = self.run(&script::INDEX_LIST, index::keys(index), arguments).await?;
        index::page(rows)
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError> {
        self.0.listener.watch()
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        let begin = Instant::now();
        self.read_slot(&[&Key::raw("oauth:ping")]).await?;
        Ok(begin.elapsed())
    }
}
