//! A reference store in memory, and the ways to get one wrong.
//!
//! Not exported: grantd has no store that forgets.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use grantd_store::{
    Announcement, Batch, CommitId, CommitOutcome, Entry, Index, IndexPage, Key, Precondition, Snapshot, Store,
    StoreError, Timestamp,
};
use grantd_store_testkit::Harness;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

/// One thing that a store may get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    ReadsExpired,
    ExpiresOneMomentLate,
    ExpiredIsNotAbsent,
    ExpiredKeepsItsVersion,
    KeepsTheOldExpiry,
    WrongVersion,
    OtherVersionPerPut,
    PutsBeforeItChecks,
    ChecksTheFirstPreconditionOnly,
    ChecksTheLastPreconditionOnly,
    ForgetsDeletes,
    DeletesAfterPuts,
    NeedsPuts,
    ChecksThenWrites,
    ResendConflicts,
    ResendIsDoneAgain,
    ResendRemembersForEver,
    ResendCountsExpired,
    AllowsTwoSlots,
    ForgetsTheOrderOfKeys,
    ReadsOneByOne,
    CutsAtNul,
    LosesLargeValues,
    HandlesDoNotShare,
    TimeStandsStill,
    AnnouncesConflicts,
    AnnouncesResendsOnce,
    AnnouncesInReverse,
    AnnouncesToOneHandle,
    AnnouncesThePast,
    IndexKeepsExpired,
    IndexRenewsNothing,
    IndexRemovesNothing,
    IndexInOrderOfArrival,
    IndexPageOverlaps,
    IndexEndsAtExpired,
    IndexesAreOne,
}

#[derive(Default)]
struct Data {
    records: BTreeMap<Key, Entry>,
    /// In order of arrival.
    index: Vec<(String, String, Option<Timestamp>)>,
    committed: Vec<CommitId>,
    announced: Vec<Announcement>,
}

struct Shared {
    data: Mutex<Data>,
    now: AtomicU64,
    announcements: broadcast::Sender<Announcement>,
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            data: Mutex::default(),
            now: AtomicU64::new(1_700_000_000_000),
            announcements: broadcast::channel(256).0,
        })
    }
}

/// The reference store, with a flaw or none.
pub(crate) struct Memory {
    shared: Arc<Shared>,
    /// Only this handle's announcements.
    own: broadcast::Sender<Announcement>,
    flaw: Flaw,
}

/// A harness of reference stores.
pub(crate) struct Memories {
    shared: Arc<Shared>,
    flaw: Flaw,
}

impl Memories {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self { shared: Shared::new(), flaw }
    }
}

#[async_trait]
impl Harness for Memories {
    async fn open(&self) -> Arc<dyn Store> {
        let shared = if self.flaw == Flaw::HandlesDoNotShare { Shared::new() } else { self.shared.clone() };
        Arc::new(Memory { shared, own: broadcast::channel(256).0, flaw: self.flaw })
    }

    fn advance(&self, by: Duration) {
        if self.flaw != Flaw::TimeStandsStill {
            self.shared.now.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
        }
    }
}

