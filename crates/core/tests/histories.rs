//! Random histories of one grant: many presenters, lost replies, lost writes, clock steps, thieves and forgers.
//!
//! The model store applies a [`Change`] all or nothing, guards included, and judges expiry by the time it is told. Every
//! history is driven by proptest, so a failure prints the shortest one it finds.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{collections::HashMap, time::Duration};

use grantd_core::{
    Change, Draw, Event, Lifetimes, OnReplay, Policy, Record, RecordKey, ResourcePolicy, ScopePolicy, Timestamp,
    approve, authorize,
    exchange::{self, CodeGrant, Outcome},
    ratchet::Pair,
    records::{AccessRecord, Client, CodeRecord, Grant, Session, User},
    refresh, register, revoke, users, verify,
};
use grantd_oauth_types::{
    AuthorizationCode, CodeVerifier, RefreshToken, ResourceUri, Scope, ScopeSet, Secret, SessionSecret,
};
use hkdf::Hkdf;
use proptest::prelude::*;
use sha2::Sha256;

const RESOURCE: &str = "https://mcp.example.com/mcp";
const VERIFIER: &str = "verifier-0123456789-0123456789-0123456789-01";
const HOUR: u64 = 3600;

fn policy(overlap: Duration) -> Policy {
    let scopes = ScopeSet::parse_lenient("read write");
    Policy {
        resources: vec![ResourcePolicy {
            identifier: ResourceUri::new(RESOURCE),
            scopes: scopes.clone(),
            default_scopes: scopes,
            allow_groups: vec!["owner".into()],
        }],
        scopes: ["read", "write"].map(|name| (Scope::parse(name).unwrap(), ScopePolicy::default())).into(),
        lifetimes: Lifetimes { refresh_overlap: overlap, ..Lifetimes::default() },
        on_replay: OnReplay::Revoke,
    }
}

/// Records by key, with the number of the commit that wrote each.
#[derive(Clone, Default)]
struct Store(HashMap<RecordKey, (Record, u64)>);

impl Store {
    fn get(&self, key: &RecordKey, now: Timestamp) -> Option<&Record> {
        let (record, _) = self.0.get(key)?;
        record.expires_at().is_none_or(|at| now.is_before(at)).then_some(record)
    }

    fn version(&self, key: &RecordKey, now: Timestamp) -> Option<u64> {
        self.get(key, now)?;
        self.0.get(key).map(|(_, version)| *version)
    }

    fn apply(&mut self, change: Change, commit: u64) {
        for key in change.deletes {
            self.0.remove(&key);
        }
        for (key, record) in change.puts {
            self.0.insert(key, (record, commit));
        }
    }
}

macro_rules! record {
    ($world:expr, $key:expr, $kind:ident) => {
        match $world.store.get(&$key, $world.now) {
            Some(Record::$kind(record)) => Some(record.clone()),
            _ => None,
        }
    };
}

/// One person, one client, one grant.
struct World {
    policy: Policy,
    store: Store,
    now: Timestamp,
    commits: u64,
    client: Client,
    user: User,
    code: AuthorizationCode,
}

impl World {
    fn new(overlap: Duration) -> Self {
        let policy = policy(overlap);
        let now = Timestamp::from_secs(1_000_000);
        let draw = |n: u8| Draw::from_request_id(&[n; 32]).unwrap();
        let registration = register::Registration {
            redirect_uris: vec!["http://localhost/cb".into()],
            token_endpoint_auth_method: "none".into(),
            ..register::Registration::default()
        };
        let (client, _, registered) = register::register(&policy, registration, now, &draw(1)).unwrap();
        let (user, created) =
            users::create("owner".into(), String::new(), vec!["owner".into()], "x".into(), now, &draw(2));
        let (secret, session, opened) = users::open_session(&policy, &user, now, &draw(3));
        let code =
            AuthorizationCode { grant_id: grantd_oauth_types::GrantId::new([0; 16]), secret: Secret::new([0; 32]) };
        let mut world = Self { policy, store: Store::default(), now, commits: 0, client, user, code };
        for change in [registered, created, opened] {
            world.commit(change);
        }
        world.code = world.agree(&secret, &session, &draw(4));
        world
    }

    fn commit(&mut self, change: Change) {
        self.commits += 1;
        self.store.apply(change, self.commits);
    }

