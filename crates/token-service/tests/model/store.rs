//! The simulated store: what the contract of `grantd_store::Store` says, in a map, and the ways to break it.
//!
//! Everything happens at the moment when the scheduler says so; see [`crate::sim`].

use std::collections::BTreeMap;

use grantd_store::{Batch, CommitOutcome, Entry, Key, Precondition, Put, Timestamp};

/// What a store may get wrong. Each must be noticed by the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    IgnoresPreconditions,
    /// Absence is not checked.
    IgnoresAbsence,
    ChecksThenWrites,
    /// A resend is not recognised, and done without looking at its preconditions.
    ResendIsDoneAgain,
    /// A resend is not recognised, and judged by its preconditions.
    ResendIsAConflict,
    /// Puts are written one by one; a crash or another commit may come between.
    PutsOneByOne,
    ForgetsDeletes,
    DeletesAfterPuts,
    ReadsExpired,
    /// The keys of one slot are read at different moments.
    ReadsOneByOne,
    /// Some commits are acknowledged and not done.
    LosesAcknowledged,
    /// A record keeps the version of its first commit.
    KeepsTheVersion,
}

impl Flaw {
    /// What the services do not notice: what is absent hangs together with something that is there and is checked; and
    /// who is told of a conflict decides again, and finds that it is done.
    pub(crate) const SURVIVED: [Self; 2] = [Self::IgnoresAbsence, Self::ResendIsAConflict];

    pub(crate) const ALL: [Self; 10] = [
        Self::IgnoresPreconditions,
        Self::ChecksThenWrites,
        Self::ResendIsDoneAgain,
        Self::PutsOneByOne,
        Self::ForgetsDeletes,
        Self::DeletesAfterPuts,
        Self::ReadsExpired,
        Self::ReadsOneByOne,
        Self::LosesAcknowledged,
        Self::KeepsTheVersion,
    ];
}

/// What was there before a commit.
struct Undo(Vec<(Key, Option<Entry>)>);

/// Records, and the clock that judges them.
pub(crate) struct Records {
    pub(crate) flaw: Flaw,
    /// Milliseconds.
    pub(crate) clock: u64,
    map: BTreeMap<Key, Entry>,
    /// Of the one slot that may be rolled back, oldest first.
    undo: Vec<Undo>,
    slot: String,
}

impl Records {
    pub(crate) fn new(flaw: Flaw, slot: String, clock: u64, map: BTreeMap<Key, Entry>) -> Self {
        Self { flaw, clock, map, undo: Vec::new(), slot }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.clock)
    }

    pub(crate) fn is(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    /// What is written under a key, expired or not.
    pub(crate) fn raw(&self, key: &Key) -> Option<&Entry> {
        self.map.get(key)
    }

    pub(crate) fn all(&self) -> &BTreeMap<Key, Entry> {
        &self.map
    }

    /// The records of the grant's slot that exist.
    pub(crate) fn of_slot(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.map.iter().filter(|(key, entry)| key.slot() == self.slot && self.lives(entry))
    }

    fn lives(&self, entry: &Entry) -> bool {
        entry.expires_at.is_none_or(|at| self.now().is_before(at))
    }

    pub(crate) fn read(&self, key: &Key) -> Option<Entry> {
        self.map.get(key).filter(|entry| self.is(Flaw::ReadsExpired) || self.lives(entry)).cloned()
    }

    pub(crate) fn is_resend(&self, batch: &Batch) -> bool {
        let first = batch.puts.first().and_then(|put| self.map.get(&put.key));
        first.is_some_and(|entry| entry.version == batch.id && self.lives(entry))
    }

    pub(crate) fn holds(&self, batch: &Batch) -> bool {
        batch.preconditions.iter().all(|precondition| match precondition {
            _ if self.is(Flaw::IgnoresPreconditions) => true,
            Precondition::Absent(_) if self.is(Flaw::IgnoresAbsence) => true,
            Precondition::Absent(key) => !self.map.get(key).is_some_and(|entry| self.lives(entry)),
            Precondition::Version(key, version) => {
                self.map.get(key).is_some_and(|entry| entry.version == *version && self.lives(entry))
            }
        })
    }

    /// What a commit that comes now is answered; writes nothing.
    pub(crate) fn judge(&self, batch: &Batch) -> (CommitOutcome, bool) {
        if self.is_resend(batch) && !self.is(Flaw::ResendIsAConflict) {
            return (CommitOutcome::Committed, false);
        }
        if self.holds(batch) { (CommitOutcome::Committed, true) } else { (CommitOutcome::Conflict, false) }
    }

    pub(crate) fn write(&mut self, batch: &Batch) {
        self.remember(batch);
        if !self.is(Flaw::DeletesAfterPuts) {
            self.delete(batch);
        }
        batch.puts.iter().for_each(|put| self.put(batch, put));
        if self.is(Flaw::DeletesAfterPuts) {
            self.delete(batch);
        }
    }

    fn delete(&mut self, batch: &Batch) {
        if !self.is(Flaw::ForgetsDeletes) {
            batch.deletes.iter().for_each(|key| drop(self.map.remove(key)));
        }
    }

    pub(crate) fn put(&mut self, batch: &Batch, put: &Put) {
        let version = match self.map.get(&put.key) {
            Some(old) if self.is(Flaw::KeepsTheVersion) => old.version,
            _ => batch.id,
        };
        let entry = Entry { value: put.value.clone(), version, expires_at: put.expires_at };
        self.map.insert(put.key.clone(), entry);
    }

    fn remember(&mut self, batch: &Batch) {
        let keys = batch.puts.iter().map(|put| &put.key).chain(&batch.deletes);
        let before: Vec<_> = keys.map(|key| (key.clone(), self.map.get(key).cloned())).collect();
        if before.first().is_some_and(|(key, _)| key.slot() == self.slot) {
            self.undo.push(Undo(before));
        }
    }

    /// What the slot would hold without its last `n` commits; `None` when there were fewer.
    pub(crate) fn without_last(&self, n: usize) -> Option<BTreeMap<Key, Entry>> {
        let kept = self.undo.len().checked_sub(n)?;
        let mut map = self.map.clone();
        for Undo(before) in self.undo[kept..].iter().rev() {
            // A key that a batch both deletes and puts stands there twice, alike.
            for (key, entry) in before {
                match entry {
                    Some(entry) => drop(map.insert(key.clone(), entry.clone())),
                    None => drop(map.remove(key)),
                }
            }
        }
        Some(map)
    }

    /// A replica is promoted that never heard of the last `n` commits.
    pub(crate) fn fail_over(&mut self, n: usize, map: BTreeMap<Key, Entry>) {
        self.undo.truncate(self.undo.len() - n);
        self.map = map;
    }
}
