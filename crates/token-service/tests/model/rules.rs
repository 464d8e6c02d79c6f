//! What may be answered, to whom, after what.

use grantd_oauth_types::{AccessToken, RefreshToken};
use grantd_proto::{error::Reason, v1};
use tonic::{Code, Status};

use crate::{
    base::START,
    calls::{Answer, Ask, Done, Start, Who},
    history::{History, Pair},
    plan::Kind,
};

/// Milliseconds by which the clock may move while a call is decided.
const SLACK: u64 = 120_000;
/// How long a request waits for its approval, and a code for its exchange.
const CODE: u64 = 600_000;

impl Start {
    fn generation(&self) -> Option<u64> {
        Some(self.head.as_ref()?.live()?.generation)
    }

    fn is_revoked(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.live().is_none())
    }
}

fn reason(status: &Status) -> String {
    Reason::of(status).map(|reason| reason.code).unwrap_or_default()
}

impl History {
    /// Whether holders are promised to stay signed in.
    pub(crate) fn is_promised(&self) -> bool {
        matches!(self.plan.kind, Kind::Siblings | Kind::Code | Kind::Strict) && !self.stumbled
    }

    /// A call came to an end.
    pub(crate) fn judge(&mut self, done: Done) {
        let window = self.windows.remove(&done.call.number).unwrap();
        let (number, who) = (done.call.number, done.call.who);
        {
            let answer = match &done.answer {
                Ok(Answer::Tokens(tokens)) => {
                    let access = &tokens.access_token;
                    format!(
                        "{:?}, access ..{}",
                        RefreshToken::parse(&tokens.refresh_token),
                        &access[access.len() - 6..]
                    )
                }
                Ok(Answer::Code(_)) => "a code".into(),
                Ok(other) => format!("{other:?}"),
                Err(status) => reason(status),
            };
            self.sim.state().tell(|| format!("call {number} is answered: {answer}"));
        }
        if let Who::Holder(holder) = who {
            self.holders[holder].busy = false;
        }
        if let Err(status) = &done.answer {
            self.judge_error(&done, status);
        }
        match done.call.ask.clone() {
            Ask::Approve => self.judge_approval(&done, window),
            Ask::Exchange(..) => self.judge_exchange(done, window),
            Ask::Refresh(token) => self.judge_refresh(done, &RefreshToken::parse(&token).unwrap(), window),
            Ask::Verify(access) => self.judge_bearer(&done, &access, window),
            Ask::VerifyGrant => self.judge_stream(&done),
            Ask::RevokeToken(_) | Ask::RevokeGrant => self.judge_revocation(&done),
        }
    }

    fn judge_error(&self, done: &Done, status: &Status) {
        let fine = match (status.code(), &done.call.ask) {
            (Code::Unavailable, _) => self.sim.state().disturbed,
            (Code::InvalidArgument, Ask::Exchange(..) | Ask::Refresh(_)) => reason(status) == "invalid_grant",
            (Code::Unauthenticated, Ask::Refresh(_)) => self.aged,
            (Code::FailedPrecondition, Ask::Approve) => reason(status) == "ticket_expired",
            _ => false,
        };
        if !fine {
            self.fail(|| format!("call {}: an error that is not documented: {status:?}", done.call.number));
        }
    }

    fn is_away(done: &Done) -> bool {
        done.answer.as_ref().is_err_and(|status| status.code() == Code::Unavailable)
    }

    fn judge_approval(&mut self, done: &Done, (_, high): (u64, u64)) {
        match &done.answer {
            Ok(Answer::Code(code)) => {
                self.approved = self.approved.max(self.clock());
                if *code != self.base.code.to_text() {
                    self.fail(|| "a ticket gave another code".into());
                }
            }
            Err(_) if Self::is_away(done) => {}
            _ if self.exchanges.is_empty() && high < START + CODE - SLACK => {
                self.fail(|| "an approval was refused".into())
            }
            _ => {}
        }
    }

    fn judge_exchange(&mut self, done: Done, (low, high): (u64, u64)) {
        if done.call.who == Who::Forger {
            if done.answer.is_ok() {
                self.fail(|| "a code was exchanged without its verifier".into());
            }
            return;
        }
        if Self::is_away(&done) {
            // The client cannot know whether a chain began.
            self.stumbled = true;
            return;
        }
        let request = done.call.request_id.clone();
        let well = done.answer.is_ok();
        if well && self.exchanges.iter().any(|(other, answer)| *other != request && *answer == Some(true)) {
            self.fail(|| "two requests exchanged one code".into());
        }
        if well && low > self.approved + CODE + SLACK {
            self.fail(|| "an expired code was exchanged".into());
        }
        // A code that has expired proves nothing any more.
        let in_time = high < START + CODE - SLACK;
        if !well && in_time && self.exchanges.len() == 1 {
            self.fail(|| "the only exchange of a code was refused".into());
        }
        self.exchanges.insert(request, (well || in_time).then_some(well));
        if let (Ok(Answer::Tokens(tokens)), Who::Holder(_)) = (&done.answer, done.call.who) {
            let pair = self.issue(tokens, &done.start);
            let since = self.clock();
            self.holders.iter_mut().for_each(|holder| (holder.pair, holder.since) = (Some(pair.clone()), since));
        }
    }

