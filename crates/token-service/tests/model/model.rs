//! What must hold of the store's records after every commit, whoever made it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use grantd_core::{
    Draw, Record, RecordKey,
    records::{AccessRecord, CodeRecord, Grant, RefreshRecord},
};
use grantd_oauth_types::GrantId;
use grantd_store::{
    Batch, CommitId, Entry, Key,
    codec::{self, Stored as _},
};

use crate::store::Records;

pub(crate) struct Model {
    grant: GrantId,
    /// As it is stored.
    pub(crate) head: Option<Grant>,
    /// The highest generation that ever was.
    pub(crate) top: u64,
    /// When each generation was superseded, by the store's clock.
    pub(crate) superseded: BTreeMap<u64, u64>,
    /// How many acknowledged writes were lost.
    pub(crate) failovers: u32,
    /// Commits that happened, and how often each rotated.
    applied: HashMap<CommitId, u32>,
    /// Commits that must not happen: of forged tokens.
    inert: HashSet<CommitId>,
    chains: u32,
    /// What this history went through.
    pub(crate) marks: BTreeSet<&'static str>,
    /// The first thing that was wrong.
    pub(crate) violation: Option<String>,
}

impl Model {
    pub(crate) fn new(grant: GrantId, map: &BTreeMap<Key, Entry>) -> Self {
        let mut model = Self {
            grant,
            head: None,
            top: 0,
            superseded: BTreeMap::new(),
            failovers: 0,
            applied: HashMap::new(),
            inert: HashSet::new(),
            chains: 0,
            marks: BTreeSet::new(),
            violation: None,
        };
        model.look(map);
        model.chains = u32::from(model.head.is_some());
        model
    }

    pub(crate) fn fail(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    fn look(&mut self, map: &BTreeMap<Key, Entry>) {
        let entry = map.get(&codec::key(&RecordKey::Grant(self.grant)));
        self.head = entry.map(|entry| Grant::decode(&entry.value).unwrap());
        self.top = self.top.max(self.generation().unwrap_or_default());
    }

    /// The generation that is current, in a grant that is in force.
    pub(crate) fn generation(&self) -> Option<u64> {
        Some(self.head.as_ref()?.live()?.generation)
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.live().is_none())
    }

    /// A request that must change nothing.
    pub(crate) fn forged(&mut self, request_id: &[u8]) {
        let draw = Draw::from_request_id(request_id).unwrap();
        for label in ["exchange", "exchange refused", "refresh", "refresh refused", &format!("revoke {}", self.grant)] {
            self.inert.insert(CommitId(draw.commit_id(label)));
        }
    }

    pub(crate) fn was_applied(&self, id: CommitId) -> bool {
        self.applied.contains_key(&id)
    }

    /// The generation that a restored copy would have as its current one.
    pub(crate) fn generation_in(&self, map: &BTreeMap<Key, Entry>) -> Option<u64> {
        let entry = map.get(&codec::key(&RecordKey::Grant(self.grant)))?;
        Some(Grant::decode(&entry.value).unwrap().live()?.generation)
    }

    /// The store lost what it had acknowledged.
    pub(crate) fn failed_over(&mut self, records: &Records) {
        self.failovers += 1;
        let was_revoked = self.is_revoked();
        self.look(records.all());
        self.marks.insert("a failover");
        if was_revoked && !self.is_revoked() {
            self.marks.insert("a revocation was lost");
        }
        let current = self.generation().unwrap_or(u64::MAX);
        self.superseded.retain(|generation, _| *generation < current);
    }

    /// A batch was written.
    pub(crate) fn applied(&mut self, records: &Records, batch: &Batch) {
        self.applied.entry(batch.id).or_default();
        if self.inert.contains(&batch.id) {
            self.fail(|| "a forged token changed the store".into());
        }
        let head = codec::key(&RecordKey::Grant(self.grant));
        if !batch.puts.iter().any(|put| put.key.slot() == head.slot()) {
            return;
        }
        let before = self.head.take();
        self.look(records.all());
        let knew = |head: Option<&Grant>| head.and_then(Grant::live).is_some_and(|live| live.ahead_access.is_some());
        if knew(before.as_ref()) && !self.is_revoked() && !knew(self.head.as_ref()) {
            self.marks.insert("an access token was repaired");
        }
        let generation = |head: Option<&Grant>| head.and_then(Grant::live).map(|live| live.generation);
        let rotated = generation(before.as_ref()) != generation(self.head.as_ref());
        self.transition(before.as_ref(), records.clock, batch.id);
        if rotated && let Some((id, access)) = self.head.as_ref().and_then(|head| Some((head.id, head.live()?.access)))
        {
            let access = codec::key(&RecordKey::Access(id, access));
            if !records.of_slot().any(|(key, _)| *key == access) {
                self.fail(|| "a new access token has no record".into());
            }
        }
        self.at_rest(records);
    }

