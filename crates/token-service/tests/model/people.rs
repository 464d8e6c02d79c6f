//! What holders, thieves, forgers, gates and operators do next.

use grantd_oauth_types::{AccessToken, RefreshToken, Secret};

use crate::{
    base::VERIFIER,
    calls::{Ask, Who, exchange},
    history::History,
    plan::Kind,
};

/// After this long a holder reads the shared credential before it refreshes, as real clients do. In milliseconds, and
/// well inside the overlap: a call may take a while.
const LOOKS_IN: u64 = 2_000_000;
/// A chain keeps 32 superseded generations; who is nearly as far behind has had time to look. What happens to who has not is
/// a table of the rules (`who_is_crowded_out_is_no_thief`).
const FAR_BEHIND: u64 = 28;

#[derive(Debug, Clone, Copy)]
enum Deed {
    Refresh,
    Use,
    Stream,
    Share,
    Forge,
    Steal,
    Revoke,
}

impl History {
    pub(crate) fn act(&mut self) {
        let from_code = matches!(self.plan.kind, Kind::Code | Kind::Codes);
        let head = self.sim.state().model.head.is_some();
        if from_code && (!head || self.issued.is_empty() || self.sim.state().rng.chance(20)) {
            return self.act_on_code();
        }
        let thief = u64::from(self.plan.kind == Kind::Thief);
        let ending = self.actions < 4 && matches!(self.plan.kind, Kind::Revoke | Kind::Guarded);
        let of = [
            (6, Deed::Refresh),
            (4, Deed::Use),
            (1, Deed::Stream),
            (2, Deed::Share),
            (1, Deed::Forge),
            (3 * thief, Deed::Steal),
            (if ending { 8 } else { 0 }, Deed::Revoke),
        ];
        let Some(deed) = self.sim.state().rng.weighted(&of) else { return };
        match deed {
            Deed::Refresh => {
                let holder = self.any_holder();
                self.refresh(holder);
            }
            Deed::Use => {
                if let Some(access) = self.any_access() {
                    self.ask(Who::Other, Ask::Verify(access));
                }
            }
            Deed::Stream => self.ask(Who::Other, Ask::VerifyGrant),
            Deed::Share => self.share(),
            Deed::Forge => self.forge(),
            Deed::Steal => {
                let token = self.sim.state().rng.pick(&self.issued).refresh.clone();
                self.ask(Who::Thief, Ask::Refresh(token));
            }
            Deed::Revoke => self.revoke(),
        }
    }

    /// The first steps of a history that begins with a code.
    fn act_on_code(&mut self) {
        let (again, honest) = (self.sim.state().rng.chance(30), self.plan.kind == Kind::Code);
        if self.approved == 0 {
            // Others may click again meanwhile; what they are answered is judged, too.
            self.ask(Who::Other, Ask::Approve);
        } else if self.exchanges.is_empty() || (!honest && self.exchanges.len() < 3) {
            let who = if self.exchanges.is_empty() { Who::Holder(0) } else { Who::Other };
            self.ask(who, exchange(&self.base));
        } else if again {
            self.ask(Who::Other, Ask::Approve);
        }
    }

    fn any_holder(&self) -> usize {
        self.sim.state().rng.below(self.holders.len())
    }

    /// Mostly one that a holder has, sometimes one that was superseded long ago.
    fn any_access(&self) -> Option<String> {
        let mut state = self.sim.state();
        if !self.issued.is_empty() && state.rng.chance(30) {
            return Some(state.rng.pick(&self.issued).access.clone());
        }
        let holder = state.rng.pick(&self.holders);
        holder.pair.as_ref().map(|pair| pair.access.clone())
    }

    /// A holder refreshes with what it has, unless it has a call under way.
    pub(crate) fn refresh(&mut self, holder: usize) {
        if self.holders[holder].busy {
            return;
        }
        self.look_in(holder);
        if let Some(pair) = &self.holders[holder].pair {
            let token = pair.refresh.clone();
            self.ask(Who::Holder(holder), Ask::Refresh(token));
        }
    }

    fn newest(&self) -> Option<usize> {
        let generation = |holder: &usize| self.holders[*holder].pair.as_ref().map(|pair| pair.generation);
        (0..self.holders.len()).filter(|holder| generation(holder).is_some()).max_by_key(generation)
    }

    pub(crate) fn look_in(&mut self, holder: usize) {
        let Some(newest) = self.newest() else { return };
        let generation = |holder: usize| self.holders[holder].pair.as_ref().map_or(0, |pair| pair.generation);
        let idle = self.clock().saturating_sub(self.holders[holder].since);
        if idle >= LOOKS_IN || generation(holder) + FAR_BEHIND < self.sim.state().model.top {
            let (pair, since) = (self.holders[newest].pair.clone(), self.holders[newest].since);
            (self.holders[holder].pair, self.holders[holder].since) = (pair, since);
        }
    }

    /// Somebody reads the shared credential; nobody writes an older one over a newer one.
    fn share(&mut self) {
        let (from, to) = (self.any_holder(), self.any_holder());
        let generation = |holder: usize| self.holders[holder].pair.as_ref().map_or(0, |pair| pair.generation);
        if !self.holders[to].busy && generation(from) > generation(to) {
            let (pair, since) = (self.holders[from].pair.clone(), self.holders[from].since);
            (self.holders[to].pair, self.holders[to].since) = (pair, since);
        }
    }

    /// One bit of a token is changed, or the verifier of a code: never issued.
    pub(crate) fn forge(&mut self) {
        let (kind, bit, issued) = {
            let mut state = self.sim.state();
            if self.issued.is_empty() {
                return;
            }
            (state.rng.below(5), state.rng.below(448), state.rng.pick(&self.issued).clone())
        };
        let refresh = RefreshToken::parse(&issued.refresh).unwrap();
        let (mut secret, mut mark, mut generation) = (*refresh.secret.expose(), refresh.mark, refresh.generation);
        match bit {
            0..256 => secret[bit / 8] ^= 1 << (bit % 8),
            256..384 => mark[(bit - 256) / 8] ^= 1 << (bit % 8),
            _ => generation ^= 1 << (bit - 384),
        }
        let refresh =
            RefreshToken { grant_id: refresh.grant_id, generation, secret: Secret::new(secret), mark }.to_text();
        let mut access = AccessToken::parse(&issued.access).unwrap();
        let mut bytes = *access.secret.expose();
        bytes[bit % 32] ^= 1 << (bit / 32 % 8);
        access.secret = Secret::new(bytes);
        let code = self.base.code.to_text();
        let ask = match kind {
            0 | 1 => Ask::Refresh(refresh),
            2 => Ask::RevokeToken(if bit % 2 == 0 { refresh } else { access.to_text() }),
            3 => Ask::Verify(access.to_text()),
            _ => Ask::Exchange(code, VERIFIER.replace('v', "w")),
        };
        self.ask(Who::Forger, ask);
    }

    fn revoke(&mut self) {
        let access = self.any_access();
        let kind = self.sim.state().rng.below(3);
        let refresh = self.sim.state().rng.pick(&self.issued).refresh.clone();
        let ask = match (kind, access) {
            (0, Some(access)) => Ask::RevokeToken(access),
            (1, _) => Ask::RevokeToken(refresh),
            _ => Ask::RevokeGrant,
        };
        self.ask(Who::Other, ask);
    }
}
