//! The tables of the file, and their format.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `format` | the number of this format |
//! | `records` | the key | version, expiry in ms since 1970 if any, value |
//! | `record_expiry` | (expiry, key) | nothing: records in the order in which they expire |
//! | `members` | (index, member) | expiry if any |
//! | `member_expiry` | (expiry, index, member) | nothing: members in the order in which they expire |
//!
//! Every row of an expiry table stands for a row with that very expiry; both are written in one transaction.

use std::{ops::Bound, path::Path};

use grantd_store::Index;
use redb::{Range, ReadTransaction, ReadableDatabase as _, TableDefinition, TableError};

use crate::error::{self, OpenError};

/// A record: version, expiry, value.
pub(crate) type Row = (&'static [u8; 16], Option<u64>, &'static [u8]);

/// A member: index, name.
pub(crate) type Member = (&'static str, &'static str);

pub(crate) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(crate) const RECORDS: TableDefinition<'_, &str, Row> = TableDefinition::new("records");
pub(crate) const RECORD_EXPIRY: TableDefinition<'_, (u64, &str), ()> = TableDefinition::new("record_expiry");
pub(crate) const MEMBERS: TableDefinition<'_, Member, Option<u64>> = TableDefinition::new("members");
pub(crate) const MEMBER_EXPIRY: TableDefinition<'_, (u64, &str, &str), ()> = TableDefinition::new("member_expiry");

/// Where `meta` holds the format.
pub(crate) const FORMAT_KEY: &str = "format";

/// The format this file describes. A change that an older grantd would misread gets a new number, and a step here that
/// brings older files up to it.
pub(crate) const FORMAT: u64 = 1;

/// Refuses what is no store, what a newer grantd wrote, and what lacks a table.
pub(crate) fn check(database: &redb::Database, path: &Path) -> Result<(), OpenError> {
    let found = read_format(database).map_err(|cause| error::reading(path, cause))?;
    match found {
        Some(FORMAT) => has_tables(database).map_err(|cause| match cause {
            redb::Error::TableDoesNotExist(_) => error::damaged(path, cause.to_string()),
            cause => error::reading(path, cause),
        }),
        Some(found) if found > FORMAT => Err(OpenError::Newer { path: path.to_owned(), found, known: FORMAT }),
        Some(found) => Err(error::damaged(path, format!("it says that its format is {found}"))),
        None => Err(error::not_a_store(path, "it is a database of another program, or one that was never begun")),
    }
}

fn read_format(database: &redb::Database) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_read()?;
    match transaction.open_table(META) {
        Ok(meta) => Ok(meta.get(FORMAT_KEY)?.map(|format| format.value())),
        Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => Ok(None),
        Err(cause) => Err(cause.into()),
    }
}

fn has_tables(database: &redb::Database) -> Result<(), redb::Error> {
    let transaction = database.begin_read()?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(RECORD_EXPIRY)?;
    transaction.open_table(MEMBERS)?;
    transaction.open_table(MEMBER_EXPIRY)?;
    Ok(())
}

/// Makes the tables of a new file.
pub(crate) fn create(database: &redb::Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(RECORD_EXPIRY)?;
    transaction.open_table(MEMBERS)?;
    transaction.open_table(MEMBER_EXPIRY)?;
    transaction.commit()?;
    Ok(())
}

/// The members of an index that come after a name, and then those of the indexes that follow.
pub(crate) fn members_after(
    transaction: &ReadTransaction,
    index: &Index,
    after: Option<&str>,
) -> Result<Range<'static, Member, Option<u64>>, redb::Error> {
    let from = match after {
        Some(after) => Bound::Excluded((index.as_str(), after)),
        None => Bound::Included((index.as_str(), "")),
    };
    Ok(transaction.open_table(MEMBERS)?.range::<(&str, &str)>((from, Bound::Unbounded))?)
}
