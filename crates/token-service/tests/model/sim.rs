//! What the processes share: the store, and the list of what they have asked of it and the scheduler has not yet let
//! happen.
//!
//! Each `get` and `commit` waits here. The scheduler picks one, lets it happen or fail, and its caller goes on. So two
//! seeds differ in the order of everything, and one seed gives the same order every time.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use grantd_store::{Announcement, Batch, CommitOutcome, Index, IndexPage, Key, Snapshot, Store, StoreError, Timestamp};
use tokio::sync::{broadcast, oneshot};
use tokio_stream::wrappers::BroadcastStream;

use crate::{
    model::Model,
    rng::Rng,
    store::{Flaw, Records},
};

/// An operation that waits.
pub(crate) struct Pending {
    /// Of which process.
    pub(crate) process: usize,
    pub(crate) op: Op,
    /// Until this move others go first: a slow connection.
    pub(crate) slow_until: u64,
    reply: oneshot::Sender<Reply>,
}

pub(crate) enum Op {
    /// What was read so far: slots may be read at different moments.
    Get(Vec<Key>, Vec<Option<Option<grantd_store::Entry>>>),
    /// How far a store without atomicity has come.
    Commit(Batch, usize),
}

pub(crate) enum Reply {
    Read(Snapshot),
    Outcome(CommitOutcome),
    Away,
}

/// How an operation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Well,
    /// It does not happen, and fails.
    Fails,
    /// It happens, and its answer is lost.
    AnswerLost,
    /// It fails, and a commit happens later all the same.
    HappensLater,
}

pub(crate) struct State {
    pub(crate) rng: Rng,
    pub(crate) records: Records,
    pub(crate) model: Model,
    pub(crate) pending: Vec<Pending>,
    /// Commits that failed and are still on their way.
    pub(crate) late: Vec<Batch>,
    /// Processes that crashed.
    pub(crate) dead: HashSet<usize>,
    /// Whether anything failed that an honest process may stumble over.
    pub(crate) disturbed: bool,
    /// Of operations that are slow, in percent.
    pub(crate) slow: u64,
    /// How often the scheduler chose.
    pub(crate) moves: u64,
    /// In percent, of what is not scheduled: index operations.
    pub(crate) index_faults: u64,
    index: BTreeMap<(String, String), Option<Timestamp>>,
    heard: broadcast::Sender<Option<Announcement>>,
    /// What happened; kept when a history is told.
    pub(crate) trace: Option<Vec<String>>,
}

impl State {
    pub(crate) fn new(rng: Rng, records: Records, model: Model, told: bool) -> Self {
        Self {
            rng,
            records,
            model,
            pending: Vec::new(),
            late: Vec::new(),
            dead: HashSet::new(),
            disturbed: false,
            slow: 0,
            moves: 0,
            index_faults: 0,
            index: BTreeMap::new(),
            heard: broadcast::channel(256).0,
            trace: told.then(Vec::new),
        }
    }