    fn transition(&mut self, before: Option<&Grant>, clock: u64, id: CommitId) {
        let was = before.map(|head| head.live().map(|live| live.generation));
        let is = self.head.as_ref().map(|head| head.live().map(|live| live.generation));
        match (was, is) {
            (None, Some(Some(_))) => {
                self.chains += 1;
                if self.chains > 1 && self.failovers == 0 {
                    self.fail(|| "a code gave a second chain of tokens".into());
                }
            }
            (Some(Some(was)), Some(Some(is))) if is > was => {
                if is > was + 1 {
                    self.marks.insert("a chain was repaired");
                }
                self.superseded.extend((was..is).map(|generation| (generation, clock)));
                let rotated = self.applied.entry(id).or_default();
                *rotated += 1;
                if *rotated > 1 && self.failovers == 0 {
                    self.fail(|| "a request rotated twice".into());
                }
            }
            (Some(Some(was)), Some(Some(is))) if is < was => {
                self.fail(|| format!("a commit took the grant back from generation {was} to {is}"));
            }
            (Some(None), Some(Some(_))) => self.fail(|| "a revoked grant is in force again".into()),
            (Some(_), None) => self.fail(|| "the head is gone".into()),
            (None, Some(None)) => self.fail(|| "a grant was born revoked".into()),
            _ => {}
        }
    }

    /// What the slot may hold at any moment.
    fn at_rest(&mut self, records: &Records) {
        let Some(head) = self.head.clone() else { return };
        // A commit that a failover lost and that is sent again has the id of the first and a later time. Who loaded what the
        // first wrote may write to it: the same but for that time.
        let slack = if self.failovers > 0 { 120 } else { 0 };
        let last = head.expires_at.plus(std::time::Duration::from_secs(slack));
        let mut access = Vec::new();
        let mut refresh = Vec::new();
        if let Some(live) = head.live() {
            access.push(live.access);
            access.extend(live.draining.iter().map(|(digest, _)| *digest));
            refresh.push(live.refresh);
            if !live.recent.is_sorted_by(|a, b| a.generation < b.generation)
                || live.recent.last().is_some_and(|last| last.generation >= live.generation)
                || live.seen > live.generation
            {
                self.fail(|| format!("a chain out of order: {live:?}"));
            }
        }
        let access: Vec<_> = access.iter().map(|digest| codec::key(&RecordKey::Access(head.id, *digest))).collect();
        let refresh: Vec<_> = refresh.iter().map(|digest| codec::key(&RecordKey::Refresh(head.id, *digest))).collect();
        for (key, entry) in records.of_slot() {
            let (fits, ends) = match key.kind() {
                "access" => {
                    let record = AccessRecord::decode(&entry.value).unwrap();
                    (access.contains(key), Record::Access(record).expires_at())
                }
                "refresh" => {
                    let record = RefreshRecord::decode(&entry.value).unwrap();
                    (refresh.contains(key), Record::Refresh(record).expires_at())
                }
                // A code ends when it is exchanged.
                "code" => (false, Record::Code(CodeRecord::decode(&entry.value).unwrap()).expires_at()),
                "request" => (false, None),
                _ => (true, Some(head.expires_at)),
            };
            if !fits {
                let state = if head.live().is_some() { "live" } else { "revoked" };
                self.fail(|| format!("a record that does not belong to a {state} grant: {}", key.kind()));
            }
            if entry.expires_at != ends || ends.is_none_or(|ends| ends > last) {
                self.fail(|| format!("a record outlives its end or its grant: {}", key.kind()));
            }
        }
        if head.live().is_some() && !refresh.iter().all(|key| records.raw(key).is_some()) {
            self.fail(|| "the refresh record of the current generation is missing".into());
        }
    }
}