impl Memory {
    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.shared.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.shared.now.load(Ordering::SeqCst))
    }

    fn is_alive(&self, expires_at: Option<Timestamp>) -> bool {
        expires_at
            .is_none_or(|at| self.now().is_before(at) || (self.is(Flaw::ExpiresOneMomentLate) && self.now() == at))
    }

    fn holds(&self, data: &Data, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::Absent(key) => data
                .records
                .get(key)
                .is_none_or(|entry| !self.is(Flaw::ExpiredIsNotAbsent) && !self.is_alive(entry.expires_at)),
            Precondition::Version(key, version) => data.records.get(key).is_some_and(|entry| {
                entry.version == *version && (self.is(Flaw::ExpiredKeepsItsVersion) || self.is_alive(entry.expires_at))
            }),
        }
    }

    fn all_hold(&self, data: &Data, preconditions: &[Precondition]) -> bool {
        let preconditions = match (self.flaw, preconditions) {
            (Flaw::ChecksTheFirstPreconditionOnly, [first, ..]) => std::slice::from_ref(first),
            (Flaw::ChecksTheLastPreconditionOnly, [.., last]) => std::slice::from_ref(last),
            _ => preconditions,
        };
        preconditions.iter().all(|precondition| self.holds(data, precondition))
    }

    fn is_resend(&self, data: &Data, batch: &Batch) -> bool {
        if self.is(Flaw::ResendRemembersForEver) {
            return data.committed.contains(&batch.id);
        }
        !self.is(Flaw::ResendConflicts)
            && batch.puts.first().and_then(|first| data.records.get(&first.key)).is_some_and(|entry| {
                entry.version == batch.id && (self.is(Flaw::ResendCountsExpired) || self.is_alive(entry.expires_at))
            })
    }

    fn write(&self, data: &mut Data, batch: &Batch) {
        let delete = |data: &mut Data| {
            if !self.is(Flaw::ForgetsDeletes) {
                batch.deletes.iter().for_each(|key| drop(data.records.remove(key)));
            }
        };
        if !self.is(Flaw::DeletesAfterPuts) {
            delete(data);
        }
        for (nth, put) in batch.puts.iter().enumerate() {
            let version = match self.flaw {
                Flaw::WrongVersion => CommitId([7; 16]),
                Flaw::OtherVersionPerPut if nth > 0 => CommitId([nth as u8; 16]),
                _ => batch.id,
            };
            let mut value = put.value.clone();
            match self.flaw {
                Flaw::CutsAtNul => value.truncate(value.iter().position(|byte| *byte == 0).unwrap_or(value.len())),
                Flaw::LosesLargeValues => value.truncate(1 << 16),
                _ => {}
            }
            let mut expires_at = put.expires_at;
            if let (Flaw::KeepsTheOldExpiry, Some(old)) = (self.flaw, data.records.get(&put.key)) {
                expires_at = old.expires_at;
            }
            data.records.insert(put.key.clone(), Entry { value, version, expires_at });
        }
        if self.is(Flaw::DeletesAfterPuts) {
            delete(data);
        }
        data.committed.push(batch.id);
    }

    fn announce(&self, data: &mut Data, batch: &Batch) {
        let mut announcements = batch.announce.clone();
        if self.is(Flaw::AnnouncesInReverse) {
            announcements.reverse();
        }
        for announcement in announcements {
            data.announced.push(announcement.clone());
            let to = if self.is(Flaw::AnnouncesToOneHandle) { &self.own } else { &self.shared.announcements };
            let _ = to.send(announcement);
        }
    }

    fn index_name(&self, index: &Index) -> String {
        if self.is(Flaw::IndexesAreOne) { String::new() } else { index.as_str().to_owned() }
    }
}

fn slots(batch: &Batch) -> Vec<String> {
    let preconditions = batch.preconditions.iter().map(|precondition| match precondition {
        Precondition::Version(key, _) | Precondition::Absent(key) => key,
    });
    let keys = preconditions.chain(batch.puts.iter().map(|put| &put.key)).chain(&batch.deletes);
    let mut slots: Vec<_> = keys.map(|key| key.slot().to_owned()).collect();
    slots.sort();
    slots.dedup();
    slots
}

