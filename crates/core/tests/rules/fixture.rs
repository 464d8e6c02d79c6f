//! Two resources, three scopes, a client, a person, and the way to a grant.

use std::time::Duration;

use grantd_core::{
    Draw, Lifetimes, OnReplay, Policy, Record, RecordKey, ResourcePolicy, ScopePolicy, Timestamp, approve, authorize,
    exchange::{self, CodeGrant, Outcome},
    ratchet::Pair,
    records::{AccessRecord, Client, CodeRecord, Grant, PendingRequest, Session, User},
    refresh, register, users,
};
use grantd_oauth_types::{
    AuthorizationCode, CodeVerifier, RefreshToken, ResourceUri, Scope, ScopeSet, SessionSecret, Ticket,
};

pub(crate) const MCP: &str = "https://mcp.example.com/mcp";
pub(crate) const OTHER: &str = "https://mcp.example.com/other";
pub(crate) const LOOPBACK: &str = "http://localhost:3118/callback";
pub(crate) const WEB: &str = "https://app.example/cb";
pub(crate) const VERIFIER: &str = "verifier-0123456789-0123456789-0123456789-01";
pub(crate) const NOW: Timestamp = Timestamp(1_000_000_000_000);

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn scopes(text: &str) -> ScopeSet {
    ScopeSet::parse_lenient(text)
}

pub(crate) fn draw(n: u8) -> Draw {
    Draw::from_request_id(&[n; 32]).unwrap()
}

/// `admin` may be granted by `admins` only; the second resource is for `guests` as well, and has one scope.
pub(crate) fn policy() -> Policy {
    let resource = |identifier: &str, all: &str, default: &str, groups: &[&str]| ResourcePolicy {
        identifier: ResourceUri::new(identifier),
        scopes: scopes(all),
        default_scopes: scopes(default),
        allow_groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        introspection_clients: vec![],
    };
    let mut policy = Policy {
        resources: vec![
            resource(MCP, "read write admin", "read write", &["owner"]),
            resource(OTHER, "read", "read", &["owner", "guests"]),
        ],
        scopes: ["read", "write", "admin"].map(|name| (Scope::parse(name).unwrap(), ScopePolicy::default())).into(),
        lifetimes: Lifetimes::default(),
        on_replay: OnReplay::Revoke,
        auth_methods: grantd_oauth_types::TokenEndpointAuthMethod::ALL.to_vec(),
    };
    policy.scopes.get_mut(&Scope::parse("admin").unwrap()).unwrap().allow_groups = vec!["admins".into()];
    policy
}

pub(crate) fn registration(uris: &[&str], method: &str) -> register::Registration {
    register::Registration {
        redirect_uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
        token_endpoint_auth_method: method.into(),
        ..register::Registration::default()
    }
}

pub(crate) fn client(n: u8, uris: &[&str]) -> Client {
    register::register(&policy(), registration(uris, "none"), NOW, &draw(n)).unwrap().0
}

pub(crate) fn user(name: &str, groups: &[&str]) -> User {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    users::create(name.into(), String::new(), groups, "hash".into(), NOW, &draw(99)).0
}

/// A request without fault.
pub(crate) fn request() -> authorize::AuthorizationRequest {
    authorize::AuthorizationRequest {
        redirect_uri: LOOPBACK.into(),
        response_type: "code".into(),
        state: Some("state".into()),
        code_challenge: CodeVerifier::parse(VERIFIER).unwrap().challenge().to_string(),
        code_challenge_method: "S256".into(),
        ..authorize::AuthorizationRequest::default()
    }
}

/// A person at the consent page.
pub(crate) struct Asked {
    pub(crate) policy: Policy,
    pub(crate) client: Client,
    pub(crate) user: User,
    pub(crate) secret: SessionSecret,
    pub(crate) session: Session,
    pub(crate) pending: PendingRequest,
    pub(crate) ticket: Ticket,
}

