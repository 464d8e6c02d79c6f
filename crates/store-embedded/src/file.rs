//! The file: who may read it, who has it, and how a new one comes to its name.
//!
//! A new file, a store's or a backup's, is made under a name of its own beside the one it shall have, and gets that only
//! when it is complete and durable. So power that fails on the way leaves nothing half made under a name that counts,
//! and a file that is there is never a start of one: an empty one was emptied by somebody, and is refused.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    database::{CACHE, Database, PAUSE},
    disk::{Disk, Handle},
    error::{self, OpenError},
    schema,
};

/// Opens a file, or creates it where there is none.
pub(crate) fn open(path: &Path) -> Result<Database, OpenError> {
    let file = match existing(path)? {
        Some(file) => file,
        None => create(path)?,
    };
    let disk = Disk::of_file(file).map_err(|cause| error::opening(path, cause))?;
    Database::open(path.to_owned(), disk, PAUSE)
}

/// The file, locked, if there is one.
fn existing(path: &Path) -> Result<Option<File>, OpenError> {
    match fs::metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(error::unusable(path, &cause)),
        Ok(is) if is.is_dir() => return Err(error::not_a_store(path, "it is a folder")),
        Ok(is) if !is.is_file() => return Err(error::not_a_store(path, "it is no regular file")),
        Ok(_) => {}
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|cause| error::unusable(path, &cause))?;
    lock(&file, path)?;
    Ok(Some(file))
}

fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    file.try_lock().map_err(|cause| match cause {
        TryLockError::WouldBlock => OpenError::InUse(path.to_owned()),
        TryLockError::Error(cause) => error::unusable(path, &format_args!("it cannot be locked: {cause}")),
    })
}

/// An empty store, locked. Its folder is made where it is missing, readable by its owner only.
fn create(path: &Path) -> Result<File, OpenError> {
    let unusable = |cause: io::Error| error::unusable(path, &cause);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder(path)).map_err(unusable)?;
    let draft = Draft::beside(path).map_err(unusable)?;
    // Whoever sees the name finds it locked.
    lock(&draft.file, path)?;
    let database = draft.database().map_err(|cause| error::opening(path, cause))?;
    schema::create(&database).map_err(|cause| error::reading(path, cause))?;
    database.close().map_err(|cause| error::reading(path, cause))?;
    let file = draft.file.try_clone().map_err(unusable)?;
    match draft.publish(path) {
        Ok(()) => {
            tracing::info!(event = "store.created", path = %path.display(), "there was no store; this one is empty");
            Ok(file)
        }
        // Another process was faster.
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            existing(path)?.ok_or_else(|| error::unusable(path, &"it is a link to a file that is not there"))
        }
        Err(cause) => Err(unusable(cause)),
    }
}

/// A file that is being made. Removed when dropped, unless it was published.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) file: File,
    path: PathBuf,
}

impl Draft {
    /// A new file for its owner only, in the folder of `path`.
    pub(crate) fn beside(path: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        loop {
            let mut name = name.to_owned();
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            name.push(format!(".{}-{number}.draft", std::process::id()));
            let draft = folder(path).join(name);
            match options.open(&draft) {
                Ok(file) => return Ok(Self { file, path: draft }),
                // Of an earlier process with our number, that was killed.
                Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(cause),
            }
        }
    }

    /// An empty database in it.
    pub(crate) fn database(&self) -> Result<redb::Database, redb::DatabaseError> {
        let disk = Disk::of_file(self.file.try_clone()?)?;
        redb::Builder::new().set_cache_size(CACHE).create_with_backend(Handle::writing(&disk))
    }

    /// Gives it its name, durably; fails where there is such a file already. Its database must be closed.
    pub(crate) fn publish(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        match fs::hard_link(&self.path, path) {
            Ok(()) => {}
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => return Err(cause),
            // Not every file system has links.
            Err(_) if fs::symlink_metadata(path).is_ok() => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(&self.path, path)?,
        }
        sync_folder(path)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Published, it has two names, or is gone by a rename.
        let _ = fs::remove_file(&self.path);
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The name is as durable as what was written.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder(path))?.sync_all() } else { Ok(()) }
}
