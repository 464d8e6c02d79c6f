//! One person, one client, one grant, over a model of a store: a change is applied all or nothing, guards included, and
//! expiry is judged by the time the world is told.

use std::{collections::HashMap, time::Duration};

use grantd_core::{
    Change, Draw, Lifetimes, OnReplay, Policy, Record, RecordKey, ResourcePolicy, ScopePolicy, Timestamp, approve,
    authorize,
    exchange::{self, CodeGrant, Outcome},
    ratchet::Pair,
    records::{AccessRecord, Client, CodeRecord, Grant, Session, User},
    refresh, register, users, verify,
};
use grantd_oauth_types::{
    AuthorizationCode, CodeVerifier, Digest, GrantId, RefreshToken, ResourceUri, Scope, ScopeSet, Secret, SessionSecret,
};

pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";
pub(crate) const VERIFIER: &str = "verifier-0123456789-0123456789-0123456789-01";
pub(crate) const HOUR: u64 = 3600;
/// The id of commits that are no refresh and no exchange.
const SETUP: u64 = 0;

pub(crate) fn policy(overlap: Duration) -> Policy {
    let scopes = ScopeSet::parse_lenient("read write");
    Policy {
        resources: vec![ResourcePolicy {
            identifier: ResourceUri::new(RESOURCE),
            scopes: scopes.clone(),
            default_scopes: scopes,
            allow_groups: vec!["owner".into()],
            introspection_clients: vec![],
        }],
        scopes: ["read", "write"].map(|name| (Scope::parse(name).unwrap(), ScopePolicy::default())).into(),
        lifetimes: Lifetimes { refresh_overlap: overlap, ..Lifetimes::default() },
        on_replay: OnReplay::Revoke,
        auth_methods: grantd_oauth_types::TokenEndpointAuthMethod::ALL.to_vec(),
    }
}

/// Records by key, with the id of the commit that wrote each.
#[derive(Clone, Default)]
pub(crate) struct Store(HashMap<RecordKey, (Record, u64)>);

impl Store {
    pub(crate) fn get(&self, key: &RecordKey, now: Timestamp) -> Option<&Record> {
        let (record, _) = self.0.get(key)?;
        record.expires_at().is_none_or(|at| now.is_before(at)).then_some(record)
    }

    pub(crate) fn version(&self, key: &RecordKey, now: Timestamp) -> Option<u64> {
        self.get(key, now)?;
        self.0.get(key).map(|(_, version)| *version)
    }

    /// Writes a change that was decided on `loaded`, when everything it rests on is still as it was then.
    pub(crate) fn commit(&mut self, loaded: &Self, change: Change, id: u64, now: Timestamp) -> bool {
        if change.unchanged.iter().any(|key| self.version(key, now) != loaded.version(key, now)) {
            return false;
        }
        for key in change.deletes {
            self.0.remove(&key);
        }
        for (key, record) in change.puts {
            self.0.insert(key, (record, id));
        }
        true
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
pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) store: Store,
    pub(crate) now: Timestamp,
    pub(crate) client: Client,
    pub(crate) user: User,
    pub(crate) code: AuthorizationCode,
}

impl World {
    pub(crate) fn new(overlap: Duration) -> Self {
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
        let code = AuthorizationCode { grant_id: GrantId::new([0; 16]), secret: Secret::new([0; 32]) };
        let mut world = Self { policy, store: Store::default(), now, client, user, code };
        for change in [registered, created, opened] {
            world.commit(change, SETUP);
        }
        world.code = world.agree(&secret, &session, &draw(4));
        world
    }

    pub(crate) fn commit(&mut self, change: Change, id: u64) {
        let loaded = self.store.clone();
        assert!(self.store.commit(&loaded, change, id, self.now), "nobody came in between");
    }

    /// From the authorization request to the code.
    pub(crate) fn agree(&mut self, secret: &SessionSecret, session: &Session, draw: &Draw) -> AuthorizationCode {
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
        self.commit(change, SETUP);
        let facts = approve::Loaded {
            request: Some(&pending),
            code: None,
            grant: None,
            session: Some(session),
            user: Some(&self.user),
        };
        let (approved, change, _) = approve::approve(&policy, facts, &ticket, secret, self.now).unwrap();
        self.commit(change, SETUP);
        approved.code
    }

    pub(crate) fn grant(&self) -> Option<Grant> {
        record!(self, RecordKey::Grant(self.code.grant_id), Grant).map(|grant| *grant)
    }

    pub(crate) fn exchange(&mut self, request: u64) -> Outcome {
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
            user: Some(&self.user),
        };
        let outcome = exchange::exchange(&self.policy, facts, &sent, self.now, &draw_of(request));
        self.commit(outcome.change.clone(), request);
        outcome
    }

    pub(crate) fn decide(&self, token: &RefreshToken, request: u64) -> Outcome {
        let grant = self.grant();
        let facts = refresh::Loaded { client: &self.client, grant: grant.as_ref(), user: Some(&self.user) };
        refresh::refresh(&self.policy, facts, token, &[], self.now, &draw_of(request))
    }

    pub(crate) fn refresh(&mut self, token: &RefreshToken, request: u64) -> Outcome {
        let outcome = self.decide(token, request);
        self.commit(outcome.change.clone(), request);
        outcome
    }

    /// Several present a token at one moment: all decide on the same state, and commit in turn. Who comes too late
    /// decides again. With each outcome, the refresh token that was live once it was committed.
    pub(crate) fn refresh_at_once(&mut self, presented: &[(RefreshToken, u64)]) -> Vec<(Outcome, Option<Digest>)> {
        let loaded = self.store.clone();
        let decided: Vec<_> = presented.iter().map(|(token, request)| self.decide(token, *request)).collect();
        let mut outcomes = Vec::new();
        for (outcome, (token, request)) in decided.into_iter().zip(presented) {
            let written = self.store.commit(&loaded, outcome.change.clone(), *request, self.now);
            let outcome = if written { outcome } else { self.refresh(token, *request) };
            outcomes.push((outcome, self.live()));
        }
        outcomes
    }

    /// The refresh token that is live.
    pub(crate) fn live(&self) -> Option<Digest> {
        Some(self.grant()?.live()?.refresh)
    }

    pub(crate) fn accepts(&self, pair: &Pair) -> bool {
        let key = RecordKey::Access(self.code.grant_id, pair.access.digest());
        let record: Option<AccessRecord> = record!(self, key, Access);
        let resource = ResourceUri::new(RESOURCE);
        verify::verify(&self.policy, record.as_ref(), &resource, &ScopeSet::default(), self.now).is_ok()
    }

    /// The bearer check, and the note of its first use.
    pub(crate) fn use_access(&mut self, pair: &Pair) {
        let key = RecordKey::Access(self.code.grant_id, pair.access.digest());
        let record: Option<AccessRecord> = record!(self, key, Access);
        if let Some(change) =
            verify::first_use(&self.policy, self.grant().as_ref(), record.as_ref(), &pair.access, self.now)
        {
            self.commit(change, SETUP);
        }
    }
}

pub(crate) fn draw_of(request: u64) -> Draw {
    let mut id = [7; 32];
    id[..8].copy_from_slice(&request.to_be_bytes());
    Draw::from_request_id(&id).unwrap()
}
