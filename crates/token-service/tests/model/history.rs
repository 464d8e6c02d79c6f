//! One history: who does what, and in which order it happens.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::task::JoinSet;

use crate::{
    base::{Base, base},
    calls::{Ask, Call, Done, Processes, Start, Who},
    model::Model,
    plan::{Kind, Plan},
    rng::Rng,
    sim::{Fate, Sim, State},
    store::{Flaw, Records},
};

#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) generation: u64,
    pub(crate) access: String,
    pub(crate) refresh: String,
    /// When the access token ends, as it was answered.
    pub(crate) ends: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Holder {
    pub(crate) pair: Option<Pair>,
    /// When it got the pair.
    pub(crate) since: u64,
    pub(crate) busy: bool,
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Permit,
    Late,
    Act,
    Cut,
    Crash,
    Tick,
    Leap,
    FailOver,
}

pub(crate) struct History {
    pub(crate) sim: Sim,
    pub(crate) base: Arc<Base>,
    pub(crate) plan: Plan,
    pub(crate) seed: u64,
    pub(crate) processes: Processes,
    pub(crate) holders: Vec<Holder>,
    /// Every pair that was ever answered.
    pub(crate) issued: Vec<Pair>,
    pub(crate) calls: JoinSet<Done>,
    /// The lowest and the highest time while each call was under way.
    pub(crate) windows: BTreeMap<usize, (u64, u64)>,
    next_call: usize,
    /// Who exchanged the code, by request id, and the answer.
    pub(crate) exchanges: BTreeMap<Vec<u8>, Option<bool>>,
    /// When the code was approved last, or at the start.
    pub(crate) approved: u64,
    /// Whether everything has had the time to end, registrations included.
    pub(crate) aged: bool,
    /// Whether something happened beyond what is promised to holders.
    pub(crate) stumbled: bool,
    /// When the overlap of a generation began anew, as a lost reply was answered late. At the earliest.
    pub(crate) reopened: BTreeMap<u64, u64>,
    /// Whether somebody was told that the grant is revoked.
    pub(crate) told_revoked: bool,
    pub(crate) actions: usize,
    /// What the last bearer check was answered.
    pub(crate) accepted: bool,
    calm: bool,
}

