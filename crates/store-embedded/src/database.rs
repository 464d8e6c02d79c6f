//! The database: how it is looked at, opened, and opened again after a failure.
//!
//! redb refuses all work, reads included, on a database that met an I/O error (a full disk, say) until it is opened
//! again. So after a write that failed
//!
//! 1. the database is cut off from the file, and the file is opened read-only: readers go on with what is committed;
//! 2. at the next write, but not more often than once per [`Database`]'s `pause`, the file is opened for writing beside
//!    it; when that write succeeds the new database takes the place of the other, and all is as before.
//!
//! A file is looked at before it is opened, in a read-only handle with every checksum verified: a damaged one is refused
//! as it is. redb may panic on damage; what it does here runs where a panic is an error.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use grantd_store::StoreError;
use redb::{ReadTransaction, ReadableDatabase as _};
use tokio::time::Instant;

use crate::{
    disk::{Disk, Handle},
    error::{self, OpenError},
    schema,
};

/// Pages kept in memory. The hot set (heads and access tokens in use) of a machine that needs no Redis fits easily.
pub(crate) const CACHE: usize = 64 * 1024 * 1024;

/// How long after a failure the file is not opened for writing again.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// A database that can be opened again.
pub(crate) struct Database {
    path: PathBuf,
    disk: Arc<Disk>,
    /// `None` when it cannot even be read.
    current: RwLock<Option<Opened>>,
    pause: Duration,
    /// Until when nothing is tried, and why.
    failed: Mutex<Option<(Instant, String)>>,
}

#[derive(Clone)]
struct Opened {
    database: Arc<redb::Database>,
    handle: Handle,
}

impl Opened {
    fn read<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        contained(|| {
            let transaction = self.database.begin_read().map_err(redb::Error::from);
            transaction.and_then(|transaction| read(&transaction)).map_err(|cause| error::store(&cause))
        })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    /// Opens what is on `disk`; `path` is how messages call it.
    pub(crate) fn open(path: PathBuf, disk: Arc<Disk>, pause: Duration) -> Result<Self, OpenError> {
        let database = Self { path, disk, current: RwLock::new(None), pause, failed: Mutex::new(None) };
        if database.disk.is_empty().map_err(|cause| error::unusable(&database.path, &cause))? {
            return Err(error::not_a_store(&database.path, "it is empty"));
        }
        let looked_at = database.open_read_only()?;
        // What it would write on closing is not worth the work.
        looked_at.handle.cut();
        drop(looked_at);
        // Just verified.
        let opened = database.open_handle(Handle::writing(&database.disk), false)?;
        database.publish(Some(opened));
        Ok(database)
    }

    /// Reads in one transaction; in another one when the file was opened again meanwhile, which cuts off who is reading.
    pub(crate) fn read<T>(
        &self,
        mut read: impl FnMut(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        loop {
            let opened = self.readable()?;
            match opened.read(&mut read) {
                Err(_) if !self.is_current(&opened) => {}
                answer => return answer,
            }
        }
    }

    /// Reads in one transaction, or fails.
    pub(crate) fn read_once<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.readable()?.read(read)
    }

    /// Runs `write`, which is one transaction and answers whether it wrote, on a database that writes. When it fails
    /// nothing was written (or all of it, if only the answer of the disk was lost), and readers go on with what is
    /// committed.
    pub(crate) fn write<T>(
        &self,
        write: impl FnOnce(&redb::Database) -> Result<(bool, T), redb::Error>,
    ) -> Result<T, StoreError> {
        let current = self.current();
        let (opened, is_new) = match &current {
            Some(opened) if opened.handle.writes() => (opened.clone(), false),
            _ => (self.open_again()?, true),
        };
        match contained(|| write(&opened.database).map_err(|cause| error::store(&cause))) {
            Ok((wrote, answer)) => {
                if is_new && (wrote || current.is_none()) {
                    tracing::info!(event = "store.recovered", "the file takes writes again");
                    self.publish(Some(opened));
                } else if is_new {
                    // Nothing was proven: readers keep what they have.
                    opened.handle.cut();
                }
                Ok(answer)
            }
            Err(cause) => {
                tracing::error!(event = "store.write_failed", %cause, "a write failed; reading goes on");
                opened.handle.cut();
                drop(opened);
                self.note_failure(cause.to_string());
                if !is_new || current.is_none() {
                    self.fall_back();
                }
                Err(cause)
            }
        }
    }

