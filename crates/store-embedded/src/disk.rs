//! What stands between redb and the file, so that a failure of one does not take the other along.
//!
//! - A [`Disk`] is the file, open and locked for as long as the store lives. It knows what was written since the last
//!   sync that worked. After a sync that failed the system may take pages for clean that never reached the disk, so
//!   before anything is built on them [`Disk::settle`] writes them once more.
//! - A [`Handle`] is what one `redb::Database` sees of it. A handle is cut before the file is opened again: whoever
//!   still holds the old database then gets errors, and cannot write beside the new one.
//! - A handle that is `read_only` keeps what redb writes in memory. So a file can be looked at, repair included, without
//!   touching it: before it is opened in earnest, and for readers while the disk takes no writes.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use redb::{DatabaseError, StorageBackend, backends::FileBackend};

/// How the memory of a read-only handle is divided.
const BLOCK: usize = 4096;

/// The file, for as long as the store lives.
#[derive(Debug)]
pub(crate) struct Disk {
    base: Box<dyn StorageBackend>,
    /// The file, where closing has to release its lock.
    locked: Option<File>,
    /// What was written since the last sync that worked: lengths by offset.
    unsynced: Mutex<BTreeMap<u64, usize>>,
}

impl Disk {
    /// `locked` is the file, where closing has to release a lock.
    pub(crate) fn new(base: impl StorageBackend, locked: Option<File>) -> Arc<Self> {
        Arc::new(Self { base: Box::new(base), locked, unsynced: Mutex::default() })
    }

    pub(crate) fn of_file(file: File) -> Result<Arc<Self>, DatabaseError> {
        let locked = file.try_clone()?;
        Ok(Self::new(FileBackend::new(file)?, Some(locked)))
    }

    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.base.len()? == 0)
    }

    /// Writes again what a failed sync may have left in memory, and syncs.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let unsynced = lock(&self.unsynced).clone();
        let end = self.base.len()?;
        for (offset, len) in unsynced {
            let there = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let mut data = vec![0; len.min(there)];
            self.base.read(offset, &mut data)?;
            self.base.write(offset, &data)?;
        }
        self.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // Noted before: a write that fails may have written a part.
        let mut unsynced = lock(&self.unsynced);
        let len = unsynced.entry(offset).or_default();
        *len = data.len().max(*len);
        drop(unsynced);
        self.base.write(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        self.base.sync_data()?;
        // Only one thread writes, and it is this one that synced.
        lock(&self.unsynced).clear();
        Ok(())
    }

    /// Releases the file's lock; a child process that is just being started may share the file a moment longer.
    pub(crate) fn close(&self) {
        let _ = self.base.close();
        if let Some(file) = &self.locked {
            let _ = file.unlock();
        }
    }
}

/// What one database sees of the file.
#[derive(Debug, Clone)]
pub(crate) struct Handle(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    disk: Arc<Disk>,
    /// Read while anything is done, so that a cut waits for what is under way, and nothing comes after it.
    cut: RwLock<bool>,
    /// What was written, for a handle that does not write.
    memory: Option<Mutex<Memory>>,
}

impl Handle {
    pub(crate) fn writing(disk: &Arc<Disk>) -> Self {
        Self(Arc::new(Seen { disk: disk.clone(), cut: RwLock::new(false), memory: None }))
    }

    pub(crate) fn read_only(disk: &Arc<Disk>) -> io::Result<Self> {
        let len = disk.base.len()?;
        let memory = Memory { len, of_disk: len, blocks: BTreeMap::new() };
        Ok(Self(Arc::new(Seen { disk: disk.clone(), cut: RwLock::new(false), memory: Some(Mutex::new(memory)) })))
    }

    pub(crate) fn writes(&self) -> bool {
        self.0.memory.is_none()
    }

    /// From now on everything fails here.
    pub(crate) fn cut(&self) {
        *self.0.cut.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    fn run<T>(&self, work: impl FnOnce(&Disk, Option<&mut Memory>) -> io::Result<T>) -> io::Result<T> {
        let cut = self.0.cut.read().unwrap_or_else(PoisonError::into_inner);
        if *cut {
            return Err(io::Error::other("the file was opened again"));
        }
        let mut memory = self.0.memory.as_ref().map(lock);
        work(&self.0.disk, memory.as_deref_mut())
    }
}

/// Locks are not redb's business here: the file is locked by who opened it.
impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        self.run(|disk, memory| memory.map_or_else(|| disk.base.len(), |memory| Ok(memory.len)))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.run(|disk, memory| match memory {
            None => disk.base.read(offset, out),
            Some(memory) => memory.read(disk, offset, out),
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.run(|disk, memory| match memory {
            None => disk.base.set_len(len),
            Some(memory) => {
                memory.set_len(len);
                Ok(())
            }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.run(|disk, memory| if memory.is_none() { disk.sync() } else { Ok(()) })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.run(|disk, memory| match memory {
            None => disk.write(offset, data),
            Some(memory) => memory.write(disk, offset, data),
        })
    }
}

/// What a read-only handle has been told to write.
#[derive(Debug)]
struct Memory {
    len: u64,
    /// How much of the file shows through; beyond that there are zeros.
    of_disk: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Memory {
    fn set_len(&mut self, len: u64) {
        self.len = len;
        self.of_disk = self.of_disk.min(len);
        self.blocks.retain(|block, _| *block < len);
        if let Some(mut last) = self.blocks.last_entry() {
            let keep = usize::try_from(len - last.key()).unwrap_or(BLOCK);
            last.get_mut().iter_mut().skip(keep).for_each(|byte| *byte = 0);
        }
    }

    fn read(&self, disk: &Disk, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (block, skip, part) in blocks(offset, out) {
            match self.blocks.get(&block) {
                Some(written) => {
                    part.iter_mut().zip(written.iter().skip(skip)).for_each(|(to, from)| *to = *from);
                }
                None => self.read_disk(disk, block + skip as u64, part)?,
            }
        }
        Ok(())
    }

    fn read_disk(&self, disk: &Disk, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(self.of_disk.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (shown, zeros) = out.split_at_mut(there.min(out.len()));
        zeros.fill(0);
        if shown.is_empty() { Ok(()) } else { disk.base.read(offset, shown) }
    }

    fn write(&mut self, disk: &Disk, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut data = data.to_vec();
        self.len = self.len.max(offset.saturating_add(data.len() as u64));
        for (block, skip, part) in blocks(offset, &mut data) {
            if !self.blocks.contains_key(&block) {
                let mut before = vec![0; BLOCK];
                self.read_disk(disk, block, &mut before)?;
                self.blocks.insert(block, before);
            }
            if let Some(written) = self.blocks.get_mut(&block) {
                written.iter_mut().skip(skip).zip(part.iter()).for_each(|(to, from)| *to = *from);
            }
        }
        Ok(())
    }
}

/// The parts of `data` that lie in one block each: the block's offset, where in it the part begins, the part.
fn blocks(mut offset: u64, mut data: &mut [u8]) -> impl Iterator<Item = (u64, usize, &mut [u8])> {
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let skip = (offset % BLOCK as u64) as usize;
        let whole = std::mem::take(&mut data);
        let (part, rest) = whole.split_at_mut(whole.len().min(BLOCK - skip));
        let item = (offset - skip as u64, skip, part);
        offset += item.2.len() as u64;
        data = rest;
        Some(item)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