impl Asked {
    pub(crate) fn new(policy: Policy) -> Self {
        let (client, user) = (client(1, &[LOOPBACK, WEB]), user("owner", &["owner"]));
        let (secret, session, _) = users::open_session(&policy, &user, NOW, &draw(2));
        let (pending, ticket, _) = {
            let request = request();
            let checked = authorize::check(&policy, Some(&client), &request).unwrap();
            authorize::begin(&policy, &client, &checked, &user, secret.digest(), NOW, &draw(3)).unwrap()
        };
        Self { policy, client, user, secret, session, pending, ticket }
    }

    pub(crate) fn facts(&self) -> approve::Loaded<'_> {
        approve::Loaded {
            request: Some(&self.pending),
            code: None,
            grant: None,
            session: Some(&self.session),
            user: Some(&self.user),
        }
    }

    /// The person agrees: the code and its record.
    pub(crate) fn approved(&self) -> (AuthorizationCode, CodeRecord) {
        let (approved, change, _) =
            approve::approve(&self.policy, self.facts(), &self.ticket, &self.secret, NOW).unwrap();
        let [(_, Record::Code(record))] = change.puts.as_slice() else { unreachable!("one code record") };
        (approved.code, record.clone())
    }
}

/// A grant that was just issued, and what its rules look at.
pub(crate) struct Issued {
    pub(crate) policy: Policy,
    pub(crate) client: Client,
    pub(crate) user: User,
    pub(crate) code: AuthorizationCode,
    pub(crate) pair: Pair,
    pub(crate) head: Grant,
    pub(crate) now: Timestamp,
}

impl Issued {
    pub(crate) fn new(policy: Policy) -> Self {
        let asked = Asked::new(policy);
        let (code, record) = asked.approved();
        let facts =
            exchange::Loaded { client: &asked.client, code: Some(&record), grant: None, user: Some(&asked.user) };
        let outcome = exchange::exchange(&asked.policy, facts, &sent(&code), NOW, &draw(10));
        let head = head_of(&outcome).unwrap();
        let pair = outcome.answer.unwrap().pair;
        let Asked { policy, client, user, .. } = asked;
        Self { policy, client, user, code, pair, head, now: NOW }
    }

    /// What a refresh comes to, without its being committed.
    pub(crate) fn refresh(&self, token: &RefreshToken, n: u8) -> Outcome {
        let facts = refresh::Loaded { client: &self.client, grant: Some(&self.head), user: Some(&self.user) };
        refresh::refresh(&self.policy, facts, token, &[], self.now, &draw(n))
    }

    /// Refreshes with the current token, and commits.
    pub(crate) fn rotate(&mut self, n: u8) -> Pair {
        self.commit(self.refresh(&self.pair.refresh, n))
    }

    /// Commits an outcome that answers a pair, and gives it.
    pub(crate) fn commit(&mut self, outcome: Outcome) -> Pair {
        self.head = head_of(&outcome).unwrap_or_else(|| self.head.clone());
        self.pair = outcome.answer.unwrap().pair;
        self.pair.clone()
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(secs(seconds));
    }
}

/// A good exchange of a code.
pub(crate) fn sent(code: &AuthorizationCode) -> CodeGrant {
    CodeGrant {
        code: code.clone(),
        redirect_uri: Some(LOOPBACK.into()),
        verifier: CodeVerifier::parse(VERIFIER).unwrap(),
        resource: vec![],
    }
}

/// The head that an outcome writes.
pub(crate) fn head_of(outcome: &Outcome) -> Option<Grant> {
    outcome.change.puts.iter().find_map(|(_, record)| match record {
        Record::Grant(head) => Some((**head).clone()),
        _ => None,
    })
}

/// The access record that an outcome writes under this key.
pub(crate) fn access_of(outcome: &Outcome, key: &RecordKey) -> Option<AccessRecord> {
    outcome.change.puts.iter().find_map(|(at, record)| match record {
        Record::Access(access) if at == key => Some(access.clone()),
        _ => None,
    })
}
