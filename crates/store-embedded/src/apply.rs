//! One change inside a write transaction: decide, then write.

use grantd_store::{Announcement, Batch, CommitOutcome, Index, Precondition, Put, Timestamp};
use redb::{ReadableTable as _, Table, WriteTransaction};

use crate::{
    schema::{self, Member, Row},
    writer::Change,
};

/// The tables of one write transaction.
pub(crate) struct Tables<'txn> {
    pub(crate) records: Table<'txn, &'static str, Row>,
    pub(crate) record_expiry: Table<'txn, (u64, &'static str), ()>,
    pub(crate) members: Table<'txn, Member, Option<u64>>,
    pub(crate) member_expiry: Table<'txn, (u64, &'static str, &'static str), ()>,
}

/// What a change came to.
pub(crate) struct Applied {
    pub(crate) outcome: CommitOutcome,
    /// Whether anything was written.
    pub(crate) wrote: bool,
    /// What to tell the watchers once the transaction is durable.
    pub(crate) announce: Vec<Announcement>,
}

impl<'txn> Tables<'txn> {
    pub(crate) fn open(transaction: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            records: transaction.open_table(schema::RECORDS)?,
            record_expiry: transaction.open_table(schema::RECORD_EXPIRY)?,
            members: transaction.open_table(schema::MEMBERS)?,
            member_expiry: transaction.open_table(schema::MEMBER_EXPIRY)?,
        })
    }

    /// Applies a change as of `now`.
    pub(crate) fn apply(&mut self, change: Change, now: Timestamp) -> Result<Applied, redb::Error> {
        match change {
            Change::Commit(batch) => self.commit(batch, now),
            Change::IndexAdd { index, member, expires_at } => {
                self.index_add(&index, &member, expires_at)?;
                Ok(Applied { outcome: CommitOutcome::Committed, wrote: true, announce: vec![] })
            }
            Change::IndexRemove { index, member } => {
                let wrote = self.index_remove(&index, &member)?;
                Ok(Applied { outcome: CommitOutcome::Committed, wrote, announce: vec![] })
            }
        }
    }

    fn commit(&mut self, batch: Batch, now: Timestamp) -> Result<Applied, redb::Error> {
        let written_already = match batch.puts.first() {
            Some(first) => self.version(first.key.as_str(), now)? == Some(batch.id.0),
            None => false,
        };
        if written_already {
            return Ok(Applied { outcome: CommitOutcome::Committed, wrote: false, announce: batch.announce });
        }
        for precondition in &batch.preconditions {
            let holds = match precondition {
                Precondition::Version(key, version) => self.version(key.as_str(), now)? == Some(version.0),
                Precondition::Absent(key) => self.version(key.as_str(), now)?.is_none(),
            };
            if !holds {
                return Ok(Applied { outcome: CommitOutcome::Conflict, wrote: false, announce: vec![] });
            }
        }
        // Deletes first, so that a key in both ends up put, and the batch is found again when it is resent.
        for key in &batch.deletes {
            self.delete(key.as_str())?;
        }
        for put in &batch.puts {
            self.put(put, &batch.id.0)?;
        }
        let wrote = !batch.puts.is_empty() || !batch.deletes.is_empty();
        Ok(Applied { outcome: CommitOutcome::Committed, wrote, announce: batch.announce })
    }

    /// The version of a live record.
    fn version(&self, key: &str, now: Timestamp) -> Result<Option<[u8; 16]>, redb::Error> {
        let row = self.records.get(key)?;
        Ok(row.and_then(|row| {
            let (version, expires_at, _) = row.value();
            expires_at.is_none_or(|at| now.is_before(Timestamp(at))).then_some(*version)
        }))
    }

    fn put(&mut self, put: &Put, version: &[u8; 16]) -> Result<(), redb::Error> {
        let key = put.key.as_str();
        let expires_at = put.expires_at.map(|at| at.0);
        let row: (&[u8; 16], Option<u64>, &[u8]) = (version, expires_at, &put.value);
        let before = self.records.insert(key, row)?.and_then(|row| row.value().1);
        if before != expires_at {
            if let Some(before) = before {
                self.record_expiry.remove((before, key))?;
            }
            if let Some(at) = expires_at {
                self.record_expiry.insert((at, key), ())?;
            }
        }
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), redb::Error> {
        let before = self.records.remove(key)?.and_then(|row| row.value().1);
        if let Some(before) = before {
            self.record_expiry.remove((before, key))?;
        }
        Ok(())
    }

    fn index_add(&mut self, index: &Index, member: &str, expires_at: Option<Timestamp>) -> Result<(), redb::Error> {
        let (index, expires_at) = (index.as_str(), expires_at.map(|at| at.0));
        let before = self.members.insert((index, member), expires_at)?.and_then(|row| row.value());
        if before != expires_at {
            if let Some(before) = before {
                self.member_expiry.remove((before, index, member))?;
            }
            if let Some(at) = expires_at {
                self.member_expiry.insert((at, index, member), ())?;
            }
        }
        Ok(())
    }

    /// Whether it was there.
    fn index_remove(&mut self, index: &Index, member: &str) -> Result<bool, redb::Error> {
        let before = self.members.remove((index.as_str(), member))?.map(|row| row.value());
        if let Some(Some(before)) = before {
            self.member_expiry.remove((before, index.as_str(), member))?;
        }
        Ok(before.is_some())
    }
}
