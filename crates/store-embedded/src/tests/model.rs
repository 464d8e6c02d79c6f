//! What the tables must hold, worked out without them; and changes at random.

use std::collections::BTreeMap;

use redb::ReadableTable as _;
use tokio::sync::oneshot;

use super::{platter::Chance, *};
use crate::writer::Thread;
use grantd_store::Precondition;

type Record = ([u8; 16], Option<u64>, Vec<u8>);

/// The rows of the four tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Model {
    records: BTreeMap<String, Record>,
    record_expiry: BTreeMap<(u64, String), ()>,
    members: BTreeMap<(String, String), Option<u64>>,
    member_expiry: BTreeMap<(u64, String, String), ()>,
}

impl Model {
    /// What is in the tables.
    pub(super) fn of(database: &Database) -> Result<Self, StoreError> {
        database.read(|transaction| {
            let mut model = Self::default();
            for row in transaction.open_table(schema::RECORDS)?.iter()? {
                let (key, row) = row?;
                let (version, expires_at, value) = row.value();
                model.records.insert(key.value().to_owned(), (*version, expires_at, value.to_vec()));
            }
            for row in transaction.open_table(schema::RECORD_EXPIRY)?.iter()? {
                let (key, _) = row?;
                let (at, key) = key.value();
                model.record_expiry.insert((at, key.to_owned()), ());
            }
            for row in transaction.open_table(schema::MEMBERS)?.iter()? {
                let (key, expires_at) = row?;
                let (index, member) = key.value();
                model.members.insert((index.to_owned(), member.to_owned()), expires_at.value());
            }
            for row in transaction.open_table(schema::MEMBER_EXPIRY)?.iter()? {
                let (key, _) = row?;
                let (at, index, member) = key.value();
                model.member_expiry.insert((at, index.to_owned(), member.to_owned()), ());
            }
            Ok(model)
        })
    }

    /// That the tables agree with one another: each expiry has its row and each row its expiry.
    pub(super) fn check(&self) {
        let mut rebuilt = self.clone();
        rebuilt.expiries();
        assert_eq!(&rebuilt, self, "the expiry tables stand for other rows than there are");
    }

    pub(super) fn records(&self) -> usize {
        self.records.len()
    }

    fn expiries(&mut self) {
        let records = self.records.iter().filter_map(|(key, (_, at, _))| at.map(|at| ((at, key.clone()), ())));
        self.record_expiry = records.collect();
        let members = self.members.iter();
        let members = members.filter_map(|((of, name), at)| at.map(|at| ((at, of.clone(), name.clone()), ())));
        self.member_expiry = members.collect();
    }

    /// After a group.
    pub(super) fn after(mut self, changes: &[Change], now: u64) -> Self {
        for change in changes {
            match change {
                Change::Commit(batch) => self.commit(batch, now),
                Change::IndexAdd { index, member, expires_at } => {
                    self.members.insert((index.as_str().into(), member.clone()), expires_at.map(|at| at.0));
                }
                Change::IndexRemove { index, member } => {
                    self.members.remove(&(index.as_str().to_owned(), member.clone()));
                }
            }
        }
        self.expiries();
        self
    }

    fn commit(&mut self, batch: &Batch, now: u64) {
        let alive = |key: &Key| {
            let record = self.records.get(key.as_str());
            record.filter(|(_, at, _)| at.is_none_or(|at| now < at)).map(|(version, ..)| *version)
        };
        let holds = batch.preconditions.iter().all(|precondition| match precondition {
            Precondition::Version(key, version) => alive(key) == Some(version.0),
            Precondition::Absent(key) => alive(key).is_none(),
        });
        if holds {
            for key in &batch.deletes {
                self.records.remove(key.as_str());
            }
            for put in &batch.puts {
                let row = (batch.id.0, put.expires_at.map(|at| at.0), put.value.to_vec());
                self.records.insert(put.key.as_str().into(), row);
            }
        }
    }

    /// After a sweep that took everything.
    pub(super) fn swept(mut self, now: u64) -> Self {
        self.records.retain(|_, (_, at, _)| at.is_none_or(|at| now < at));
        self.members.retain(|_, at| at.is_none_or(|at| now < at));
        self.expiries();
        self
    }
}

/// A change at random: a few records of one slot, or a member of an index.
pub(super) fn change(chance: &mut Chance, now: u64) -> Change {
    let expires_at = |chance: &mut Chance| chance.one_in(2).then(|| Timestamp(now + chance.below(50) as u64));
    let member = format!("member {}", chance.below(12));
    if chance.one_in(4) {
        return Change::IndexAdd { index: Index::grants(), member, expires_at: expires_at(chance) };
    }
    if chance.one_in(8) {
        return Change::IndexRemove { index: Index::grants(), member };
    }
    let slot = chance.below(8);
    let key = |chance: &mut Chance| Key::raw(format!("oauth:test:{{{slot}}}:{}", chance.below(4)));
    let mut id = [0; 16];
    id.fill_with(|| chance.below(256) as u8);
    let preconditions = if chance.one_in(5) { vec![Precondition::Absent(key(chance))] } else { vec![] };
    let puts = (0..chance.below(4)).map(|_| {
        let longest = if chance.one_in(10) { 40_000 } else { 2_000 };
        let value = Bytes::from(vec![chance.below(256) as u8; chance.below(longest)]);
        Put { key: key(chance), value, expires_at: expires_at(chance) }
    });
    let puts = puts.collect();
    let deletes = (0..chance.below(2)).map(|_| key(chance)).collect();
    Change::Commit(Batch { id: CommitId(id), preconditions, puts, deletes, announce: vec![] })
}

/// Writes a group as the writer does; answers whether it was acknowledged.
pub(super) fn write(thread: &Thread, changes: &[Change]) -> bool {
    let asked: Vec<_> = changes.iter().map(|change| (change.clone(), oneshot::channel())).collect();
    let mut answers = Vec::new();
    let group = asked.into_iter().map(|(change, (reply, answer))| {
        answers.push(answer);
        (change, reply)
    });
    thread.write(group.collect());
    let answers: Vec<_> = answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect();
    let acknowledged = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(acknowledged == 0 || acknowledged == answers.len(), "one group, one fate: {answers:?}");
    acknowledged > 0
}

/// An empty store, as bytes.
pub(super) fn empty() -> Vec<u8> {
    let platter = platter::Platter::default();
    let disk = Disk::new(platter.clone(), None);
    let database = redb::Builder::new().create_with_backend(disk::Handle::writing(&disk)).unwrap();
    schema::create(&database).unwrap();
    drop(database);
    platter.cut(&mut Chance(0)).0
}
