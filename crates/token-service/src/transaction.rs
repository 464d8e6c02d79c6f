//! Load, decide, commit, again on a conflict.
//!
//! A commit whose outcome is unknown is sent once more with the same id, which is safe by the store's contract; then the
//! caller is told to try again with the same `request_id`, which is safe for the same reason.

use std::time::Duration;

use grantd_core::{Announce, Change, Draw, RecordKey, Timestamp};
use grantd_store::{
    Batch, CommitId, CommitOutcome, Entry, Precondition, Put,
    codec::{self, Stored},
};
use tonic::Status;
use tracing::{Instrument as _, instrument};

use crate::{Service, errors, recommit};

/// How often a decision is made anew when others write the same records.
const ATTEMPTS: u32 = 8;

/// Records as they were loaded, and when.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The store's time.
    pub(crate) now: Timestamp,
    entries: Vec<(RecordKey, Option<Entry>)>,
}

impl Loaded {
    fn entry(&self, key: &RecordKey) -> Option<&Entry> {
        self.entries.iter().find(|(loaded, _)| loaded == key).and_then(|(_, entry)| entry.as_ref())
    }

    /// A record; `None` when it is not there (or was not asked for).
    pub(crate) fn record<T: Stored>(&self, key: &RecordKey) -> Result<Option<T>, Status> {
        self.entry(key).map(|entry| T::decode(&entry.value)).transpose().map_err(|error| errors::store(&error))
    }

    /// Whether this very commit wrote the record.
    pub(crate) fn written_by(&self, key: &RecordKey, commit: [u8; 16]) -> bool {
        self.entry(key).is_some_and(|entry| entry.version == CommitId(commit))
    }
}

impl Service {
    /// Loads records.
    pub(crate) async fn load(&self, keys: Vec<RecordKey>) -> Result<Loaded, Status> {
        let names: Vec<_> = keys.iter().map(codec::key).collect();
        let snapshot = self.0.store.get(&names).await.map_err(|error| errors::store(&error))?;
        Ok(Loaded { now: snapshot.now, entries: keys.into_iter().zip(snapshot.entries).collect() })
    }

    /// Loads more records, whose names follow from what was loaded.
    pub(crate) async fn load_more(&self, loaded: &mut Loaded, keys: Vec<RecordKey>) -> Result<(), Status> {
        if !keys.is_empty() {
            let more = self.load(keys).await?;
            loaded.now = loaded.now.max(more.now);
            loaded.entries.extend(more.entries);
        }
        Ok(())
    }

    /// Commits a change that was decided on what is `loaded`.
    #[instrument(name = "commit", skip_all, fields(puts = change.puts.len(), deletes = change.deletes.len()))]
    pub(crate) async fn commit(&self, loaded: &Loaded, change: Change, id: [u8; 16]) -> Result<CommitOutcome, Status> {
        let revoked = recommit::revoked(&change);
        let mut preconditions = Vec::with_capacity(change.unchanged.len());
        for key in &change.unchanged {
            let name = codec::key(key);
            preconditions.push(match loaded.entry(key) {
                Some(entry) => Precondition::Version(name, entry.version),
                None => Precondition::Absent(name),
            });
        }
        let mut puts = Vec::with_capacity(change.puts.len());
        for (key, record) in change.puts {
            let expires_at = record.expires_at();
            let value = codec::encode(record).map_err(|error| errors::store(&error))?;
            puts.push(Put { key: codec::key(&key), value, expires_at });
        }
        let batch = Batch {
            id: CommitId(id),
            preconditions,
            puts,
            deletes: change.deletes.iter().map(codec::key).collect(),
            announce: change.announce.iter().map(codec::announcement).collect(),
        };
        let outcome = match self.0.store.commit(batch.clone()).await {
            Ok(outcome) => outcome,
            Err(first) => {
                tracing::debug!(cause = %first, "the outcome of a commit is unknown; sending it again");
                self.0.store.commit(batch).await.map_err(|error| errors::store(&error))?
            }
        };
        if outcome == CommitOutcome::Committed {
            self.0.recent.note(&revoked);
        }
        Ok(outcome)
    }

    /// Runs `attempt` until its change is committed. An attempt loads, decides, and returns what it loaded, the change
    /// and the answer.
    pub(crate) async fn transact<T, F, R>(&self, draw: &Draw, label: &str, attempt: F) -> Result<T, Status>
    where
        F: FnMut() -> R,
        R: Future<Output = Result<(Loaded, Change, T), Status>>,
    {
        self.transact_as(draw, |_| label, attempt).await
    }

    /// As [`Self::transact`], for a request that may come to different ends. Each has a label of its own: the request may
    /// be under way in another process, too, and a commit that is found to be written already must be the one that goes
    /// with the answer.
    pub(crate) async fn transact_as<'a, T, F, R>(
        &self,
        draw: &Draw,
        label: impl Fn(&T) -> &'a str,
        mut attempt: F,
    ) -> Result<T, Status>
    where
        F: FnMut() -> R,
        R: Future<Output = Result<(Loaded, Change, T), Status>>,
    {
        let mut last = "";
        for round in 0..ATTEMPTS {
            let (loaded, change, answer) = attempt().await?;
            if change.is_empty() {
                return Ok(answer);
            }
            last = label(&answer);
            match self.commit(&loaded, change, draw.commit_id(last)).await? {
                CommitOutcome::Committed => return Ok(answer),
                CommitOutcome::Conflict => {
                    // Jittered, so that those who met do not meet again.
                    let jitter = u64::from(u16::from_be_bytes(draw.bytes(&format!("jitter {round}"))));
                    let most = 500_u64 << round.min(6);
                    tokio::time::sleep(Duration::from_micros(jitter % most)).await;
                }
            }
        }
        tracing::warn!(event = "store.contention", label = last, "gave up after {ATTEMPTS} conflicts");
        Err(errors::unavailable())
    }

    /// Tells whether a change announces that a grant was revoked.
    pub(crate) fn revokes(change: &Change) -> bool {
        change.announce.iter().any(|announce| matches!(announce, Announce::Revoked(_)))
    }
}

/// Runs work to its end even if the caller hangs up meanwhile: what takes several steps must not stop between them.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Status>> + Send + 'static,
) -> Result<T, Status> {
    let task = tokio::spawn(work.in_current_span());
    task.await.unwrap_or_else(|_| Err(errors::defect("a task ended before its work was done")))
}

/// The randomness of a request; refuses a request id that cannot be secret.
pub(crate) fn draw(request_id: &[u8]) -> Result<Draw, Status> {
    Draw::from_request_id(request_id)
        .ok_or_else(|| errors::invalid_request("request_id must be 32 to 64 bytes from a cryptographic random source"))
}
