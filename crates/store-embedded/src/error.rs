//! What can go wrong, for those who open or copy a file and for those who use the store.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use grantd_store::StoreError;
use redb::DatabaseError;

/// Why a file could not be opened. Whatever the reason, the file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("another grantd is using {}; stop it or pass another --data-dir", .0.display())]
    InUse(PathBuf),
    /// A newer grantd wrote it.
    #[error(
        "{} has format {found}, and this grantd knows formats up to {known}; a newer grantd wrote it: run that one",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format it has.
        found: u64,
        /// The newest format this grantd knows.
        known: u64,
    },
    /// There is something else in its place, or its first bytes are gone.
    #[error(
        "{} is no grantd store: {cause}; it was left as it is. Put a backup in its place, or move it away to begin with \
         an empty store",
        .path.display()
    )]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What is there.
        cause: String,
    },
    /// It is a store, and parts of it are not what was written.
    #[error(
        "{} is damaged: {cause}; it was left as it is. Put a backup in its place, or move it away to begin with an empty \
         store; then check the disk",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database says.
        cause: String,
    },
    /// It cannot be created, read or written.
    #[error("cannot use {}: {cause}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system or the database says.
        cause: String,
    },
}

/// Why no backup was made. There is no file at the target then, unless one was there before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is something at the target.
    #[error("{} exists; a backup overwrites nothing: name another file", .0.display())]
    Exists(PathBuf),
    /// The store could not be read to its end.
    #[error("the store could not be read: {0}")]
    Source(#[from] StoreError),
    /// The target could not be written.
    #[error("cannot write {}: {cause}", .path.display())]
    Target {
        /// The target, or the draft beside it.
        path: PathBuf,
        /// What the system or the database says.
        cause: String,
    },
}

pub(crate) fn unusable(path: &Path, cause: &dyn fmt::Display) -> OpenError {
    OpenError::Unusable { path: path.to_owned(), cause: cause.to_string() }
}

pub(crate) fn damaged(path: &Path, cause: impl Into<String>) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), cause: cause.into() }
}

pub(crate) fn not_a_store(path: &Path, cause: impl Into<String>) -> OpenError {
    OpenError::NotAStore { path: path.to_owned(), cause: cause.into() }
}

/// What opening a file came to.
pub(crate) fn opening(path: &Path, cause: DatabaseError) -> OpenError {
    match cause {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
        DatabaseError::Storage(cause) => reading(path, cause),
        DatabaseError::UpgradeRequired(version) => {
            not_a_store(path, format!("it is a redb file of version {version}, which no grantd wrote"))
        }
        cause => unusable(path, &cause),
    }
}

/// What reading a file came to, while it was opened.
pub(crate) fn reading(path: &Path, cause: impl Into<redb::Error>) -> OpenError {
    match cause.into() {
        redb::Error::Corrupted(cause) => damaged(path, cause),
        redb::Error::Io(cause) if cause.kind() == io::ErrorKind::InvalidData => not_a_store(path, cause.to_string()),
        redb::Error::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => damaged(path, "it ends too early"),
        cause => unusable(path, &cause),
    }
}

/// What the callers of the store get to know of a database error.
pub(crate) fn store(cause: &redb::Error) -> StoreError {
    match cause {
        redb::Error::Corrupted(_) => StoreError::Corrupt(cause.to_string()),
        _ => StoreError::Unavailable(cause.to_string()),
    }
}

/// The same error, for each of a group.
pub(crate) fn copy(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(cause) => StoreError::Unavailable(cause.clone()),
        StoreError::Corrupt(cause) => StoreError::Corrupt(cause.clone()),
        StoreError::Misuse(cause) => StoreError::Misuse(cause),
    }
}