    /// From the authorization request to the code.
    fn agree(&mut self, secret: &SessionSecret, session: &Session, draw: &Draw) -> AuthorizationCode {
        let request = authorize::AuthorizationRequest {
            response_type: "code".into(),
            code_challenge: CodeVerifier::parse(VERIFIER).unwrap().challenge().to_string(),
            code_challenge_method: "S256".into(),
            ..authorize::AuthorizationRequest::default()
        };
        let policy = self.policy.clone();
        let checked = authorize::check(&policy, Some(&self.client), &request).unwrap();
        let (pending, ticket, change) =
            authorize::begin(&policy, &self.client, &checked, &self.user, secret.digest(), self.now, draw).unwrap();
        self.commit(change);
        let facts = approve::Loaded {
            request: Some(&pending),
            code: None,
            grant: None,
            session: Some(session),
            user: Some(&self.user),
        };
        let (approved, change, _) = approve::approve(&policy, facts, &ticket, secret, self.now).unwrap();
        self.commit(change);
        approved.code
    }

    fn grant(&self) -> Option<Grant> {
        record!(self, RecordKey::Grant(self.code.grant_id), Grant).map(|grant| *grant)
    }

    fn exchange(&mut self, request: u64) -> Outcome {
        let code_key = RecordKey::Code(self.code.grant_id, self.code.digest());
        let code: Option<CodeRecord> = record!(self, code_key, Code);
        let grant = self.grant();
        let sent = CodeGrant {
            code: self.code.clone(),
            redirect_uri: None,
            verifier: CodeVerifier::parse(VERIFIER).unwrap(),
            resource: vec![],
        };
        let facts = exchange::Loaded {
            client: &self.client,
            code: code.as_ref(),
            grant: grant.as_ref(),
            resent: false,
            user: Some(&self.user),
        };
        let outcome = exchange::exchange(&self.policy, facts, &sent, self.now, &draw_of(request));
        self.commit(outcome.change.clone());
        outcome
    }

    fn decide(&self, token: &RefreshToken, request: u64) -> Outcome {
        let grant = self.grant();
        let facts =
            refresh::Loaded { client: &self.client, grant: grant.as_ref(), resent: false, user: Some(&self.user) };
        refresh::refresh(&self.policy, facts, token, &[], self.now, &draw_of(request))
    }

    fn refresh(&mut self, token: &RefreshToken, request: u64) -> Outcome {
        let outcome = self.decide(token, request);
        self.commit(outcome.change.clone());
        outcome
    }

    fn accepts(&self, pair: &Pair) -> bool {
        let key = RecordKey::Access(self.code.grant_id, pair.access.digest());
        let record: Option<AccessRecord> = record!(self, key, Access);
        let resource = ResourceUri::new(RESOURCE);
        verify::verify(record.as_ref(), &resource, &ScopeSet::default(), self.now).is_ok()
    }

    /// The bearer check, and the note of its first use.
    fn use_access(&mut self, pair: &Pair) {
        let key = RecordKey::Access(self.code.grant_id, pair.access.digest());
        let record: Option<AccessRecord> = record!(self, key, Access);
        if let Some(change) = verify::first_use(self.grant().as_ref(), record.as_ref(), &pair.access) {
            self.commit(change);
        }
    }
}

fn draw_of(request: u64) -> Draw {
    let mut id = [7; 32];
    id[..8].copy_from_slice(&request.to_be_bytes());
    Draw::from_request_id(&id).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    /// Somebody refreshes with a pair they hold, and gets the reply or not.
    Refresh { holder: usize, reply_lost: bool },
    /// Somebody calls with the access token they hold.
    Use { holder: usize },
    /// Somebody takes over what another holds (a shared credential store).
    Share { from: usize, to: usize },
    /// Time passes; a step back is a clock that was set.
    Wait { seconds: i64 },
    /// A forger alters one bit of a token that somebody holds.
    Forge { holder: usize, bit: usize },
    /// The store loses its last commits of the grant.
    LoseWrite,
}

const HOLDERS: usize = 4;

fn step(longest_wait: i64) -> impl Strategy<Value = Step> {
    let holder = 0..HOLDERS;
    prop_oneof![
        6 => (holder.clone(), prop::bool::weighted(0.3)).prop_map(|(holder, reply_lost)| Step::Refresh { holder, reply_lost }),
        3 => holder.clone().prop_map(|holder| Step::Use { holder }),
        2 => (holder.clone(), 0..HOLDERS).prop_map(|(from, to)| Step::Share { from, to }),
        3 => (-5..longest_wait).prop_map(|seconds| Step::Wait { seconds }),
        2 => (holder, 0_usize..448).prop_map(|(holder, bit)| Step::Forge { holder, bit }),
        1 => Just(Step::LoseWrite),
    ]
}