#[async_trait]
impl Store for Memory {
    async fn get(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        let mut asked = keys.to_vec();
        if self.is(Flaw::ForgetsTheOrderOfKeys) {
            asked.sort();
        }
        let read = |data: &Data, key: &Key| {
            let entry = data.records.get(key).cloned();
            entry.filter(|entry| self.is(Flaw::ReadsExpired) || self.is_alive(entry.expires_at))
        };
        let mut entries = Vec::new();
        if self.is(Flaw::ReadsOneByOne) {
            for key in &asked {
                tokio::task::yield_now().await;
                entries.push(read(&self.data(), key));
            }
        } else {
            let data = self.data();
            entries.extend(asked.iter().map(|key| read(&data, key)));
        }
        Ok(Snapshot { now: self.now(), entries })
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, StoreError> {
        if slots(&batch).len() > 1 && !self.is(Flaw::AllowsTwoSlots) {
            return Err(StoreError::Misuse("keys of two slots in one batch"));
        }
        if batch.puts.is_empty() && self.is(Flaw::NeedsPuts) {
            return Err(StoreError::Misuse("a batch without puts"));
        }
        if self.is(Flaw::ChecksThenWrites) {
            let holds = self.all_hold(&self.data(), &batch.preconditions);
            tokio::task::yield_now().await;
            let mut data = self.data();
            if !holds && !self.is_resend(&data, &batch) {
                return Ok(CommitOutcome::Conflict);
            }
            self.write(&mut data, &batch);
            self.announce(&mut data, &batch);
            return Ok(CommitOutcome::Committed);
        }
        let mut data = self.data();
        if self.is_resend(&data, &batch) {
            if self.is(Flaw::ResendIsDoneAgain) {
                self.write(&mut data, &batch);
            }
            if !self.is(Flaw::AnnouncesResendsOnce) {
                self.announce(&mut data, &batch);
            }
            return Ok(CommitOutcome::Committed);
        }
        let holds = self.all_hold(&data, &batch.preconditions);
        if holds || self.is(Flaw::PutsBeforeItChecks) {
            self.write(&mut data, &batch);
        }
        if holds || self.is(Flaw::AnnouncesConflicts) {
            self.announce(&mut data, &batch);
        }
        Ok(if holds { CommitOutcome::Committed } else { CommitOutcome::Conflict })
    }

    async fn index_add(&self, index: &Index, member: &str, expires_at: Option<Timestamp>) -> Result<(), StoreError> {
        let name = self.index_name(index);
        let mut data = self.data();
        let known = data.index.iter_mut().find(|(of, known, _)| *of == name && known == member);
        match known {
            Some(_) if self.is(Flaw::IndexRenewsNothing) => {}
            Some((_, _, known)) => *known = expires_at,
            None => data.index.push((name, member.to_owned(), expires_at)),
        }
        Ok(())
    }

    async fn index_remove(&self, index: &Index, member: &str) -> Result<(), StoreError> {
        let name = self.index_name(index);
        if !self.is(Flaw::IndexRemovesNothing) {
            self.data().index.retain(|(of, known, _)| *of != name || known != member);
        }
        Ok(())
    }

    async fn index_list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<IndexPage, StoreError> {
        if limit == 0 {
            return Err(StoreError::Misuse("a limit of zero"));
        }
        let name = self.index_name(index);
        let mut members: Vec<_> = self.data().index.iter().filter(|(of, _, _)| *of == name).cloned().collect();
        if !self.is(Flaw::IndexInOrderOfArrival) {
            members.sort();
        }
        members.retain(|(_, member, _)| {
            after.is_none_or(|after| after < member.as_str() || (self.is(Flaw::IndexPageOverlaps) && after == member))
        });
        if self.is(Flaw::IndexEndsAtExpired) {
            let end = members.iter().position(|(_, _, at)| !self.is_alive(*at)).unwrap_or(members.len());
            members.truncate(end);
        }
        members.retain(|(_, _, at)| self.is(Flaw::IndexKeepsExpired) || self.is_alive(*at));
        let more = members.len() > limit;
        let members: Vec<_> = members.into_iter().map(|(_, member, _)| member).take(limit).collect();
        let next = if more { members.last().cloned() } else { None };
        Ok(IndexPage { members, next })
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError> {
        let from = if self.is(Flaw::AnnouncesToOneHandle) { &self.own } else { &self.shared.announcements };
        let live = BroadcastStream::new(from.subscribe())
            .map(|item| item.map_err(|_| StoreError::Unavailable("announcements were missed".into())));
        let past = if self.is(Flaw::AnnouncesThePast) { self.data().announced.clone() } else { vec![] };
        Ok(futures::stream::iter(past.into_iter().map(Ok)).chain(live).boxed())
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        Ok(Duration::ZERO)
    }
}