    /// A pair was answered: it is the one of its generation, and its generation was current while the call was under way.
    fn issue(&mut self, tokens: &v1::IssueTokenResponse, start: &Start) -> Pair {
        let refresh = RefreshToken::parse(&tokens.refresh_token).unwrap();
        let access = AccessToken::parse(&tokens.access_token).unwrap();
        let mut state = self.sim.state();
        let pair = Pair {
            generation: refresh.generation,
            access: tokens.access_token.clone(),
            refresh: tokens.refresh_token.clone(),
            ends: state.records.clock.saturating_add_signed(tokens.expires_in * 1000),
        };
        let model = &mut state.model;
        let steady = model.failovers == start.failovers;
        let (from, to) = (start.generation().unwrap_or_default(), model.top);
        if steady && !(from..=to).contains(&refresh.generation) {
            model.fail(|| format!("generation {} was answered, between {from} and {to}", refresh.generation));
        }
        if steady && start.is_revoked() {
            model.fail(|| "a revoked grant was answered tokens".into());
        }
        let live = model.head.as_ref().and_then(|head| head.live());
        if let Some(live) = live.filter(|live| steady && live.generation == refresh.generation)
            && (live.refresh != refresh.digest() || live.access != access.digest())
        {
            model.fail(|| "an answered pair is not the current one".into());
        }
        let other = self.issued.iter().any(|known| {
            known.generation == pair.generation && (known.access != pair.access || known.refresh != pair.refresh)
        });
        let head = start.head.as_ref().and_then(|head| head.live());
        if model.failovers == 0 && head.is_some_and(|live| live.generation == refresh.generation) {
            model.marks.insert("siblings converged");
        }
        if other && model.failovers == 0 {
            model.fail(|| format!("two pairs of generation {}", pair.generation));
        }
        drop(state);
        self.issued.push(pair.clone());
        pair
    }

    fn judge_refresh(&mut self, done: Done, token: &RefreshToken, (low, high): (u64, u64)) {
        let (failovers, revoked) = {
            let state = self.sim.state();
            (state.model.failovers, state.model.is_revoked())
        };
        let steady = failovers == done.start.failovers;
        if done.call.who == Who::Forger {
            if done.answer.is_ok() {
                self.fail(|| "a forged token was answered".into());
            }
            return;
        }
        if done.call.who == Who::Thief && steady && self.is_outside(token, &done.start) {
            match &done.answer {
                Ok(_) => self.fail(|| "a thief outside the overlap was answered".into()),
                Err(_) if Self::is_away(&done) => {}
                Err(_) if revoked && !done.start.is_revoked() => {
                    self.sim.state().model.marks.insert("a thief was caught");
                }
                Err(_) if !revoked => self.fail(|| "a thief was refused, and the grant not revoked".into()),
                Err(_) => {}
            }
        }
        let ends = done.start.head.as_ref().map(|head| head.expires_at.0);
        if steady && done.answer.is_ok() && ends.is_some_and(|ends| ends < low) {
            self.fail(|| "a grant that had ended was answered".into());
        }
        let Who::Holder(holder) = done.call.who else {
            if let Ok(Answer::Tokens(tokens)) = &done.answer {
                self.issue(tokens, &done.start);
            }
            return;
        };
        match &done.answer {
            Ok(Answer::Tokens(tokens)) => {
                let pair = self.issue(tokens, &done.start);
                let superseded = done.start.superseded.get(&token.generation);
                if superseded.is_some_and(|at| at + self.plan.times.overlap * 1000 + SLACK < self.clock()) {
                    self.sim.state().model.marks.insert("a lost reply was answered after the overlap");
                    if steady {
                        let again =
                            done.start.superseded.range(token.generation..).map(|(generation, _)| (*generation, low));
                        self.reopened.extend(again);
                    }
                }
                // The last leg, from the facade to the client.
                let lost = self.plan.faults > 0 && self.actions > 0 && self.sim.state().rng.chance(12);
                if lost {
                    self.sim.state().tell(|| "  and the client does not hear it".into());
                    self.stumbled |= self.plan.kind == Kind::Strict;
                } else {
                    let since = self.clock();
                    (self.holders[holder].pair, self.holders[holder].since) = (Some(pair), since);
                }
            }
            Err(_) if Self::is_away(&done) => self.stumbled |= self.plan.kind == Kind::Strict,
            // Who slept through the overlap is promised an answer only while nobody used the next pair, or if a sibling
            // that woke at the same moment was faster.
            _ if self.is_promised() && self.was_late(token, &done.start, high) => self.stumbled = true,
            _ if self.is_promised() => self.fail(|| format!("holder {holder} is signed out")),
            _ if steady
                && !revoked
                && !self.is_outside(token, &done.start)
                && high < self.holders[holder].since + 3_000_000 =>
            {
                self.fail(|| format!("holder {holder} was refused, and the grant is in force"));
            }
            _ => {}
        }
    }

