//! What becomes of a grant when its person's address or groups change.
//!
//! A bearer check reads the record of its token alone, which holds who the person was when it was issued. So a change of
//! the person is carried to the grants that rest on them, one commit for each:
//!
//! 1. A grant of which the person may have nothing any more is revoked, as its next refresh would do.
//! 2. Otherwise the records of its access tokens say from then on who the person is now, and what is left of the scope.
//! 3. The head is written in any case, though nothing in it differs: a refresh that had read the person before the change
//!    has read the head before that as well, and must decide anew.
//! 4. It is always announced, because a gate may have missed the time before.
//!
//! Left to others: to find the grants, and what ends with an epoch.

use crate::{
    change::{Announce, Change, Record, RecordKey},
    event::Event,
    exchange::still_granted,
    policy::Policy,
    records::{AccessRecord, Grant, User},
    refresh::put_head,
    revoke,
    time::Timestamp,
};

/// Where the records of a grant's access tokens may be: the current one, those that are draining, and one that was repaired.
pub fn access_keys(grant: &Grant) -> Vec<RecordKey> {
    let Some(ratchet) = grant.live() else { return Vec::new() };
    let draining = ratchet.draining.iter().map(|(digest, _)| *digest);
    let digests = std::iter::once(ratchet.access).chain(draining).chain(ratchet.ahead_access);
    let mut keys: Vec<RecordKey> = Vec::new();
    for key in digests.map(|digest| RecordKey::Access(grant.id, digest)) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// Whether the record of an access token says what holds for this person.
pub fn is_current(policy: &Policy, grant: &Grant, user: &User, record: &AccessRecord) -> bool {
    record.identity == user.identity() && still_granted(policy, grant, user).as_ref() == Some(&record.scope)
}

/// Carries a change of the person to a grant of theirs. `access` is what is there under [`access_keys`]; `has_less` says
/// that what was let in before must be cut, because they may have lost something.
pub fn follow(
    policy: &Policy,
    grant: &Grant,
    user: &User,
    access: Vec<(RecordKey, AccessRecord)>,
    has_less: bool,
    now: Timestamp,
) -> (Change, Option<Event>) {
    let is_theirs = user.subject == grant.subject && user.epoch == grant.user_epoch;
    // What does not rest on this person is ended by whoever changed that.
    let Some(ratchet) = grant.live().filter(|_| is_theirs) else { return (Change::default(), None) };
    let Some(scope) = still_granted(policy, grant, user) else {
        return (revoke::revoke(grant, now), Some(Event::GrantOrphaned));
    };
    let mut change = put_head(grant, ratchet.clone());
    for (key, record) in access {
        let has_less_scope = !scope.contains_all(&record.scope);
        let record = AccessRecord { identity: user.identity(), scope: scope.clone(), ..record };
        change.unchanged.push(key.clone());
        change.puts.push((key, Record::Access(record)));
        if has_less_scope && change.announce.is_empty() {
            change.announce.push(Announce::Changed(grant.id));
        }
    }
    if change.announce.is_empty() {
        let announce = if has_less { Announce::Changed } else { Announce::Superseded };
        change.announce.push(announce(grant.id));
    }
    (change, None)
}
