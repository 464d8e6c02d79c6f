//! The chain of a grant's tokens: nobody is signed out, a thief is caught, a dump is worthless.
//!
//! ```text
//! refresh[k+1] = HKDF-SHA256(ikm = refresh[k], salt = s[k], info = "grantd/1 refresh" || grant id || u64(k+1))
//! access [k+1] = HKDF-SHA256(ikm = refresh[k], salt = s[k], info = "grantd/1 access"  || grant id || u64(k+1))
//! mark   [k]   = first 16 bytes of HMAC-SHA256(mark key, "refresh" || u64(k) || refresh[k])
//! ```
//!
//! 1. Whoever holds `refresh[k]` can be answered `refresh[n]` for any later `n` while the salts `s[k]..s[n-1]` are kept,
//!    so every presenter, on any replica, converges on one pair. The salts of superseded generations are `recent`.
//! 2. Salts are drawn one rotation ahead, and the digests of what they will give are kept. A token from ahead of the
//!    head is thereby recognised after the store lost acknowledged writes, and siblings still derive the same.
//! 3. A salt is erased when its generation leaves `recent`. What is stored gives no token by itself, and none beside a
//!    spent token whose generation has left.
//! 4. The mark tells a spent token from a forged one long after its digest was forgotten.
//! 5. A chain that rotates very often keeps no more than [`MAX_RECENT`] salts. Of what had to go inside the overlap it keeps
//!    when (`crowded`): such a token cannot be followed, but its presenter is no thief.
//!
//! This module classifies and derives. What follows from it is decided in [`crate::refresh`].

use std::time::Duration;

use grantd_oauth_types::{AccessToken, CodeChallenge, CodeVerifier, Digest, GrantId, RefreshToken, Secret};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::{draw::Draw, time::Timestamp};

/// The most superseded generations that are kept: about 5 KiB in the head of a grant that rotates this often.
pub const MAX_RECENT: usize = 32;

/// By which fraction of the overlap the time of a crowded generation may be taken for later than it was.
const CROWDED_STEPS: u32 = 8;

/// A salt of the chain. Not a token, but what a dump would need.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(redacted)")
    }
}

/// The state of a chain at one generation. Public for the record codec; built by [`Ratchet::start`] and
/// [`Ratchet::rotate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ratchet {
    /// `n`: the generation that is current. The first is 1.
    pub generation: u64,
    /// H(refresh\[n\]).
    pub refresh: Digest,
    /// H(access\[n\]).
    pub access: Digest,
    /// When access\[n\] ends.
    pub access_expires_at: Timestamp,
    /// s\[n\].
    pub salt: Salt,
    /// s\[n+1\].
    pub next_salt: Salt,
    /// H(refresh\[n+1\]) and H(refresh\[n+2\]).
    pub ahead: [Digest; 2],
    /// H(access\[n+1\]); none once it was used to repair a lost access record.
    pub ahead_access: Option<Digest>,
    /// Superseded generations, oldest first.
    pub recent: Vec<Superseded>,
    /// Generations that were dropped for [`MAX_RECENT`] inside their overlap, and when the last of each step was superseded;
    /// oldest first, eleven at most.
    pub crowded: Vec<(u64, Timestamp)>,
    /// The highest generation of which a token was presented: its pair arrived.
    pub seen: u64,
    /// The key of the marks.
    pub mark_key: Salt,
    /// The code this chain came from, while it lives: its replay revokes.
    pub code: Option<SpentCode>,
    /// Superseded access tokens that may still be used (`access_drain`), and until when.
    pub draining: Vec<(Digest, Timestamp)>,
    /// A replay was seen under `on_replay = contest`: revoke at the next consent.
    pub contested: bool,
}

/// A generation that is not current any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    /// `k`.
    pub generation: u64,
    /// H(refresh\[k\]).
    pub refresh: Digest,
    /// s\[k\]: leads to generation k+1.
    pub salt: Salt,
    /// When it was superseded, or when its overlap began anew.
    pub at: Timestamp,
}

/// A code that was exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpentCode {
    /// H(code).
    pub digest: Digest,
    /// Its PKCE challenge: a replay counts only with the verifier.
    pub challenge: CodeChallenge,
    /// When the code would have ended.
    pub expires_at: Timestamp,
}

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The access token.
    pub access: AccessToken,
    /// The refresh token.
    pub refresh: RefreshToken,
    /// When the access token ends.
    pub access_expires_at: Timestamp,
}

