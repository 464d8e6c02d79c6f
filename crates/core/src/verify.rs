//! May this access token call this resource? (RFC 6750 §3.1)
//!
//! 1. [`verify`] answers from the access record alone: the hot path.
//!    [`grant`] answers for a stream that outlives its token.
//! 2. [`first_use`] is written behind the answer, once per pair: the use proves that the pair arrived, so that a later
//!    replay of the token before it is told from a lost reply.
//! 3. [`repair`] covers a store that lost an acknowledged write: the access record is gone, but the head knows its digest
//!    ahead. It works once, and for no longer than a fresh token would.

use grantd_oauth_types::{AccessToken, ClientId, ResourceUri, ScopeSet};

use crate::{
    change::{Change, Record, RecordKey},
    exchange::still_granted,
    policy::Policy,
    ratchet::Ratchet,
    records::{AccessRecord, Client, Grant, GrantState, User},
    refresh::put_head,
    time::Timestamp,
};

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Unknown, expired, superseded or revoked.
    Inactive,
    /// For another resource.
    WrongResource,
    /// Lacks scopes; holds the union of what is granted and what is missing.
    InsufficientScope(ScopeSet),
}

/// Decides a bearer check: whose it is, and what they may do, with what their scopes imply.
pub fn verify<'a>(
    policy: &Policy,
    record: Option<&'a AccessRecord>,
    resource: &ResourceUri,
    required: &ScopeSet,
    now: Timestamp,
) -> Result<(&'a AccessRecord, ScopeSet), Denied> {
    let record = record.filter(|record| now.is_before(record.expires_at)).ok_or(Denied::Inactive)?;
    if record.resource != *resource {
        return Err(Denied::WrongResource);
    }
    let scope = with_implied(policy, &record.scope, resource);
    if !scope.contains_all(required) {
        return Err(Denied::InsufficientScope(record.scope.union(required)));
    }
    Ok((record, scope))
}

/// Decides whether a grant still stands, for who holds a stream of it open: the person and what they may do by it.
pub fn grant<'a>(
    policy: &Policy,
    grant: Option<&Grant>,
    client: Option<&Client>,
    user: Option<&'a User>,
    resource: &ResourceUri,
    required: &ScopeSet,
    now: Timestamp,
) -> Result<(&'a User, ScopeSet), Denied> {
    let grant =
        grant.filter(|grant| grant.live().is_some() && now.is_before(grant.expires_at)).ok_or(Denied::Inactive)?;
    let (user, scope) = rests_on(policy, grant, client, user).ok_or(Denied::Inactive)?;
    if grant.resource != *resource {
        return Err(Denied::WrongResource);
    }
    let all = with_implied(policy, &scope, resource);
    if !all.contains_all(required) {
        return Err(Denied::InsufficientScope(scope.union(required)));
    }
    Ok((user, all))
}

/// What was granted for a resource, with what it implies there by the policy of now: what whoever asks about a token is told.
/// (RFC 6750 §3.1, RFC 7662 §2.2)
pub fn with_implied(policy: &Policy, scope: &ScopeSet, resource: &ResourceUri) -> ScopeSet {
    policy.resource(resource).map_or_else(|| scope.clone(), |resource| policy.with_implied(scope, resource))
}

/// What a grant rests on, if it is unchanged: the person, and what they may still have of its scope.
fn rests_on<'a>(
    policy: &Policy,
    grant: &Grant,
    client: Option<&Client>,
    user: Option<&'a User>,
) -> Option<(&'a User, ScopeSet)> {
    client.filter(|client| client.id == grant.client_id && client.epoch == grant.client_epoch)?;
    let user = user.filter(|user| user.subject == grant.subject && user.epoch == grant.user_epoch)?;
    Some((user, still_granted(policy, grant, user)?))
}

/// Whether a client may ask what a token of `client_id` for `resource` is (RFC 7662 §2.1). The caller has authenticated it
/// by something that proves who it is ([`crate::register::is_proof`]).
pub fn may_introspect(policy: &Policy, asks: &Client, client_id: &ClientId, resource: &ResourceUri) -> bool {
    let of_it = || policy.resources.iter().filter(|configured| configured.identifier == *resource);
    let named = || of_it().any(|resource| resource.introspection_clients.contains(&asks.id));
    asks.id == *client_id || named()
}

/// Notes the first use of a pair. `None` when there is nothing to note.
pub fn first_use(
    policy: &Policy,
    grant: Option<&Grant>,
    record: Option<&AccessRecord>,
    token: &AccessToken,
    now: Timestamp,
) -> Option<Change> {
    let (grant, record) = (grant?, record?);
    let ratchet = grant.live().filter(|_| !record.seen)?;
    let key = RecordKey::Access(token.grant_id, token.digest());
    let mut change = put_head(grant, ratchet.saw(record.generation, now, policy.lifetimes.refresh_overlap));
    change.unchanged.push(key.clone());
    change.puts.push((key, Record::Access(AccessRecord { seen: true, ..record.clone() })));
    Some(change)
}

/// Restores the access record of a token that the head knows from ahead. `None` when it does not.
pub fn repair(
    policy: &Policy,
    grant: Option<&Grant>,
    client: Option<&Client>,
    user: Option<&User>,
    token: &AccessToken,
    now: Timestamp,
) -> Option<(AccessRecord, Change)> {
    let grant = grant?;
    let ratchet = grant.live()?;
    ratchet.ahead_access.filter(|ahead| ahead.matches(&token.digest()))?;
    let (user, scope) = rests_on(policy, grant, client, user)?;
    let record = AccessRecord {
        generation: ratchet.generation.saturating_add(1),
        client_id: grant.client_id.clone(),
        identity: user.identity(),
        resource: grant.resource.clone(),
        scope,
        seen: true,
        expires_at: now.plus(policy.lifetimes.access).min(grant.expires_at),
    };
    let mut draining = ratchet.draining.clone();
    // Remembered so that a revocation finds it.
    draining.push((token.digest(), record.expires_at));
    let next = Ratchet { ahead_access: None, draining, ..ratchet.clone() };
    let head = Grant { state: GrantState::Live(next), ..grant.clone() };
    let access = RecordKey::Access(grant.id, token.digest());
    let change = Change {
        unchanged: vec![RecordKey::Grant(grant.id), access.clone()],
        puts: vec![
            (RecordKey::Grant(grant.id), Record::Grant(Box::new(head))),
            (access, Record::Access(record.clone())),
        ],
        ..Change::default()
    };
    Some((record, change))
}
