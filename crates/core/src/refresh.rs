//! A refresh token for the current pair (RFC 6749 §6, OAuth 2.1 §4.3).
//!
//! The client has been authenticated. In this order:
//!
//! 1. the grant must be there, in force, and this client's; else `invalid_grant`, and the grant is left alone;
//! 2. what it rests on (client, person, resource) must be unchanged; else it is revoked;
//! 3. what the token is to the grant's chain decides ([`Standing`]): rotate, converge, repair, or replay.
//!
//! A refresh always yields the grant's whole scope and resource, so that convergence is exact: `scope` is ignored.

use std::time::Duration;

use grantd_oauth_types::{OAuthErrorCode, RefreshToken};

use crate::{
    change::{Announce, Change, Record, RecordKey},
    draw::Draw,
    event::Event,
    exchange::{Outcome, Tokens, head_expiry, issue, still_granted, timing},
    policy::{OnReplay, Policy},
    ratchet::{Pair, Ratchet, Standing},
    records::{AccessRecord, Client, Grant, GrantState, User},
    revoke,
    time::Timestamp,
};

/// A converged answer whose access token has less than this left gets a rotation on the presenter's behalf.
pub const MIN_ACCESS_LEFT: Duration = Duration::from_secs(300);

const CROWDED: &str = "other processes with this credential refreshed so often that this token cannot be followed; use the \
                       newest one, or sign in again";
const DEAD: &str = "the refresh token is unknown, expired, revoked or was used already; sign in again";

/// What is loaded to decide.
#[derive(Debug, Clone, Copy)]
pub struct Loaded<'a> {
    /// The authenticated client.
    pub client: &'a Client,
    /// The head of the token's grant.
    pub grant: Option<&'a Grant>,
    /// The grant's person.
    pub user: Option<&'a User>,
}