/// One bit of secret, mark or generation changed: never issued.
fn forge(token: &RefreshToken, bit: usize) -> RefreshToken {
    let (mut secret, mut mark, mut generation) = (*token.secret.expose(), token.mark, token.generation);
    match bit {
        0..256 => secret[bit / 8] ^= 1 << (bit % 8),
        256..384 => mark[(bit - 256) / 8] ^= 1 << (bit % 8),
        _ => generation ^= 1 << (bit - 384),
    }
    RefreshToken { grant_id: token.grant_id, generation, secret: Secret::new(secret), mark }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Siblings that share one credential, with lost replies and single lost writes, inside what is promised: nobody is
    /// ever signed out, everybody inside the overlap gets the one live pair, and a forged token changes nothing.
    #[test]
    fn nobody_is_signed_out(steps in prop::collection::vec(step(900), 1..60)) {
        let mut world = World::new(Duration::from_secs(HOUR));
        let first = world.exchange(1).answer.unwrap().pair;
        let mut holders: Vec<(Pair, Timestamp)> = vec![(first, world.now); HOLDERS];
        let mut before: Option<Store> = None;
        let mut request = 10;

        for step in steps {
            request += 1;
            match step {
                Step::Refresh { holder, reply_lost } => {
                    // Who idled beyond the overlap reads the shared credential store first, as real clients do.
                    if world.now.since(holders[holder].1) >= Duration::from_secs(HOUR) {
                        let freshest = holders.iter().max_by_key(|(pair, _)| pair.refresh.generation).unwrap();
                        holders[holder] = freshest.clone();
                    }
                    let (held, _) = holders[holder].clone();
                    let saved = world.store.clone();
                    let outcome = world.refresh(&held.refresh, request);
                    let tokens = match &outcome.answer {
                        Ok(tokens) => tokens,
                        Err(error) => panic!("signed out: {error} {:?}", outcome.event),
                    };
                    prop_assert!(world.accepts(&tokens.pair), "the answered pair works");
                    let head = world.grant().unwrap();
                    let live = head.live().unwrap();
                    prop_assert_eq!(live.refresh, tokens.pair.refresh.digest(), "everybody gets the head's pair");
                    prop_assert_eq!(live.access, tokens.pair.access.digest());
                    if let Ok(tokens) = outcome.answer {
                        if !reply_lost {
                            holders[holder] = (tokens.pair, world.now);
                        }
                        before = Some(saved);
                    }
                }
                Step::Use { holder } => {
                    let held = holders[holder].0.clone();
                    world.use_access(&held);
                }
                // Somebody reads the shared store; nobody writes an older token over a newer one.
                Step::Share { from, to } => {
                    if holders[from].0.refresh.generation >= holders[to].0.refresh.generation {
                        holders[to] = holders[from].clone();
                    }
                }
                Step::Wait { seconds } => {
                    world.now = Timestamp(world.now.0.saturating_add_signed(seconds * 1000));
                    // Processes look in now and then; the others would have idled beyond the promise.
                    let now = world.now;
                    holders.iter_mut().filter(|(_, since)| now < *since).for_each(|(_, since)| *since = now);
                }
                Step::Forge { holder, bit } => {
                    let forged = forge(&holders[holder].0.refresh, bit);
                    let outcome = world.decide(&forged, request);
                    prop_assert!(outcome.answer.is_err());
                    prop_assert!(outcome.change.is_empty(), "a forged token changes nothing");
                    prop_assert_eq!(outcome.event, Some(Event::RefreshForged));
                }
                Step::LoseWrite => {
                    // What the look-ahead promises: up to two rotations that somebody holds.
                    let held = holders.iter().map(|(pair, _)| pair.refresh.generation).max().unwrap();
                    if let Some(saved) = before.take() {
                        let ahead = std::mem::replace(&mut world.store, saved);
                        if world.grant().unwrap().live().unwrap().generation + 2 < held {
                            world.store = ahead;
                        }
                    }
                }
            }
            // One live pair: only the head's access token is let through.
            let head = world.grant().unwrap();
            let live = head.live().expect("no history without a thief revokes").access;
            for (pair, _) in &holders {
                prop_assert!(!world.accepts(pair) || pair.access.digest() == live, "two live pairs");
            }
        }
    }

    /// A thief with a token of any age, outside the overlap, after its successor was used: always detected, the grant
    /// revoked, its tokens dead for good.
    #[test]
    fn a_thief_outside_the_overlap_is_caught(rotations in 1_usize..40, stolen in 0_usize..40, later in 0_u64..HOUR) {
        let mut world = World::new(Duration::from_secs(HOUR));
        let mut pairs = vec![world.exchange(1).answer.unwrap().pair];
        for n in 0..rotations {
            world.now = world.now.plus(Duration::from_secs(60));
            let last = pairs.last().unwrap().refresh.clone();
            pairs.push(world.refresh(&last, 100 + n as u64).answer.unwrap().pair);
        }
        let current = pairs.last().unwrap().clone();
        world.use_access(&current);
        world.now = world.now.plus(Duration::from_secs(HOUR + later));
        let token = pairs[stolen % rotations].refresh.clone();
        let outcome = world.refresh(&token, 9999);
        prop_assert!(outcome.answer.is_err());
        prop_assert_eq!(outcome.event, Some(Event::RefreshReplayed));
        prop_assert!(world.grant().unwrap().live().is_none());
        for (n, pair) in pairs.iter().enumerate() {
            prop_assert!(!world.accepts(pair), "a revoked grant verifies nothing");
            prop_assert!(world.refresh(&pair.refresh, 20_000 + n as u64).answer.is_err());
        }
    }

    /// A dump of everything, beside any spent token whose generation has left the overlap: no salt in it leads to a token
    /// that works.
    #[test]
    fn a_dump_beside_a_spent_token_derives_nothing(rotations in 2_usize..20) {
        let mut world = World::new(Duration::from_secs(HOUR));
        let mut pairs = vec![world.exchange(1).answer.unwrap().pair];
        for n in 0..rotations {
            world.now = world.now.plus(Duration::from_secs(HOUR + 1));
            let last = pairs.last().unwrap().refresh.clone();
            pairs.push(world.refresh(&last, 100 + n as u64).answer.unwrap().pair);
        }
        let head = world.grant().unwrap();
        let live = head.live().unwrap();
        let mut salts: Vec<[u8; 32]> = live.recent.iter().map(|old| old.salt.0).collect();
        salts.extend([live.salt.0, live.next_salt.0, live.mark_key.0]);
        // The newest superseded generation keeps its salt for resends; every older one is worthless.
        for spent in &pairs[..pairs.len() - 2] {
            for salt in &salts {
                for kind in ["refresh", "access"] {
                    let derived = derive(&spent.refresh, salt, kind);
                    let digest = Secret::new(derived).digest();
                    prop_assert_ne!(digest, live.refresh);
                    prop_assert_ne!(digest, live.access);
                }
            }
        }
    }

    /// Nothing outlives its `expires_at`.
    #[test]
    fn nothing_outlives_its_end(seconds in 0_u64..40 * 24 * HOUR) {
        let mut world = World::new(Duration::from_secs(HOUR));
        let pair = world.exchange(1).answer.unwrap().pair;
        world.now = world.now.plus(Duration::from_secs(seconds));
        prop_assert_eq!(world.accepts(&pair), seconds < HOUR);
        prop_assert_eq!(world.refresh(&pair.refresh, 2).answer.is_ok(), seconds < 30 * 24 * HOUR);
    }
}