    pub(crate) fn tell(&mut self, what: impl FnOnce() -> String) {
        let clock = self.records.clock;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9} {}", clock - crate::base::START, what()));
        }
    }

    /// The operations that may go on now.
    pub(crate) fn ready(&self) -> Vec<usize> {
        (0..self.pending.len()).filter(|at| self.pending[*at].slow_until <= self.moves).collect()
    }

    /// Lets the operation at `at` go on, and perhaps end.
    pub(crate) fn permit(&mut self, at: usize, fate: Fate) {
        let mut pending = self.pending.swap_remove(at);
        let what = match &pending.op {
            Op::Get(keys, _) => format!("get {}", kinds(keys)),
            Op::Commit(batch, _) => format!("commit {}", kinds(batch.puts.iter().map(|put| &put.key))),
        };
        let reply = match &mut pending.op {
            Op::Get(..) if fate != Fate::Well => Some(Reply::Away),
            Op::Get(keys, read) => self.read(keys, read).then(|| {
                let entries = read.drain(..).map(Option::unwrap_or_default).collect();
                Reply::Read(Snapshot { now: self.records.now(), entries })
            }),
            Op::Commit(_, _) if fate == Fate::Fails => Some(Reply::Away),
            Op::Commit(batch, _) if fate == Fate::HappensLater => {
                self.late.push(batch.clone());
                Some(Reply::Away)
            }
            Op::Commit(batch, done) => self.commit(batch, done).map(Reply::Outcome),
        };
        let reply = if fate == Fate::AnswerLost { reply.map(|_| Reply::Away) } else { reply };
        self.disturbed |= matches!(reply, Some(Reply::Away));
        self.tell(|| {
            let outcome = match &reply {
                None => "in part".to_owned(),
                Some(Reply::Read(_)) => String::new(),
                Some(Reply::Outcome(outcome)) => format!("{outcome:?}"),
                Some(Reply::Away) => format!("{fate:?}"),
            };
            format!("  process {} {what} {outcome}", pending.process)
        });
        match reply {
            // Its caller may be gone.
            Some(reply) => drop(pending.reply.send(reply)),
            None => self.pending.push(pending),
        }
    }

    /// Reads; `true` when all is read.
    fn read(&mut self, keys: &[Key], read: &mut [Option<Option<grantd_store::Entry>>]) -> bool {
        let waiting: Vec<_> = (0..keys.len()).filter(|at| read[*at].is_none()).collect();
        let Some(first) = (!waiting.is_empty()).then(|| *self.rng.pick(&waiting)) else { return true };
        let torn = self.records.is(Flaw::ReadsOneByOne);
        let at_once = !torn && self.rng.chance(70);
        for at in waiting {
            let now = if torn { at == first } else { at_once || keys[at].slot() == keys[first].slot() };
            if now {
                read[at] = Some(self.records.read(&keys[at]));
            }
        }
        read.iter().all(Option::is_some)
    }

    /// Commits; `None` while a flawed store is in the middle of it.
    pub(crate) fn commit(&mut self, batch: &Batch, done: &mut usize) -> Option<CommitOutcome> {
        if let Err(error) = batch.check() {
            self.model.fail(|| format!("a batch breaks the contract: {error}"));
        }
        let (outcome, writes) = match self.records.flaw {
            Flaw::ResendIsDoneAgain if self.records.is_resend(batch) || self.model.was_applied(batch.id) => {
                (CommitOutcome::Committed, true)
            }
            Flaw::ChecksThenWrites | Flaw::PutsOneByOne if *done > 0 => (CommitOutcome::Committed, true),
            _ => self.records.judge(batch),
        };
        if writes {
            *done += 1;
            match self.records.flaw {
                Flaw::ChecksThenWrites if *done == 1 => return None,
                Flaw::PutsOneByOne if *done <= batch.puts.len() => {
                    self.records.put(batch, &batch.puts[*done - 1]);
                    return None;
                }
                Flaw::LosesAcknowledged if self.rng.chance(20) => {}
                _ => self.records.write(batch),
            }
            self.model.applied(&self.records, batch);
        }
        if outcome == CommitOutcome::Committed {
            for announcement in &batch.announce {
                let _ = self.heard.send(Some(announcement.clone()));
            }
        }
        Some(outcome)
    }

    /// A commit that failed long ago arrives.
    pub(crate) fn arrive(&mut self, batch: &Batch) {
        let mut done = 0;
        let outcome = loop {
            if let Some(outcome) = self.commit(batch, &mut done) {
                break outcome;
            }
        };
        self.tell(|| format!("  a late commit arrives: {outcome:?}"));
        if outcome == CommitOutcome::Committed {
            self.model.marks.insert("a late commit was written");
        }
    }

    /// The process is gone, with what it had in mind. What it had sent may still happen.
    pub(crate) fn crash(&mut self, process: usize) {
        self.dead.insert(process);
        self.disturbed = true;
        let (lost, kept): (Vec<_>, Vec<_>) = self.pending.drain(..).partition(|pending| pending.process == process);
        self.pending = kept;
        for pending in lost {
            match pending.op {
                Op::Commit(batch, 0) if self.rng.chance(50) => self.late.push(batch),
                _ => {}
            }
        }
    }

    /// Announcements break off, and go on.
    pub(crate) fn gap(&mut self) {
        let _ = self.heard.send(None);
    }

    fn index_fails(&mut self) -> bool {
        let fails = self.rng.next() % 100 < self.index_faults;
        self.disturbed |= fails;
        fails
    }
}

fn kinds<'a>(keys: impl IntoIterator<Item = &'a Key>) -> String {
    keys.into_iter().map(Key::kind).collect::<Vec<_>>().join("+")
}

/// Shared by everything in a history.
#[derive(Clone)]
pub(crate) struct Sim(Arc<Mutex<State>>);

impl Sim {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // One thread runs a history: who waited here would wait for ever.
        self.0.try_lock().unwrap()
    }

    /// The store as one process sees it.
    pub(crate) fn store(&self, process: usize) -> Arc<dyn Store> {
        Arc::new(Handle { sim: self.clone(), process })
    }
}

struct Handle {
    sim: Sim,
    process: usize,
}

impl Handle {
    async fn ask(&self, op: Op) -> Reply {
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.sim.state();
            if !state.dead.contains(&self.process) {
                let slow = state.slow;
                let wait = if state.rng.chance(slow) { state.rng.next() % 40 } else { 0 };
                let slow_until = state.moves + wait;
                state.pending.push(Pending { process: self.process, op, slow_until, reply });
            }
        }
        match answer.await {
            Ok(reply) => reply,
            // The process is dead: nothing of it goes on.
            Err(_) => futures::future::pending().await,
        }
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("the scheduler says so".into())
}

#[async_trait]
impl Store for Handle {
    async fn get(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        match self.ask(Op::Get(keys.to_vec(), vec![None; keys.len()])).await {
            Reply::Read(snapshot) => Ok(snapshot),
            Reply::Away | Reply::Outcome(_) => Err(away()),
        }
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, StoreError> {
        match self.ask(Op::Commit(batch, 0)).await {
            Reply::Outcome(outcome) => Ok(outcome),
            Reply::Away | Reply::Read(_) => Err(away()),
        }
    }

    async fn index_add(&self, index: &Index, member: &str, expires_at: Option<Timestamp>) -> Result<(), StoreError> {
        let mut state = self.sim.state();
        if state.index_fails() {
            return Err(away());
        }
        state.index.insert((index.as_str().to_owned(), member.to_owned()), expires_at);
        Ok(())
    }

    async fn index_remove(&self, index: &Index, member: &str) -> Result<(), StoreError> {
        self.sim.state().index.remove(&(index.as_str().to_owned(), member.to_owned()));
        Ok(())
    }

    async fn index_list(&self, index: &Index, _after: Option<&str>, _limit: usize) -> Result<IndexPage, StoreError> {
        let state = self.sim.state();
        let members = state.index.keys().filter(|(of, _)| of == index.as_str()).map(|(_, member)| member.clone());
        Ok(IndexPage { members: members.collect(), next: None })
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError> {
        let heard = BroadcastStream::new(self.sim.state().heard.subscribe());
        Ok(heard.map(|heard| heard.ok().flatten().ok_or_else(away)).boxed())
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        Ok(Duration::ZERO)
    }
}