/// What a presented refresh token is to this chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// refresh\[n\].
    Current,
    /// Superseded less than the overlap ago.
    Recent,
    /// Superseded longer ago, but no later token was ever seen: its successor did not arrive.
    ReplyLost,
    /// refresh\[n+1\] or refresh\[n+2\]: the store lost what it had acknowledged.
    Ahead,
    /// Superseded less than the overlap ago, but by so many that the way from it is forgotten.
    Crowded,
    /// Issued once, spent, and its successor arrived.
    Spent,
    /// Issued once, but from so far ahead of this chain that it cannot be followed.
    BeyondAhead,
    /// Never issued.
    Forged,
}

/// Durations that matter to a rotation.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The moment.
    pub now: Timestamp,
    /// `refresh_overlap`.
    pub overlap: Duration,
    /// `access_drain`.
    pub drain: Duration,
    /// When the new access token ends.
    pub access_expires_at: Timestamp,
}

fn derive(ikm: &[&[u8]], salt: &[u8], kind: &str, grant_id: &GrantId, generation: u64) -> Secret {
    let mut out = [0; 32];
    let ikm = zeroize::Zeroizing::new(ikm.concat());
    // 32 bytes is one block: this cannot fail.
    let _ = Hkdf::<Sha256>::new(Some(salt), &ikm)
        .expand_multi_info(&[b"grantd/1 ", kind.as_bytes(), grant_id.as_bytes(), &generation.to_be_bytes()], &mut out);
    Secret::new(out)
}

/// refresh\[k+1\] and access\[k+1\] from refresh\[k\] and s\[k\].
fn step(secret: &Secret, salt: &Salt, grant_id: &GrantId, next: u64) -> (Secret, Secret) {
    let of = |kind| derive(&[secret.expose()], &salt.0, kind, grant_id, next);
    (of("refresh"), of("access"))
}

fn mark(key: &Salt, generation: u64, secret: &Secret) -> [u8; 16] {
    let mut mac = match Hmac::<Sha256>::new_from_slice(&key.0) {
        Ok(mac) => mac,
        // HMAC takes keys of any length.
        Err(_) => return [0; 16],
    };
    mac.update(b"refresh");
    mac.update(&generation.to_be_bytes());
    mac.update(secret.expose());
    let full: [u8; 32] = mac.finalize().into_bytes().into();
    let mut short = [0; 16];
    short.copy_from_slice(full.split_at(16).0);
    short
}

impl Ratchet {
    /// The first pair, from the code and the PKCE verifier. The code is not on the chain and never works as a refresh
    /// token. Deterministic in `draw`, so that a repeated request gives the same pair.
    pub fn start(
        grant_id: GrantId,
        code: &Secret,
        verifier: &CodeVerifier,
        spent: SpentCode,
        timing: Timing,
        draw: &Draw,
    ) -> (Self, Pair) {
        let salt = draw.bytes::<32>("first pair");
        let of = |kind| derive(&[code.expose(), verifier.expose()], &salt, kind, &grant_id, 1);
        let (refresh, access) = (of("refresh"), of("access"));
        let base = Self {
            generation: 0,
            refresh: refresh.digest(),
            access: access.digest(),
            access_expires_at: timing.access_expires_at,
            salt: Salt([0; 32]),
            next_salt: Salt(draw.bytes("salt 1")),
            ahead: [refresh.digest(); 2],
            ahead_access: None,
            recent: Vec::new(),
            crowded: Vec::new(),
            seen: 0,
            mark_key: Salt(draw.bytes("mark key")),
            code: Some(spent),
            draining: Vec::new(),
            contested: false,
        };
        base.advanced_to(grant_id, 1, &refresh, &access, Salt(draw.bytes("salt 1")), Salt(draw.bytes("salt 2")), timing)
    }

