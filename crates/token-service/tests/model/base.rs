//! Where every history begins: a person, a client, a ticket to approve, and perhaps a first pair.
//!
//! It is made by the pure rules, once per kind of policy: what is of interest comes later.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use grantd_core::{
    Change, Draw, Lifetimes, OnReplay, Policy, ResourcePolicy, ScopePolicy, Timestamp, approve, authorize,
    exchange::{self, CodeGrant},
    ratchet::Pair,
    register, users,
};
use grantd_oauth_types::{AuthorizationCode, CodeVerifier, GrantId, ResourceUri, Scope, ScopeSet};
use grantd_store::{CommitId, Entry, Key, codec};

pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";
pub(crate) const VERIFIER: &str = "verifier-0123456789-0123456789-0123456789-01";
/// Milliseconds.
pub(crate) const START: u64 = 1_800_000_000_000;

/// In seconds; what the rules depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Times {
    pub(crate) overlap: u64,
    pub(crate) drain: u64,
    pub(crate) access: u64,
}

pub(crate) struct Base {
    pub(crate) policy: Policy,
    pub(crate) client_id: String,
    pub(crate) grant_id: GrantId,
    pub(crate) ticket: String,
    pub(crate) session: String,
    pub(crate) code: AuthorizationCode,
    /// Before the approval.
    pub(crate) asked: BTreeMap<Key, Entry>,
    /// After the exchange.
    pub(crate) signed_in: BTreeMap<Key, Entry>,
    pub(crate) pair: Pair,
}

fn policy(times: Times) -> Policy {
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
        lifetimes: Lifetimes {
            refresh_overlap: Duration::from_secs(times.overlap),
            access_drain: Duration::from_secs(times.drain),
            access: Duration::from_secs(times.access),
            ..Lifetimes::default()
        },
        on_replay: OnReplay::Revoke,
        auth_methods: grantd_oauth_types::TokenEndpointAuthMethod::ALL.to_vec(),
    }
}

fn apply(map: &mut BTreeMap<Key, Entry>, change: Change) {
    change.deletes.iter().for_each(|key| drop(map.remove(&codec::key(key))));
    for (key, record) in change.puts {
        let expires_at = record.expires_at();
        let value = codec::encode(record).unwrap();
        map.insert(codec::key(&key), Entry { value, version: CommitId([1; 16]), expires_at });
    }
}

fn make(times: Times) -> Base {
    let policy = policy(times);
    let now = Timestamp(START);
    let draw = |n: u8| Draw::from_request_id(&[n; 32]).unwrap();
    let registration = register::Registration {
        redirect_uris: vec!["http://localhost/cb".into()],
        token_endpoint_auth_method: "none".into(),
        ..register::Registration::default()
    };
    let mut asked = BTreeMap::new();
    let (client, _, change) = register::register(&policy, registration, now, &draw(1)).unwrap();
    apply(&mut asked, change);
    let (user, change) = users::create("owner".into(), String::new(), vec!["owner".into()], "x".into(), now, &draw(2));
    apply(&mut asked, change);
    let (secret, session, change) = users::open_session(&policy, &user, now, &draw(3));
    apply(&mut asked, change);
    let request = authorize::AuthorizationRequest {
        response_type: "code".into(),
        code_challenge: CodeVerifier::parse(VERIFIER).unwrap().challenge().to_string(),
        code_challenge_method: "S256".into(),
        ..authorize::AuthorizationRequest::default()
    };
    let checked = authorize::check(&policy, Some(&client), &request).unwrap();
    let (pending, ticket, change) =
        authorize::begin(&policy, &client, &checked, &user, secret.digest(), now, &draw(4)).unwrap();
    apply(&mut asked, change);

    let mut signed_in = asked.clone();
    let facts = approve::Loaded {
        request: Some(&pending),
        code: None,
        grant: None,
        session: Some(&session),
        user: Some(&user),
    };
    let (approved, change, _) = approve::approve(&policy, facts, &ticket, &secret, now).unwrap();
    let Some((_, grantd_core::Record::Code(code))) = change.puts.first().cloned() else { unreachable!() };
    apply(&mut signed_in, change);
    let sent = CodeGrant {
        code: approved.code.clone(),
        redirect_uri: None,
        verifier: CodeVerifier::parse(VERIFIER).unwrap(),
        resource: vec![],
    };
    let facts = exchange::Loaded { client: &client, code: Some(&code), grant: None, user: Some(&user) };
    let outcome = exchange::exchange(&policy, facts, &sent, now, &draw(5));
    apply(&mut signed_in, outcome.change);
    Base {
        client_id: client.id.to_string(),
        grant_id: approved.code.grant_id,
        ticket: ticket.to_text(),
        session: secret.to_text(),
        code: approved.code,
        asked,
        signed_in,
        pair: outcome.answer.unwrap().pair,
        policy,
    }
}

pub(crate) fn base(times: Times) -> Arc<Base> {
    static MADE: LazyLock<Mutex<HashMap<Times, Arc<Base>>>> = LazyLock::new(Mutex::default);
    MADE.lock().unwrap().entry(times).or_insert_with(|| Arc::new(make(times))).clone()
}