    /// Whether a token was superseded so long ago that it may have left the overlap.
    fn was_late(&self, token: &RefreshToken, start: &Start, high: u64) -> bool {
        let overlap = self.plan.times.overlap * 1000;
        let reopened = self.reopened.get(&token.generation).copied().unwrap_or_default();
        let late = start.superseded.get(&token.generation).is_some_and(|at| reopened.max(*at) + overlap < high + SLACK);
        late && self.plan.kind != Kind::Strict
    }

    /// Whether a superseded token is outside the overlap, and its successor was seen.
    fn is_outside(&self, token: &RefreshToken, start: &Start) -> bool {
        let Some(live) = start.head.as_ref().and_then(|head| head.live()) else { return false };
        let overlap = self.plan.times.overlap * 1000 + SLACK;
        let reopened = live.recent.iter().find(|old| old.generation == token.generation).map_or(0, |old| old.at.0);
        let gone = start.superseded.get(&token.generation).is_some_and(|at| reopened.max(*at) + overlap < self.clock());
        gone && token.generation < live.seen
    }

    fn judge_bearer(&mut self, done: &Done, access: &str, (low, high): (u64, u64)) {
        let Ok(Answer::Allowed(allowed)) = done.answer else { return };
        self.accepted = allowed;
        let mut state = self.sim.state();
        let model = &mut state.model;
        let steady = model.failovers == done.start.failovers;
        let Some(pair) = self.issued.iter().rev().find(|pair| pair.access == access) else {
            if allowed {
                model.fail(|| "a token that was never issued is accepted".into());
            }
            return;
        };
        if allowed {
            if steady && done.start.is_revoked() {
                model.fail(|| "a revoked grant's token is accepted".into());
            }
            let drain = self.plan.times.drain * 1000;
            let drained =
                done.start.superseded.get(&pair.generation).is_some_and(|at| drain == 0 || at + drain + SLACK < low);
            if steady && drained {
                model.fail(|| {
                    format!("an access token of generation {} is accepted, which was superseded", pair.generation)
                });
            }
            if done.start.superseded.contains_key(&pair.generation) {
                model.marks.insert("a draining token was accepted");
            }
            // A repaired one gets a new end.
            if model.failovers == 0 && pair.ends + SLACK < low {
                model.fail(|| "an expired access token is accepted".into());
            }
        } else {
            let digest = AccessToken::parse(access).unwrap().digest();
            let is_current = |head: Option<&grantd_core::records::Grant>| {
                head.and_then(|head| head.live()).is_some_and(|live| live.access == digest)
            };
            let lasted = is_current(done.start.head.as_ref()) && is_current(model.head.as_ref());
            if steady && lasted && high + SLACK < pair.ends {
                model.fail(|| "the current access token is refused".into());
            }
        }
    }

    fn judge_stream(&self, done: &Done) {
        let Ok(Answer::Allowed(allowed)) = done.answer else { return };
        let mut state = self.sim.state();
        let steady = state.model.failovers == done.start.failovers;
        let (before, after) = (done.start.generation().is_some(), state.model.generation().is_some());
        if steady && ((allowed && !before && !after) || (!allowed && before && after)) {
            state.model.fail(|| format!("a stream of a grant: allowed is {allowed}"));
        }
    }

    fn judge_revocation(&mut self, done: &Done) {
        if done.answer.is_err() || done.call.who == Who::Forger {
            return;
        }
        let mut state = self.sim.state();
        let model = &mut state.model;
        let is_meant = match &done.call.ask {
            // It may have been superseded before it was looked up.
            Ask::RevokeToken(token) => AccessToken::parse(token).is_none(),
            _ => true,
        };
        if is_meant && model.failovers == done.start.failovers && !model.is_revoked() {
            model.fail(|| "a revocation was acknowledged, and the grant is in force".into());
        }
        let revoked = model.is_revoked();
        drop(state);
        self.told_revoked |= revoked;
    }
}