/// Decides a refresh.
pub fn refresh(
    policy: &Policy,
    loaded: Loaded<'_>,
    token: &RefreshToken,
    resource: &[String],
    now: Timestamp,
    draw: &Draw,
) -> Outcome {
    let refused = || Outcome::refuse(OAuthErrorCode::InvalidGrant, DEAD);
    let Some(grant) = loaded.grant else { return refused() };
    let Some(ratchet) = grant.live() else { return refused() };
    if grant.client_id != loaded.client.id {
        return refused().noting(Event::RefreshForged);
    }
    let standing = ratchet.standing(token, now, policy.lifetimes.refresh_overlap);
    if standing == Standing::Forged {
        return refused().noting(Event::RefreshForged);
    }
    if resource.iter().any(|sent| !sent.is_empty() && !grant.resource.is_meant_by(sent)) {
        return Outcome::refuse(OAuthErrorCode::InvalidTarget, "the grant is for another resource");
    }
    let person = loaded.user.filter(|user| user.subject == grant.subject && user.epoch == grant.user_epoch);
    let rests = person.filter(|_| grant.client_epoch == loaded.client.epoch);
    let Some((user, scope)) = rests.and_then(|user| Some((user, still_granted(policy, grant, user)?))) else {
        return refused().with(revoke::revoke(grant, now), Event::GrantOrphaned);
    };
    let answer = |pair: Pair| Ok(Tokens { pair, scope: scope.clone() });
    let reopened = (standing == Standing::ReplyLost).then(|| ratchet.reopened(token.generation, now));
    let ratchet = reopened.as_ref().unwrap_or(ratchet);

    let rotate = |from: &RefreshToken, event: Event| {
        let expires_at = head_expiry(policy, grant.created_at, now);
        match ratchet.rotate(from, token.generation, timing(policy, now, expires_at), draw) {
            Some((next, pair)) => {
                let drained = next.draining.iter().map(|(digest, _)| *digest).any(|digest| digest == ratchet.access);
                let drained_at = now.plus(policy.lifetimes.access_drain);
                let until = drained_at.min(ratchet.access_expires_at);
                let draining = |generation, expires_at| {
                    Record::Access(AccessRecord {
                        generation,
                        client_id: grant.client_id.clone(),
                        identity: user.identity(),
                        resource: grant.resource.clone(),
                        scope: scope.clone(),
                        seen: true,
                        expires_at,
                    })
                };
                let head = Grant { expires_at, state: GrantState::Live(next), ..grant.clone() };
                let mut change = issue(&head, &pair, scope.clone(), user.identity());
                let old = RecordKey::Access(grant.id, ratchet.access);
                if drained && now.is_before(until) {
                    change.puts.push((old, draining(ratchet.generation, until)));
                } else {
                    change.deletes.push(old);
                    change.announce.push(Announce::Superseded(grant.id));
                }
                change.deletes.push(RecordKey::Refresh(grant.id, ratchet.refresh));
                if policy.lifetimes.access_drain.is_zero() {
                    let drained = ratchet.draining.iter().map(|(digest, _)| RecordKey::Access(grant.id, *digest));
                    change.deletes.extend(drained);
                } else {
                    // A repaired token had the life of a fresh one.
                    let repaired = ratchet.draining.iter().filter(|(_, ends)| drained_at.is_before(*ends));
                    let repaired = repaired.filter(|(digest, _)| *digest != pair.access.digest());
                    change.puts.extend(repaired.map(|(digest, _)| {
                        let record = draining(ratchet.generation.saturating_add(1), drained_at);
                        (RecordKey::Access(grant.id, *digest), record)
                    }));
                }
                Outcome { answer: answer(pair), change, event: Some(event) }
            }
            None => refused(),
        }
    };
    let converge = |event: Event| match ratchet.current_pair(token) {
        None => refused(),
        Some(pair) if now.until(pair.access_expires_at) < MIN_ACCESS_LEFT => rotate(&pair.refresh, event),
        Some(pair) => {
            // That this token came back proves that its own pair had arrived.
            let change = if reopened.is_some() || ratchet.seen < token.generation {
                put_head(grant, ratchet.saw(token.generation, now, policy.lifetimes.refresh_overlap))
            } else {
                Change::default()
            };
            Outcome { answer: answer(pair), change, event: Some(event) }
        }
    };

    match standing {
        Standing::Current => rotate(token, Event::Refreshed),
        Standing::Ahead => rotate(token, Event::RollbackRepaired),
        Standing::Recent => converge(Event::Converged),
        Standing::ReplyLost => converge(Event::ReplyLost),
        // Our own reply was lost on the way: not a replay, however strict the overlap.
        Standing::Spent if ratchet.is_made_by(draw) => match ratchet.current_pair(token) {
            Some(pair) => Outcome { answer: answer(pair), change: Change::default(), event: None },
            None => refused(),
        },
        Standing::Spent => {
            let change = match policy.on_replay {
                OnReplay::Revoke => revoke::revoke(grant, now),
                OnReplay::Contest if !ratchet.contested => contest(grant, ratchet),
                OnReplay::Contest | OnReplay::Refuse => Change::default(),
            };
            refused().with(change, Event::RefreshReplayed)
        }
        Standing::Crowded => Outcome::refuse(OAuthErrorCode::InvalidGrant, CROWDED).noting(Event::RefreshCrowded),
        Standing::BeyondAhead => refused().noting(Event::RollbackTooFar),
        Standing::Forged => refused().noting(Event::RefreshForged),
    }
}

/// Writes a head whose chain changed.
pub(crate) fn put_head(grant: &Grant, ratchet: Ratchet) -> Change {
    let key = RecordKey::Grant(grant.id);
    let head = Grant { state: GrantState::Live(ratchet), ..grant.clone() };
    Change { unchanged: vec![key.clone()], puts: vec![(key, Record::Grant(Box::new(head)))], ..Change::default() }
}

fn contest(grant: &Grant, ratchet: &Ratchet) -> Change {
    put_head(grant, Ratchet { contested: true, ..ratchet.clone() })
}
