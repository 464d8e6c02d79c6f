//! The file: how it is created, opened, and opened again after an I/O error.
//!
//! redb refuses all work on a database that met an I/O error (a full disk, say) until it is closed and opened again.
//! [`Database::reopen`] does that, so that a store recovers by itself once the cause is gone. Readers hold the database
//! only while they read.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::Duration,
};

use grantd_store::StoreError;
use redb::{DatabaseError, backends::FileBackend};

use crate::{error::OpenError, schema};

/// Pages kept in memory. The hot set (heads and access tokens in use) of a machine that needs no Redis fits easily.
const CACHE: usize = 64 * 1024 * 1024;

type Opener = dyn Fn() -> Result<redb::Database, OpenError> + Send + Sync;

/// A database that can be opened again.
pub(crate) struct Database {
    /// `None` when it was closed and could not be opened yet.
    current: RwLock<Option<Arc<redb::Database>>>,
    open: Box<Opener>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    pub(crate) fn open(
        open: impl Fn() -> Result<redb::Database, OpenError> + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        Ok(Self { current: RwLock::new(Some(Arc::new(open()?))), open: Box::new(open) })
    }

    /// The database, to be held for one transaction.
    pub(crate) fn current(&self) -> Result<Arc<redb::Database>, StoreError> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone().ok_or_else(|| StoreError::Unavailable("the file is being opened again".into()))
    }

    /// Closes the database and opens it again. Readers fail meanwhile.
    pub(crate) fn reopen(&self) -> Result<(), OpenError> {
        let mut closing = self.current.write().unwrap_or_else(PoisonError::into_inner).take();
        // Those who are reading hold it for a moment. Whoever is last closes it, and then its lock is free.
        while let Some(shared) = closing.take() {
            if let Err(shared) = Arc::try_unwrap(shared) {
                closing = Some(shared);
                thread::sleep(Duration::from_millis(1));
            }
        }
        let opened = (self.open)()?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(opened));
        Ok(())
    }
}

/// Opens a file, or creates it.
pub(crate) fn open_file(path: &Path) -> Result<redb::Database, OpenError> {
    let unusable = |cause: String| OpenError::Unusable { path: path.to_owned(), cause };
    let file = create_file(path).map_err(|cause| unusable(cause.to_string()))?;
    let opened = FileBackend::new(file)
        .and_then(|backend| redb::Builder::new().set_cache_size(CACHE).create_with_backend(backend));
    let database = opened.map_err(|cause| match cause {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
        cause => unusable(cause.to_string()),
    })?;
    schema::prepare(&database, path)?;
    Ok(database)
}

/// The file, and its folder, readable by their owner only when they are new.
fn create_file(path: &Path) -> io::Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.open(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        builder.mode(0o700);
        options.mode(0o600);
    }
    builder.create(folder)?;
    let file = options.create(true).truncate(false).open(path)?;
    // The name is as durable as what will be written.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(file)
}
