//! A copy of the store at one moment, while it runs.
//!
//! One read transaction is copied, table by table, into a new file. redb keeps the pages that a read transaction sees
//! until it ends, so writes go on meanwhile; only the space they free is not used again before the copy is done.

use std::path::Path;

use redb::{Key, ReadTransaction, ReadableTable as _, TableDefinition, Value, WriteTransaction};

use crate::{
    database::Database,
    error::{self, BackupError},
    file::Draft,
    schema,
};

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Backup {
    /// Records, expired ones that were not yet swept included.
    pub records: u64,
    /// Members of indexes, likewise.
    pub members: u64,
}

/// What stopped a copy: where it comes from, or where it goes to.
enum Stopped {
    Source(redb::Error),
    Target(redb::Error),
}

/// Copies what is committed into a new file at `to`.
pub(crate) fn take(database: &Database, to: &Path) -> Result<Backup, BackupError> {
    let failed = |cause: &dyn std::fmt::Display| BackupError::Target { path: to.to_owned(), cause: cause.to_string() };
    // A courtesy, before the work: the name is taken at the end, if it is still free.
    if std::fs::symlink_metadata(to).is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let draft = Draft::beside(to).map_err(|cause| failed(&cause))?;
    let target = draft.database().map_err(|cause| failed(&cause))?;
    let copied = database.read_once(|source| {
        Ok(copy(source, &target).map_err(|stopped| match stopped {
            Stopped::Source(cause) => BackupError::Source(error::store(&cause)),
            Stopped::Target(cause) => failed(&cause),
        }))
    })??;
    // Closed, it needs no repair when it is opened.
    target.close().map_err(|cause| failed(&cause))?;
    draft.publish(to).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
        _ => failed(&cause),
    })?;
    Ok(copied)
}

fn copy(source: &ReadTransaction, target: &redb::Database) -> Result<Backup, Stopped> {
    let writing = target.begin_write().map_err(|cause| Stopped::Target(cause.into()))?;
    copy_table(source, &writing, schema::META)?;
    let records = copy_table(source, &writing, schema::RECORDS)?;
    copy_table(source, &writing, schema::RECORD_EXPIRY)?;
    let members = copy_table(source, &writing, schema::MEMBERS)?;
    copy_table(source, &writing, schema::MEMBER_EXPIRY)?;
    writing.commit().map_err(|cause| Stopped::Target(cause.into()))?;
    Ok(Backup { records, members })
}

fn copy_table<K: Key, V: Value>(
    source: &ReadTransaction,
    target: &WriteTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<u64, Stopped> {
    let from = source.open_table(definition).map_err(|cause| Stopped::Source(cause.into()))?;
    let mut into = target.open_table(definition).map_err(|cause| Stopped::Target(cause.into()))?;
    let mut copied = 0;
    for row in from.iter().map_err(|cause| Stopped::Source(cause.into()))? {
        let (key, value) = row.map_err(|cause| Stopped::Source(cause.into()))?;
        into.insert(key.value(), value.value()).map_err(|cause| Stopped::Target(cause.into()))?;
        copied += 1;
    }
    Ok(copied)
}
