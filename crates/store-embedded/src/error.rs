//! What can go wrong, for those who open a file and for those who use the store.

use std::path::PathBuf;

use grantd_store::StoreError;

/// Why a file could not be opened.
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
    /// It cannot be created, read or written, or it is damaged.
    #[error("cannot use {}: {cause}", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system or the database says.
        cause: String,
    },
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
