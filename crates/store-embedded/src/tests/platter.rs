//! A disk in memory that forgets what was not synced when its power is cut, and that fails while it is told to.
//!
//! After a cut the disk holds what was durable and, of what was written since, what chance left: nothing, all up to some
//! write, some writes and not others, or single sectors of 512 bytes. The length survives independently of the data.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use redb::StorageBackend;

const SECTOR: usize = 512;

/// Randomness that a seed repeats (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No new block can be had: the file cannot grow, what is there can be written over.
    Full,
    /// Nothing can be written.
    ReadOnly,
    /// Syncs fail, and the system forgets that there was something to write, as Linux does.
    Sync,
    /// Nothing can be read or written.
    Gone,
}

#[derive(Debug)]
enum Written {
    Data(usize, Vec<u8>),
    Len(usize),
}

#[derive(Debug, Default)]
struct State {
    /// What the system shows.
    live: Vec<u8>,
    /// What is on the platter for certain.
    durable: Vec<u8>,
    /// What may be, in order.
    pending: Vec<Written>,
    /// How many calls that change something are left before the power goes.
    left: Option<usize>,
    fault: Option<Fault>,
    syncs: u64,
    gated: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Platter(Arc<(Mutex<State>, Condvar)>);

impl Platter {
    pub(super) fn holding(image: Vec<u8>) -> Self {
        let platter = Self::default();
        let mut state = platter.state();
        (state.live, state.durable) = (image.clone(), image);
        drop(state);
        platter
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// Cuts the power at the `left`th change from now.
    pub(super) fn cut_after(&self, left: usize) {
        self.state().left = Some(left);
    }

    pub(super) fn is_off(&self) -> bool {
        self.state().left == Some(0)
    }

    pub(super) fn fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// What the system shows.
    pub(super) fn image(&self) -> Vec<u8> {
        self.state().live.clone()
    }

    pub(super) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// While it is closed, syncs wait.
    pub(super) fn gate(&self, closed: bool) {
        self.state().gated = closed;
        self.0.1.notify_all();
    }

    /// Cuts the power now, and answers what is on the platter then, with the name of how that came about.
    pub(super) fn cut(&self, chance: &mut Chance) -> (Vec<u8>, &'static str) {
        let mut state = self.state();
        state.left = Some(0);
        let mut image = state.durable.clone();
        let lens = state.pending.iter().filter(|written| matches!(written, Written::Len(_))).count();
        let (kept_lens, mut nth_len) = (chance.below(lens + 1), 0);
        let last = chance.below(state.pending.len() + 1);
        let how = ["nothing", "all up to one", "some", "some sectors", "all"][chance.below(5)];
        for (nth, written) in state.pending.iter().enumerate() {
            match written {
                Written::Len(len) => {
                    nth_len += 1;
                    if nth_len <= kept_lens || how == "all" {
                        image.resize(*len, 0);
                    }
                }
                Written::Data(offset, data) => {
                    for (sector, data) in sectors(*offset, data) {
                        let survives = match how {
                            "nothing" => false,
                            "all up to one" => nth < last || (nth == last && chance.one_in(2)),
                            "some" => chance.0.rotate_left(nth as u32) & 1 == 0,
                            "some sectors" => chance.one_in(2),
                            _ => true,
                        };
                        if survives && sector + data.len() <= image.len() {
                            image[sector..sector + data.len()].copy_from_slice(data);
                        }
                    }
                }
            }
        }
        chance.next();
        (image, how)
    }
}

/// The parts of `data` that lie in one sector each, and where.
fn sectors(mut offset: usize, mut data: &[u8]) -> Vec<(usize, &[u8])> {
    let mut parts = Vec::new();
    while !data.is_empty() {
        let (part, rest) = data.split_at(data.len().min(SECTOR - offset % SECTOR));
        parts.push((offset, part));
        offset += part.len();
        data = rest;
    }
    parts
}

impl State {
    /// Counts a change; the last one before the cut is still seen by the system, and is lost or not like the others.
    fn changes(&mut self) -> io::Result<()> {
        self.is_there()?;
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        Ok(())
    }

    fn is_there(&self) -> io::Result<()> {
        if self.left == Some(0) || self.fault == Some(Fault::Gone) {
            return Err(io::Error::other("the disk is gone, says the test"));
        }
        Ok(())
    }
}

impl StorageBackend for Platter {
    fn len(&self) -> io::Result<u64> {
        let state = self.state();
        state.is_there()?;
        Ok(state.live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        state.is_there()?;
        let from = state.live.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.changes()?;
        match state.fault {
            Some(Fault::ReadOnly) => return Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            Some(Fault::Full) if len as usize > state.live.len() => return Err(io::ErrorKind::StorageFull.into()),
            _ => {}
        }
        state.live.resize(len as usize, 0);
        state.pending.push(Written::Len(len as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        while state.gated {
            state = self.0.1.wait(state).unwrap();
        }
        state.changes()?;
        state.syncs += 1;
        match state.fault {
            Some(Fault::ReadOnly) => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            Some(Fault::Sync) => {
                // Lengths are the file system's own affair, and are not forgotten.
                state.pending.retain(|written| matches!(written, Written::Len(_)));
                Err(io::ErrorKind::StorageFull.into())
            }
            // The power went while it was at it.
            _ if state.left == Some(0) => Err(io::Error::other("the power was cut, says the test")),
            _ => {
                let pending = std::mem::take(&mut state.pending);
                for written in pending {
                    match written {
                        Written::Len(len) => state.durable.resize(len, 0),
                        Written::Data(offset, data) => {
                            // Beyond the end when the file was cut short since.
                            let end = (offset + data.len()).min(state.durable.len());
                            let fits = end.saturating_sub(offset);
                            state.durable[offset.min(end)..end].copy_from_slice(&data[..fits]);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.changes()?;
        if state.fault == Some(Fault::ReadOnly) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let (offset, end) = (offset as usize, offset as usize + data.len());
        assert!(end <= state.live.len(), "redb writes where it made room");
        // Of a write that fails a part may be there.
        let full = state.fault == Some(Fault::Full) && end > state.durable.len();
        let data = if full { &data[..data.len() / 2] } else { data };
        state.live[offset..offset + data.len()].copy_from_slice(data);
        state.pending.push(Written::Data(offset, data.to_vec()));
        if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}