    /// This chain moved to generation `n`, whose secrets and salts are given.
    #[expect(clippy::too_many_arguments, reason = "one private helper that names every part of the new state")]
    fn advanced_to(
        mut self,
        grant_id: GrantId,
        n: u64,
        refresh: &Secret,
        access: &Secret,
        salt: Salt,
        next_salt: Salt,
        timing: Timing,
    ) -> (Self, Pair) {
        let (refresh_1, access_1) = step(refresh, &salt, &grant_id, n.saturating_add(1));
        let (refresh_2, _) = step(&refresh_1, &next_salt, &grant_id, n.saturating_add(2));
        self.generation = n;
        self.refresh = refresh.digest();
        self.access = access.digest();
        self.access_expires_at = timing.access_expires_at;
        self.salt = salt;
        self.next_salt = next_salt;
        self.ahead = [refresh_1.digest(), refresh_2.digest()];
        self.ahead_access = Some(access_1.digest());
        self.forget(timing.now, timing.overlap);
        let pair = self.pair(grant_id, refresh.clone(), access.clone());
        (self, pair)
    }

    fn pair(&self, grant_id: GrantId, refresh: Secret, access: Secret) -> Pair {
        let mark = mark(&self.mark_key, self.generation, &refresh);
        Pair {
            access: AccessToken { grant_id, secret: access },
            refresh: RefreshToken { grant_id, generation: self.generation, secret: refresh, mark },
            access_expires_at: self.access_expires_at,
        }
    }

    /// Whether the request of this draw began the chain.
    pub fn is_begun_by(&self, draw: &Draw) -> bool {
        self.mark_key == Salt(draw.bytes("mark key"))
    }

    /// Whether the request of this draw made the current generation: the last salt is its own. Unlike the version of the
    /// head this outlives the note that the pair arrived, and no other write of the request is taken for it.
    pub fn is_made_by(&self, draw: &Draw) -> bool {
        ["salt a", "salt b", "salt c"].iter().any(|label| self.next_salt == Salt(draw.bytes(label)))
    }

    /// Notes that a token of generation `generation` was presented, so that its pair arrived.
    #[must_use]
    pub fn saw(&self, generation: u64, now: Timestamp, overlap: Duration) -> Self {
        let mut next = Self { seen: self.seen.max(generation), ..self.clone() };
        next.forget(now, overlap);
        next
    }

    /// Begins the overlap of the generations from `from` on anew: their successors had not arrived, so nobody could have
    /// known of them, and siblings that slept as long may ask in the next moment.
    #[must_use]
    pub fn reopened(&self, from: u64, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.recent.iter_mut().filter(|old| old.generation >= from).for_each(|old| old.at = now);
        next
    }

    /// Erases the salts of generations that nobody may need any more: those that have left the overlap, once a later token
    /// was presented. Until then the last one may be needed even without an overlap, by a rotation whose reply was lost on
    /// the way from this service.
    fn forget(&mut self, now: Timestamp, overlap: Duration) {
        let newest = self.recent.last().map(|last| last.generation);
        let seen = self.seen;
        self.recent.retain(|old| {
            let not_arrived = old.generation >= seen;
            let in_overlap = now.since(old.at) < overlap;
            in_overlap || (not_arrived && (!overlap.is_zero() || Some(old.generation) == newest))
        });
        let excess = self.recent.len().saturating_sub(MAX_RECENT);
        for old in self.recent.drain(..excess) {
            // The last of a step stands for all of it.
            if let [.., (_, before), _] = self.crowded.as_slice()
                && old.at.since(*before) < overlap / CROWDED_STEPS
            {
                self.crowded.pop();
            }
            self.crowded.push((old.generation, old.at));
        }
        // The last step that is over stays: it says where the next begins.
        let live = self.crowded.iter().position(|(_, at)| now.since(*at) < overlap);
        self.crowded.drain(..live.map_or(self.crowded.len(), |live| live.saturating_sub(1)));
        self.draining.retain(|(_, until)| now.is_before(*until));
        let excess = self.draining.len().saturating_sub(MAX_RECENT);
        self.draining.drain(..excess);
        if self.code.as_ref().is_some_and(|code| !now.is_before(code.expires_at)) {
            self.code = None;
        }
    }