/// The derivation of DESIGN, written again: what an attacker would compute.
fn derive(token: &RefreshToken, salt: &[u8; 32], kind: &str) -> [u8; 32] {
    let info =
        [b"grantd/1 ", kind.as_bytes(), token.grant_id.as_bytes(), &(token.generation + 1).to_be_bytes()].concat();
    let mut out = [0; 32];
    Hkdf::<Sha256>::new(Some(salt), token.secret.expose()).expand(&info, &mut out).unwrap();
    out
}

#[test]
fn the_attacker_computes_what_the_chain_does() {
    // Otherwise the dump test would prove nothing.
    let mut world = World::new(Duration::from_secs(HOUR));
    let first = world.exchange(1).answer.unwrap().pair;
    let second = world.refresh(&first.refresh, 2).answer.unwrap().pair;
    let head = world.grant().unwrap();
    let salt = head.live().unwrap().recent.last().unwrap().salt.0;
    assert_eq!(&derive(&first.refresh, &salt, "refresh"), second.refresh.secret.expose());
    assert_eq!(&derive(&first.refresh, &salt, "access"), second.access.secret.expose());
}

#[test]
fn a_code_yields_tokens_once_and_its_replay_revokes() {
    let mut world = World::new(Duration::from_secs(HOUR));
    let pair = world.exchange(1).answer.unwrap().pair;
    assert!(world.accepts(&pair));
    let replayed = world.exchange(2);
    assert!(replayed.answer.is_err());
    assert_eq!(replayed.event, Some(Event::CodeReplayed));
    assert!(!world.accepts(&pair));
    assert!(world.refresh(&pair.refresh, 3).answer.is_err());
}

