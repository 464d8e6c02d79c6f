//! Taking a grant back (RFC 7009, an operator's command, a replay).
//!
//! The head becomes a tombstone: it keeps no salt and no digest, so nothing can be derived or matched any more. The
//! records of its tokens go in the same commit, so a bearer check fails at once.

use crate::{
    change::{Announce, Change, Record, RecordKey},
    records::{Grant, GrantState},
    time::Timestamp,
};

/// Revokes a grant. Revoking it twice changes nothing but is announced again.
pub fn revoke(grant: &Grant, now: Timestamp) -> Change {
    let (id, announce) = (grant.id, vec![Announce::Revoked(grant.id)]);
    let Some(ratchet) = grant.live() else { return Change { announce, ..Change::default() } };
    let head = Grant { state: GrantState::Revoked { at: now }, ..grant.clone() };
    let mut deletes = vec![RecordKey::Access(id, ratchet.access), RecordKey::Refresh(id, ratchet.refresh)];
    deletes.extend(ratchet.draining.iter().map(|(digest, _)| RecordKey::Access(id, *digest)));
    // A repaired access record may stand under the look-ahead digest.
    deletes.extend(ratchet.ahead_access.map(|digest| RecordKey::Access(id, digest)));
    Change {
        unchanged: vec![RecordKey::Grant(id)],
        puts: vec![(RecordKey::Grant(id), Record::Grant(Box::new(head)))],
        deletes,
        announce,
    }
}