    /// What `token` is to this chain.
    pub fn standing(&self, token: &RefreshToken, now: Timestamp, overlap: Duration) -> Standing {
        // The mark covers generation and secret, so a token that was altered anywhere ends here, at the cost of one MAC.
        if !bool::from(mark(&self.mark_key, token.generation, &token.secret).ct_eq(&token.mark)) {
            return Standing::Forged;
        }
        let digest = token.digest();
        if self.refresh.matches(&digest) {
            return Standing::Current;
        }
        if self.ahead.iter().any(|ahead| ahead.matches(&digest)) {
            return Standing::Ahead;
        }
        if token.generation > self.generation {
            return Standing::BeyondAhead;
        }
        match self.recent.iter().find(|old| old.refresh.matches(&digest)) {
            _ if overlap.is_zero() => Standing::Spent,
            Some(old) if now.since(old.at) < overlap => Standing::Recent,
            Some(old) if old.generation >= self.seen => Standing::ReplyLost,
            None if self.is_crowded(token.generation, now, overlap) => Standing::Crowded,
            _ => Standing::Spent,
        }
    }

    /// Whether a generation was dropped inside its overlap, and would be in it still.
    fn is_crowded(&self, generation: u64, now: Timestamp, overlap: Duration) -> bool {
        let step = self.crowded.iter().find(|(last, _)| generation <= *last);
        step.is_some_and(|(_, at)| now.since(*at) < overlap)
    }

    /// Derives forward from a token of `recent` (or the current one) to the current refresh secret and pair. `None` when
    /// the salts in between are gone.
    pub fn current_pair(&self, token: &RefreshToken) -> Option<Pair> {
        let digest = token.digest();
        let from = self.recent.iter().position(|old| old.refresh.matches(&digest))?;
        let mut refresh = token.secret.clone();
        let mut access = None;
        let mut at = token.generation;
        for old in self.recent.get(from..)? {
            if old.generation != at || !old.refresh.matches(&refresh.digest()) {
                return None;
            }
            at = at.checked_add(1)?;
            let (next_refresh, next_access) = step(&refresh, &old.salt, &token.grant_id, at);
            refresh = next_refresh;
            access = Some(next_access);
        }
        let access = access?;
        let is_current =
            at == self.generation && self.refresh.matches(&refresh.digest()) && self.access.matches(&access.digest());
        is_current.then(|| self.pair(token.grant_id, refresh, access))
    }

    /// One generation on from `token`, which must be [`Standing::Current`] or [`Standing::Ahead`]. `None` when it is
    /// neither, or at the end of time. `presented` is the generation of the token that was presented: an earlier one, when
    /// `token` was derived from it on its presenter's behalf and so may never have arrived anywhere.
    pub fn rotate(&self, token: &RefreshToken, presented: u64, timing: Timing, draw: &Draw) -> Option<(Self, Pair)> {
        let digest = token.digest();
        let fresh = |label| Salt(draw.bytes(label));
        let superseded =
            |generation, refresh, salt: &Salt| Superseded { generation, refresh, salt: salt.clone(), at: timing.now };
        let n = self.generation;
        let mut next = self.clone();

        // `at` is the token's generation and `salts` are s[at], s[at+1], s[at+2].
        let (at, salts) = if self.refresh.matches(&digest) {
            (n, [self.salt.clone(), self.next_salt.clone(), fresh("salt a")])
        } else {
            next.recent.push(superseded(n, self.refresh, &self.salt));
            let [ahead_1, ahead_2] = &self.ahead;
            if ahead_1.matches(&digest) {
                (n.checked_add(1)?, [self.next_salt.clone(), fresh("salt a"), fresh("salt b")])
            } else if ahead_2.matches(&digest) {
                next.recent.push(superseded(n.checked_add(1)?, *ahead_1, &self.next_salt));
                (n.checked_add(2)?, [fresh("salt a"), fresh("salt b"), fresh("salt c")])
            } else {
                return None;
            }
        };
        if token.generation != at {
            return None;
        }
        let [salt, salt_1, salt_2] = salts;
        let to = at.checked_add(1)?;
        let (refresh, access) = step(&token.secret, &salt, &token.grant_id, to);
        if timing.drain.is_zero() {
            next.draining.clear();
        } else {
            let until = timing.now.plus(timing.drain);
            // A repaired token had the life of a fresh one; from now on it is superseded, or it is the new one.
            next.draining.retain(|(digest, _)| *digest != access.digest());
            next.draining.iter_mut().for_each(|(_, ends)| *ends = until.min(*ends));
            next.draining.push((self.access, self.access_expires_at.min(until)));
        }
        next.recent.push(superseded(at, digest, &salt));
        next.seen = next.seen.max(presented);
        Some(next.advanced_to(token.grant_id, to, &refresh, &access, salt_1, salt_2, timing))
    }
}