impl History {
    pub(crate) fn new(seed: u64, flaw: Flaw, told: bool) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let base = base(plan.times);
        let from_code = matches!(plan.kind, Kind::Code | Kind::Codes);
        let map = if from_code { base.asked.clone() } else { base.signed_in.clone() };
        let model = Model::new(base.grant_id, &map);
        let actions = 4 + rng.below(16);
        let records = Records::new(flaw, base.grant_id.to_string(), crate::base::START, map);
        let mut state = State::new(rng, records, model, told);
        (state.index_faults, state.slow) = (plan.faults, plan.slow);
        state.tell(|| format!("{plan:?}"));
        let sim = Sim::new(state);
        let mut processes = Processes::new(plan.kind == Kind::Guarded);
        (0..plan.processes).for_each(|_| processes.start(&sim, &base));
        let first = Pair {
            generation: 1,
            access: base.pair.access.to_text(),
            refresh: base.pair.refresh.to_text(),
            ends: base.pair.access_expires_at.0,
        };
        let pair = (!from_code).then_some(first);
        let holder = Holder { pair: pair.clone(), since: crate::base::START, busy: false };
        Self {
            sim,
            seed,
            processes,
            holders: vec![holder; plan.holders],
            issued: pair.into_iter().collect(),
            calls: JoinSet::new(),
            windows: BTreeMap::new(),
            next_call: 0,
            exchanges: BTreeMap::new(),
            approved: 0,
            aged: false,
            stumbled: false,
            reopened: BTreeMap::new(),
            told_revoked: false,
            actions,
            accepted: false,
            calm: false,
            base,
            plan,
        }
    }

    pub(crate) fn clock(&self) -> u64 {
        self.sim.state().records.clock
    }

    pub(crate) fn fail(&self, what: impl FnOnce() -> String) {
        self.sim.state().model.fail(what);
    }

    /// Nothing fails any more.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        let mut state = self.sim.state();
        state.index_faults = 0;
        state.disturbed = false;
    }

    /// Begins a call.
    pub(crate) fn ask(&mut self, who: Who, ask: Ask) {
        let mut request_id = self.seed.to_be_bytes().to_vec();
        request_id.extend(self.next_call.to_be_bytes());
        request_id.resize(32, 7);
        let call = Call { number: self.next_call, who, ask, request_id };
        self.next_call += 1;
        let mut state = self.sim.state();
        if who == Who::Forger {
            state.model.forged(&call.request_id);
        }
        state.tell(|| format!("call {}: {who:?} {}", call.number, show(&call.ask)));
        let clock = state.records.clock;
        self.windows.insert(call.number, (clock, clock));
        if let Ask::Exchange(..) = call.ask
            && who != Who::Forger
        {
            self.exchanges.insert(call.request_id.clone(), None);
        }
        if let Who::Holder(holder) = who {
            self.holders[holder].busy = true;
        }
        let start = Start {
            head: state.model.head.clone(),
            superseded: state.model.superseded.clone(),
            failovers: state.model.failovers,
        };
        drop(state);
        self.calls.spawn(self.processes.clone().run(self.sim.clone(), self.base.clone(), call, start));
    }

    /// Lets everything go on until it waits for the scheduler, and takes what came to an end.
    async fn settle(&mut self, pause: u64) {
        // With paused time this returns when nothing else can run.
        tokio::time::sleep(Duration::from_millis(pause)).await;
        while let Some(done) = self.calls.try_join_next() {
            match done {
                Ok(done) => self.judge(done),
                Err(_) => self.fail(|| "a call panicked".into()),
            }
        }
    }

    fn is_broken(&self) -> bool {
        self.sim.state().model.violation.is_some()
    }

    /// Goes on until nothing is left to do, or something is wrong.
    pub(crate) async fn run(&mut self) {
        let mut idle = 0;
        for _ in 0..20_000 {
            self.settle(1).await;
            if self.is_broken() {
                return;
            }
            let Some(next) = self.choose() else {
                // Somebody may be asleep: a jitter, a pause before the next attempt, the guard.
                let settled = self.calls.is_empty() && self.actions == 0;
                self.settle(if self.plan.kind == Kind::Guarded { 1000 } else { 50 }).await;
                let waits = !self.sim.state().pending.is_empty();
                idle = if waits { 0 } else { idle + 1 };
                if settled && idle > 1 {
                    return;
                }
                if idle > 100 {
                    return self.fail(|| "a call waits for nothing".into());
                }
                continue;
            };
            let needs_quiet = match next {
                Move::Leap => true,
                Move::Act => self.plan.kind == Kind::Strict,
                _ => false,
            };
            if needs_quiet {
                // Nobody may be asleep with half a call, either: jitters are shorter than this.
                self.settle(50).await;
                if !self.sim.state().pending.is_empty() {
                    continue;
                }
            }
            match next {
                Move::Permit => self.permit(),
                Move::Late => self.late(),
                Move::Act => {
                    self.actions -= 1;
                    self.act();
                }
                Move::Cut => self.processes.cut(&self.sim),
                Move::Crash => {
                    self.plan.crashes -= 1;
                    self.processes.crash(&self.sim, &self.base);
                }
                Move::Tick => self.tick(),
                Move::Leap => self.leap(),
                Move::FailOver => self.fail_over(),
            }
        }
        self.fail(|| "it does not come to an end".into());
    }

    fn choose(&mut self) -> Option<Move> {
        let mut state = self.sim.state();
        state.moves += 1;
        let (ready, late) = (!state.ready().is_empty(), !state.late.is_empty());
        let quiet = state.pending.is_empty() && !late && self.calls.is_empty();
        let wild = !self.calm && self.actions > 0;
        let faulty = wild && self.plan.faults > 0;
        let signed_in = state.model.head.is_some();
        // Whoever must get tokens for a code exchanges it in time.
        let may_age = signed_in || self.plan.kind == Kind::Codes;
        let weight = |weight, when: bool| if when { weight } else { 0 };
        // Strict: a client refreshes minutes later, when nothing of the last call is under way any more.
        let may_act = self.actions > 0 && (quiet || self.plan.kind != Kind::Strict);
        let of = [
            (weight(60, ready), Move::Permit),
            (weight(8, late), Move::Late),
            (weight(15, may_act), Move::Act),
            (weight(2, faulty && self.processes.is_any_under_way()), Move::Cut),
            (weight(1, wild && self.plan.crashes > 0), Move::Crash),
            (weight(2, wild), Move::Tick),
            (weight(10, wild && quiet && may_age), Move::Leap),
            (weight(2, wild && self.plan.failovers > 0 && signed_in), Move::FailOver),
        ];
        if of.iter().all(|(weight, choice)| *weight == 0 || matches!(choice, Move::Tick)) {
            // What is slow goes on when nothing else can.
            let slowest = state.pending.iter().map(|pending| pending.slow_until).min();
            state.moves = slowest?;
            return Some(Move::Permit);
        }
        state.rng.weighted(&of)
    }

    fn permit(&mut self) {
        let mut state = self.sim.state();
        let ready = state.ready();
        let at = *state.rng.pick(&ready);
        let faults = if self.calm { 0 } else { self.plan.faults };
        let fate = if state.rng.chance(faults) {
            *state.rng.pick(&[Fate::Fails, Fate::AnswerLost, Fate::AnswerLost, Fate::HappensLater])
        } else {
            Fate::Well
        };
        state.permit(at, fate);
    }

    fn late(&mut self) {
        let mut state = self.sim.state();
        let waiting = state.late.len();
        let at = state.rng.below(waiting);
        let batch = state.late.swap_remove(at);
        state.arrive(&batch);
    }

    pub(crate) fn set_clock(&mut self, to: u64) {
        let mut state = self.sim.state();
        state.records.clock = to;
        state.tell(|| "the clock is set".into());
        for (low, high) in self.windows.values_mut() {
            (*low, *high) = ((*low).min(to), (*high).max(to));
        }
    }

    fn tick(&mut self) {
        let (clock, step, back) = {
            let mut state = self.sim.state();
            (state.records.clock, state.rng.next() % 3000, state.rng.chance(30))
        };
        self.set_clock(if back { clock.saturating_sub(step).max(crate::base::START) } else { clock + step });
    }

    fn leap(&mut self) {
        let most = if self.plan.kind == Kind::Thief { 2 * 3600 } else { 3000 };
        let step = self.sim.state().rng.next() % (most * 1000);
        self.set_clock(self.clock() + step);
    }

    /// What is promised reaches two generations: a failover that loses more is not made.
    fn fail_over(&mut self) {
        // What began an overlap anew may be among it.
        self.reopened.clear();
        let mut state = self.sim.state();
        let n = 1 + state.rng.below(2);
        let Some(map) = state.records.without_last(n) else { return };
        if state.model.generation_in(&map).is_none_or(|generation| generation + 2 < state.model.top) {
            return;
        }
        self.plan.failovers -= 1;
        let State { records, model, .. } = &mut *state;
        records.fail_over(n, map);
        model.failed_over(records);
        state.tell(|| format!("the store fails over and loses {n} commits"));
        state.gap();
    }
}

fn show(ask: &Ask) -> String {
    let generation = |token: &String| {
        grantd_oauth_types::RefreshToken::parse(token)
            .map_or_else(|| token[..8].to_owned(), |token| format!("{token:?}"))
    };
    match ask {
        Ask::Refresh(token) | Ask::RevokeToken(token) => {
            let name = if matches!(ask, Ask::Refresh(_)) { "refresh" } else { "revoke" };
            format!("{name} {}", generation(token))
        }
        Ask::Verify(access) => format!("verify {}..", &access[access.len() - 6..]),
        Ask::Exchange(..) => "exchange".into(),
        other => format!("{other:?}"),
    }
}
