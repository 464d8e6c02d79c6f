//! What must hold when everything has come to rest.

use grantd_oauth_types::RefreshToken;

use crate::{
    calls::{Ask, Who},
    history::History,
    plan::Kind,
};

impl History {
    /// Runs what was begun, with nothing failing.
    async fn rest(&mut self) -> bool {
        self.actions = 0;
        self.run().await;
        self.sim.state().model.violation.is_none()
    }

    /// Goes on to the end, and looks.
    pub(crate) async fn finish(&mut self) {
        self.run().await;
        self.calm_down();
        if !self.rest().await {
            return;
        }
        let (head, revoked, failovers) = {
            let state = self.sim.state();
            (state.model.head.clone(), state.model.is_revoked(), state.model.failovers)
        };
        let Some(_) = head else { return };
        if self.plan.kind == Kind::Guarded && self.told_revoked && !revoked {
            return self.fail(|| "an acknowledged revocation did not survive a failover".into());
        }
        if self.told_revoked && self.sim.state().model.marks.contains("a revocation was lost") && revoked {
            self.sim.state().model.marks.insert("a lost revocation was committed again");
        }
        if failovers == 0 && self.told_revoked && !revoked {
            return self.fail(|| "a revocation did not last".into());
        }
        if self.plan.kind == Kind::Codes && failovers == 0 {
            let answered: Vec<_> = self.exchanges.values().flatten().collect();
            if answered.contains(&&true) && answered.contains(&&false) {
                if !revoked {
                    return self.fail(|| "a replayed code did not revoke".into());
                }
                self.sim.state().model.marks.insert("a replayed code revoked");
            }
        }
        if revoked {
            self.finish_revoked().await;
        } else {
            self.finish_live().await;
        }
        self.finish_forged().await;
        if self.seed.is_multiple_of(4) {
            self.finish_aged().await;
        }
    }

    /// A month later nothing is left.
    async fn finish_aged(&mut self) {
        const MONTH: u64 = 31 * 24 * 3600 * 1000;
        self.aged = true;
        self.set_clock(self.clock() + MONTH);
        for pair in self.issued.clone() {
            self.ask(Who::Other, Ask::Verify(pair.access));
            self.ask(Who::Other, Ask::Refresh(pair.refresh));
        }
        if self.rest().await && self.sim.state().records.of_slot().next().is_some() {
            self.fail(|| "a record outlives a month".into());
        }
    }

    async fn finish_revoked(&mut self) {
        for pair in self.issued.clone() {
            self.ask(Who::Other, Ask::Verify(pair.access));
            self.ask(Who::Thief, Ask::Refresh(pair.refresh));
        }
        self.ask(Who::Other, Ask::VerifyGrant);
        // Each is judged by what the grant was when it began: revoked.
        self.rest().await;
    }

    async fn finish_live(&mut self) {
        let generation = |history: &Self, at: usize| history.holders[at].pair.as_ref().map(|pair| pair.generation);
        let mut order: Vec<_> = (0..self.holders.len()).filter(|at| generation(self, *at).is_some()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(generation(self, *at)));
        let failed_over = self.sim.state().model.failovers > 0;
        let mut presented = false;
        // Twice: the last one may have been given a rotation of its own, because the access token was near its end.
        for (nth, at) in order.iter().chain(&order).copied().enumerate() {
            let Some(current) = self.sim.state().model.generation() else { return };
            self.look_in(at);
            // A failover may have left a repaired token beside the current one, until the next rotation.
            if generation(self, at) != Some(current) || (nth == 0 && failed_over) {
                self.refresh(at);
                presented = true;
                if !self.rest().await {
                    return;
                }
            }
        }
        if !self.is_promised() {
            return;
        }
        let live = self.sim.state().model.head.as_ref().and_then(|head| head.live()).cloned();
        let Some(live) = live else { return self.fail(|| "a history without a thief revoked".into()) };
        for holder in self.holders.iter().filter_map(|holder| holder.pair.as_ref()) {
            if RefreshToken::parse(&holder.refresh).unwrap().digest() != live.refresh {
                return self.fail(|| format!("a holder ends with generation {}", holder.generation));
            }
        }
        if self.plan.times.drain > 0 {
            let after = self.clock() + self.plan.times.drain * 1000 + 60_000;
            // By more than the clock was ever set back.
            self.sim.state().records.clock = after;
        }
        let (mut asked, mut accepted) = (Vec::new(), 0);
        for pair in self.issued.clone() {
            if !asked.contains(&pair.access) {
                asked.push(pair.access.clone());
                accepted += usize::from(self.accepts(pair.access).await);
            }
        }
        if accepted > 1 || (presented && accepted != 1) {
            return self.fail(|| format!("{accepted} access tokens verify at rest"));
        }
        let seen = self.sim.state().model.head.as_ref().and_then(|head| head.live()).map(|live| live.seen);
        if accepted == 1 && !failed_over && seen != Some(live.generation) {
            self.fail(|| "the first use of a pair was not noted".into());
        }
    }

    /// Asks alone.
    async fn accepts(&mut self, access: String) -> bool {
        self.accepted = false;
        self.ask(Who::Other, Ask::Verify(access));
        self.rest().await;
        self.accepted
    }

    async fn finish_forged(&mut self) {
        let before = self.sim.state().records.all().clone();
        for _ in 0..3 {
            self.forge();
        }
        if self.rest().await && *self.sim.state().records.all() != before {
            self.fail(|| "forged tokens changed the store".into());
        }
    }
}