#[test]
fn a_code_replayed_after_its_life_is_only_refused() {
    let mut world = World::new(Duration::from_secs(HOUR));
    let pair = world.exchange(1).answer.unwrap().pair;
    world.now = world.now.plus(Duration::from_secs(600));
    let late = world.exchange(2);
    assert!(late.answer.is_err() && late.change.is_empty());
    assert!(world.accepts(&pair));
}

#[test]
fn a_lost_reply_is_answered_after_the_overlap_and_a_used_successor_is_not() {
    for used in [false, true] {
        let mut world = World::new(Duration::from_secs(HOUR));
        let first = world.exchange(1).answer.unwrap().pair;
        let lost = world.refresh(&first.refresh, 2).answer.unwrap().pair;
        if used {
            world.use_access(&lost);
        }
        world.now = world.now.plus(Duration::from_secs(2 * HOUR));
        let outcome = world.refresh(&first.refresh, 3);
        assert_eq!(outcome.answer.is_ok(), !used);
        assert_eq!(outcome.event, Some(if used { Event::RefreshReplayed } else { Event::ReplyLost }));
        if let Ok(tokens) = outcome.answer {
            assert!(world.accepts(&tokens.pair), "a fresh access token, on the presenter's behalf");
        }
    }
}

#[test]
fn two_lost_writes_are_repaired_and_siblings_still_agree() {
    for lost in 1..=2 {
        let mut world = World::new(Duration::from_secs(HOUR));
        let first = world.exchange(1).answer.unwrap().pair;
        let saved = world.store.clone();
        let mut ahead = first.clone();
        for n in 0..lost {
            ahead = world.refresh(&ahead.refresh, 10 + n).answer.unwrap().pair;
        }
        world.store = saved;
        let repaired = world.refresh(&ahead.refresh, 50);
        assert_eq!(repaired.event, Some(Event::RollbackRepaired));
        let repaired = repaired.answer.unwrap().pair;
        let sibling = world.refresh(&first.refresh, 51).answer.unwrap().pair;
        assert_eq!(sibling, repaired);
        assert!(world.accepts(&repaired));
    }
}

#[test]
fn an_access_token_of_a_lost_write_is_repaired_once() {
    let mut world = World::new(Duration::from_secs(HOUR));
    let first = world.exchange(1).answer.unwrap().pair;
    let saved = world.store.clone();
    let ahead = world.refresh(&first.refresh, 10).answer.unwrap().pair;
    world.store = saved;
    assert!(!world.accepts(&ahead));
    let repair = |world: &World| {
        verify::repair(
            &world.policy,
            world.grant().as_ref(),
            Some(&world.client),
            Some(&world.user),
            &ahead.access,
            world.now,
        )
    };
    let (_, change) = repair(&world).unwrap();
    world.commit(change);
    assert!(world.accepts(&ahead));
    assert!(repair(&world).is_none(), "once");
    // A revocation finds it.
    let change = revoke::revoke(&world.grant().unwrap(), world.now);
    world.commit(change);
    assert!(!world.accepts(&ahead) && !world.accepts(&first));
}

#[test]
fn strict_means_strict() {
    let mut world = World::new(Duration::ZERO);
    let first = world.exchange(1).answer.unwrap().pair;
    let second = world.refresh(&first.refresh, 2).answer.unwrap().pair;
    let replayed = world.refresh(&first.refresh, 3);
    assert_eq!(replayed.event, Some(Event::RefreshReplayed));
    assert!(!world.accepts(&second));
}

#[test]
fn a_conflict_is_noticed() {
    // Two decisions on the same head: the second one's guard no longer holds.
    let mut world = World::new(Duration::from_secs(HOUR));
    let first = world.exchange(1).answer.unwrap().pair;
    let (one, two) = (world.decide(&first.refresh, 2), world.decide(&first.refresh, 3));
    let key = RecordKey::Grant(world.code.grant_id);
    assert!(one.change.unchanged.contains(&key) && two.change.unchanged.contains(&key));
    let before = world.store.version(&key, world.now);
    world.commit(one.change);
    assert_ne!(world.store.version(&key, world.now), before);
}
