//! Removing what has expired: garbage collection only, since nobody reads an expired record anyway.
//!
//! One pass removes at most [`CHUNK`] rows in a transaction of its own, so that commits wait little for it. The expiry
//! tables are ordered by time: a pass looks at what it removes and at one row more.

use grantd_store::Timestamp;

use redb::ReadableTable as _;

use crate::apply::Tables;

/// How many rows a pass removes at most.
pub(crate) const CHUNK: u64 = 500;

impl Tables<'_> {
    /// Removes some of what has expired; answers how many rows.
    pub(crate) fn sweep(&mut self, now: Timestamp) -> Result<u64, redb::Error> {
        let mut removed = 0;
        while removed < CHUNK {
            let first = self.record_expiry.first()?.map(|(row, _)| {
                let (at, key) = row.value();
                (at, key.to_owned())
            });
            let Some((at, key)) = first.filter(|(at, _)| !now.is_before(Timestamp(*at))) else {
                break;
            };
            self.record_expiry.remove((at, key.as_str()))?;
            self.records.remove(key.as_str())?;
            removed += 1;
        }
        while removed < CHUNK {
            let first = self.member_expiry.first()?.map(|(row, _)| {
                let (at, index, member) = row.value();
                (at, index.to_owned(), member.to_owned())
            });
            let Some((at, index, member)) = first.filter(|(at, _, _)| !now.is_before(Timestamp(*at))) else {
                break;
            };
            self.member_expiry.remove((at, index.as_str(), member.as_str()))?;
            self.members.remove((index.as_str(), member.as_str()))?;
            removed += 1;
        }
        Ok(removed)
    }
}