    /// Opens the file for writing beside the database that readers have.
    fn open_again(&self) -> Result<Opened, StoreError> {
        if let Some((until, why)) = &*self.failed.lock().unwrap_or_else(PoisonError::into_inner)
            && Instant::now() < *until
        {
            return Err(StoreError::Unavailable(why.clone()));
        }
        let settled = self.disk.settle().map_err(|cause| error::unusable(&self.path, &cause));
        settled.and_then(|()| self.open_handle(Handle::writing(&self.disk), true)).map_err(|cause| {
            tracing::error!(event = "store.reopen_failed", %cause, "the file cannot be opened for writing yet");
            self.note_failure(cause.to_string());
            if self.current().is_none() {
                self.fall_back();
            }
            StoreError::Unavailable(cause.to_string())
        })
    }

    /// Gives readers what is committed.
    fn fall_back(&self) {
        match self.open_read_only() {
            Ok(opened) => self.publish(Some(opened)),
            Err(cause) => {
                tracing::error!(event = "store.read_failed", %cause, "the file cannot be read");
                self.note_failure(cause.to_string());
                self.publish(None);
            }
        }
    }

    fn open_read_only(&self) -> Result<Opened, OpenError> {
        let handle = Handle::read_only(&self.disk).map_err(|cause| error::unusable(&self.path, &cause))?;
        self.open_handle(handle, true)
    }

    fn open_handle(&self, handle: Handle, check: bool) -> Result<Opened, OpenError> {
        let opened = catch_unwind(AssertUnwindSafe(|| -> Result<_, OpenError> {
            let database = redb::Builder::new()
                .set_cache_size(CACHE)
                .set_check_integrity_on_open(check)
                .create_with_backend(handle.clone())
                .map_err(|cause| error::opening(&self.path, cause))?;
            schema::check(&database, &self.path)?;
            Ok(database)
        }));
        let opened = opened.unwrap_or_else(|panic| Err(error::damaged(&self.path, said(&*panic))));
        match opened {
            Ok(database) => Ok(Opened { database: Arc::new(database), handle }),
            Err(cause) => {
                handle.cut();
                Err(cause)
            }
        }
    }

    fn readable(&self) -> Result<Opened, StoreError> {
        self.current().ok_or_else(|| {
            let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            let why = failed.as_ref().map_or("the file is being opened", |(_, why)| why);
            StoreError::Unavailable(why.to_owned())
        })
    }

    fn current(&self) -> Option<Opened> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_current(&self, opened: &Opened) -> bool {
        self.current().is_some_and(|current| Arc::ptr_eq(&current.database, &opened.database))
    }

    /// Puts another database in the place of the one that is there.
    fn publish(&self, opened: Option<Opened>) {
        let before = std::mem::replace(&mut *self.current.write().unwrap_or_else(PoisonError::into_inner), opened);
        if let Some(before) = before {
            // Before anything overwrites what its readers may still be looking at.
            before.handle.cut();
        }
    }

    fn note_failure(&self, why: String) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now() + self.pause, why));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Closed cleanly, and then its lock is free.
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.disk.close();
    }
}

/// Runs what redb might panic in. Whatever it was doing is thrown away then, so nothing half done is seen.
fn contained<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(StoreError::Corrupt(format!("the database failed: {}", said(&*panic)))))
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason was given")
}
