//! Two facades, two token services and one store, with a loss on each hop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, body::Body};
use futures::stream::BoxStream;
use grantd_core::{Lifetimes, OnReplay, Policy, ResourcePolicy, ScopePolicy, Timestamp};
use grantd_facade::{FacadeConfig, FacadeResource};
use grantd_oauth_types::{CodeVerifier, PublicUrl, ResourceUri, Scope, ScopeSet};
use grantd_proto::{
    Caller, IdentityServiceClient, Role, TokenServiceClient, Transport, TransportError,
    v1::{
        self, authorization_decision::Outcome, begin_authorization_response::Next,
        verify_token_response::Result as Verdict,
    },
};
use grantd_store::{Announcement, Batch, CommitOutcome, Index, IndexPage, Key, Snapshot, Store, StoreError};
use grantd_store_embedded::{Clock, EmbeddedStore};
use grantd_store_redis::{ClockOffset, RedisConfig, RedisStore};
use grantd_token_service::{Service, ServiceConfig, in_process};
use http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::harness::{
    PASSWORD, Redis,
    lossy::{Fate, LossyRedis},
};

const ISSUER: &str = "https://mcp.example.com";
const RESOURCE: &str = "https://mcp.example.com/mcp";
const CALLBACK: &str = "https://app.example/cb";
/// Connections of each service to Redis where each is lost after a few calls, and takes a second or two to come back: so many that
/// losses are what is tested, and not an absence.
const CONNECTIONS: usize = 48;
const VERIFIER: &str = "verifier-0123456789-0123456789-0123456789-01";

/// Repeatable randomness (SplitMix64), shared by everything of one test.
#[derive(Clone)]
pub(crate) struct Chance(Arc<AtomicU64>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// A number below `most`.
    pub(crate) fn below(&self, most: u64) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % most
    }

    /// True in so many percent of cases.
    pub(crate) fn percent(&self, n: u64) -> bool {
        self.below(100) < n
    }
}

/// How many percent of answers each hop loses; shared, so that a test can stop it.
#[derive(Clone)]
pub(crate) struct Loss {
    percent: Arc<AtomicU64>,
    /// Whether announcements are lost, all of them.
    deaf: Arc<AtomicBool>,
    chance: Chance,
}

impl Loss {
    /// Nothing is lost yet.
    fn new(chance: Chance) -> Self {
        Self { percent: Arc::default(), deaf: Arc::default(), chance }
    }

    /// Another hop: what it loses is set on its own.
    fn other(&self) -> Self {
        Self { percent: Arc::default(), ..self.clone() }
    }

    pub(crate) fn set(&self, percent: u64) {
        self.percent.store(percent, Ordering::Relaxed);
    }

    /// From now on nobody begins to hear announcements.
    pub(crate) fn deafen(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    pub(crate) fn strikes(&self) -> bool {
        self.chance.percent(self.percent.load(Ordering::Relaxed))
    }
}

/// How often a store was asked, of all services.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) reads: AtomicU64,
    pub(crate) writes: AtomicU64,
}

/// A store whose answers get lost: what was asked for has happened, or not.
struct Lossy(Arc<dyn Store>, Loss, Arc<Asked>);

#[async_trait]
impl Store for Lossy {
    async fn get(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        self.2.reads.fetch_add(1, Ordering::Relaxed);
        let answer = self.0.get(keys).await?;
        if self.1.strikes() { Err(StoreError::Unavailable("lost".into())) } else { Ok(answer) }
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, StoreError> {
        self.2.writes.fetch_add(1, Ordering::Relaxed);
        if self.1.strikes() {
            if self.1.chance.percent(50) {
                self.0.commit(batch).await?;
            }
            return Err(StoreError::Unavailable("lost".into()));
        }
        self.0.commit(batch).await
    }

    async fn index_add(&self, index: &Index, member: &str, expires_at: Option<Timestamp>) -> Result<(), StoreError> {
        self.2.writes.fetch_add(1, Ordering::Relaxed);
        self.0.index_add(index, member, expires_at).await
    }

    async fn index_remove(&self, index: &Index, member: &str) -> Result<(), StoreError> {
        self.2.writes.fetch_add(1, Ordering::Relaxed);
        self.0.index_remove(index, member).await
    }

    async fn index_list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<IndexPage, StoreError> {
        self.0.index_list(index, after, limit).await
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError> {
        if self.1.deaf.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("cut off".into()));
        }
        self.0.watch().await
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        self.0.ping().await
    }
}

#[derive(Debug, Clone)]
struct TestClock(Arc<AtomicU64>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Whose clock it is.
enum Time {
    Embedded(TestClock),
    Redis(ClockOffset),
}

pub(crate) struct World {
    pub(crate) services: [Service; 2],
    facades: [Router; 2],
    stores: [Arc<dyn Store>; 2],
    pub(crate) asked: Arc<Asked>,
    pub(crate) loss: Loss,
    pub(crate) chance: Chance,
    time: Time,
    /// The relay before Redis, where there is one.
    pub(crate) relay: Option<LossyRedis>,
    _redis: Option<Redis>,
    _dir: tempfile::TempDir,
}

/// A registered client.
#[derive(Clone)]
pub(crate) struct Party {
    client_id: String,
}

/// What a client holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// What the token endpoint said.
#[derive(Debug)]
pub(crate) enum Said {
    Tokens(Held),
    /// 503: nothing is lost, try again.
    Later,
    /// Anything else: the client would send the person to sign in.
    SignIn(StatusCode, Value),
}

fn policy() -> Policy {
    let scopes = ScopeSet::parse_lenient("mcp");
    Policy {
        resources: vec![ResourcePolicy {
            identifier: ResourceUri::new(RESOURCE),
            scopes: scopes.clone(),
            default_scopes: scopes,
            allow_groups: vec!["owner".into()],
            introspection_clients: vec![],
        }],
        scopes: [(Scope::parse("mcp").unwrap(), ScopePolicy::default())].into(),
        lifetimes: Lifetimes::default(),
        on_replay: OnReplay::Revoke,
        auth_methods: grantd_oauth_types::TokenEndpointAuthMethod::ALL.to_vec(),
    }
}

/// A transport to any of the services, which loses answers.
fn lossy(services: &[Service; 2], loss: &Loss) -> Transport {
    let caller = || Caller { name: "facade".into(), role: Role::Flow };
    let ways = [in_process(services[0].routes(), caller()), in_process(services[1].routes(), caller())];
    let loss = loss.clone();
    Transport::new(tower::service_fn(move |request: Request<tonic::body::Body>| {
        let way = ways[usize::from(loss.chance.percent(50))].clone();
        let loss = loss.clone();
        async move {
            let answer = way.oneshot(request).await?;
            if loss.strikes() {
                return Err(TransportError(std::io::Error::other("the answer was lost").into()));
            }
            Ok(answer)
        }
    }))
}

impl World {
    pub(crate) async fn embedded(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock(Arc::new(AtomicU64::new(1_800_000_000_000)));
        let store = EmbeddedStore::open(dir.path().join("grantd.redb"), Arc::new(clock.clone())).unwrap();
        let stores: [Arc<dyn Store>; 2] = [Arc::new(store.clone()), Arc::new(store)];
        Self::new(seed, stores, Time::Embedded(clock), dir).await
    }

    pub(crate) async fn redis(seed: u64) -> Self {
        let redis = Redis::start().await;
        let config = RedisConfig::new(redis.url());
        Self { _redis: Some(redis), ..Self::on(seed, config).await }
    }

    /// On Redis, with losses on the wire between it and the services. Whatever is lost there takes its connection along.
    pub(crate) async fn redis_by_wire(seed: u64) -> Self {
        let redis = Redis::start().await;
        let loss = Loss::new(Chance::new(seed));
        let wire = loss.clone();
        let relay = LossyRedis::to(redis.port, move || match (wire.strikes(), wire.chance.percent(50)) {
            (false, _) => Fate::Answered,
            (true, true) => Fate::Unseen,
            (true, false) => Fate::Unanswered,
        })
        .await;
        let mut config = RedisConfig::new(format!("redis://127.0.0.1:{}", relay.port));
        // Each lasts for a few calls.
        config.connections = CONNECTIONS;
        let offset = ClockOffset::default();
        let stores = Self::connected(&config, &offset).await;
        let store_loss = loss.other();
        let world = Self::with(loss, store_loss, stores, Time::Redis(offset), tempfile::tempdir().unwrap()).await;
        Self { _redis: Some(redis), relay: Some(relay), ..world }
    }

    /// On a Redis that the test keeps.
    pub(crate) async fn on(seed: u64, config: RedisConfig) -> Self {
        let offset = ClockOffset::default();
        let stores = Self::connected(&config, &offset).await;
        Self::new(seed, stores, Time::Redis(offset), tempfile::tempdir().unwrap()).await
    }

    async fn connected(config: &RedisConfig, offset: &ClockOffset) -> [Arc<dyn Store>; 2] {
        let connect = || async { Arc::new(RedisStore::connect(config.clone(), offset.clone()).await.unwrap()) };
        [connect().await, connect().await]
    }

    async fn new(seed: u64, stores: [Arc<dyn Store>; 2], time: Time, dir: tempfile::TempDir) -> Self {
        let loss = Loss::new(Chance::new(seed));
        Self::with(loss.clone(), loss, stores, time, dir).await
    }

    /// `loss` is that of answers to the facades, `store_loss` that of answers of the stores.
    async fn with(
        loss: Loss,
        store_loss: Loss,
        stores: [Arc<dyn Store>; 2],
        time: Time,
        dir: tempfile::TempDir,
    ) -> Self {
        super::events::listen();
        let asked = Arc::<Asked>::default();
        let chance = loss.chance.clone();
        let services = stores.clone().map(|store| {
            let store: Arc<dyn Store> = Arc::new(Lossy(store, store_loss.clone(), asked.clone()));
            Service::new(store, ServiceConfig { policy: policy(), argon2_parallel: 2, documents: None })
        });
        services[0].ensure_owner(PASSWORD.into()).await.unwrap();
        let facade = || {
            let config = FacadeConfig {
                public_url: PublicUrl::parse(ISSUER).unwrap(),
                resources: vec![FacadeResource { path: "/mcp".into(), scopes: ScopeSet::parse_lenient("mcp") }],
                trusted_redirect_hosts: vec![],
                auth_methods: grantd_oauth_types::TokenEndpointAuthMethod::ALL.to_vec(),
                assertion_algorithms: Vec::new(),
                client_id_metadata_documents: false,
                iss_parameter: true,
                // A machine that is busy with other tests must not cut attempts short.
                call_timeout: Duration::from_secs(20),
                max_calls: 1000,
                max_body: 64 * 1024,
            };
            let transport = lossy(&services, &loss);
            let (tokens, identity) =
                (TokenServiceClient::new(transport.clone()), IdentityServiceClient::new(transport));
            grantd_facade::router(config, tokens, identity)
        };
        let facades = [facade(), facade()];
        Self { services, facades, stores, asked, loss, chance, time, relay: None, _redis: None, _dir: dir }
    }

    /// Nothing is lost any more, and every connection that a loss ended is there again.
    pub(crate) async fn calm(&self) {
        self.loss.set(0);
        for store in &self.stores {
            let mut in_a_row = 0;
            // Each is another connection's turn.
            while in_a_row < 2 * CONNECTIONS {
                in_a_row = if store.ping().await.is_ok() { in_a_row + 1 } else { 0 };
                if in_a_row == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }

    pub(crate) fn advance(&self, by: Duration) {
        match &self.time {
            Time::Embedded(clock) => {
                clock.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
            }
            Time::Redis(offset) => offset.advance(by),
        }
    }

    pub(crate) fn request_id(&self) -> Vec<u8> {
        (0..4).flat_map(|_| self.chance.below(u64::MAX).to_be_bytes()).collect()
    }

    pub(crate) fn tokens(&self, role: Role) -> TokenServiceClient {
        TokenServiceClient::new(in_process(self.services[0].routes(), Caller { name: "test".into(), role }))
    }

    /// The secret of a new session of the person.
    async fn session(&self) -> String {
        let caller = Caller { name: "test".into(), role: Role::Flow };
        let mut identity = IdentityServiceClient::new(in_process(self.services[0].routes(), caller));
        let sign_in = v1::SignInRequest {
            request_id: self.request_id(),
            username: "owner".into(),
            password: PASSWORD.into(),
            // Somebody else each time, as far as limits are concerned.
            remote_address: format!("203.0.113.{}", self.chance.below(10_000)),
        };
        identity.sign_in(sign_in).await.unwrap().into_inner().session_secret
    }

    /// Registers a client. Without loss.
    pub(crate) async fn party(&self) -> Party {
        let metadata = v1::ClientMetadata {
            redirect_uris: vec![CALLBACK.into()],
            token_endpoint_auth_method: "none".into(),
            ..v1::ClientMetadata::default()
        };
        let registration = v1::RegisterClientRequest {
            request_id: self.request_id(),
            metadata: Some(metadata),
            remote_address: String::new(),
            flow_id: String::new(),
        };
        let registered = self.tokens(Role::Flow).register_client(registration).await.unwrap().into_inner();
        Party { client_id: registered.client.unwrap().client_id }
    }

    /// The person agrees. Without loss.
    pub(crate) async fn code(&self, party: &Party) -> String {
        let session = self.session().await;
        let begin = v1::BeginAuthorizationRequest {
            request_id: self.request_id(),
            client_id: party.client_id.clone(),
            redirect_uri: CALLBACK.into(),
            response_type: "code".into(),
            code_challenge: CodeVerifier::parse(VERIFIER).unwrap().challenge().to_string(),
            code_challenge_method: "S256".into(),
            session_secret: session.clone(),
            ..v1::BeginAuthorizationRequest::default()
        };
        let begun = self.tokens(Role::Flow).begin_authorization(begin).await.unwrap().into_inner();
        let Some(Next::Consent(consent)) = begun.next else { panic!("signed in") };
        let approve = v1::ApproveAuthorizationRequest {
            request_id: self.request_id(),
            ticket: consent.ticket,
            session_secret: session,
            remote_address: String::new(),
        };
        let decided = self.tokens(Role::Flow).approve_authorization(approve).await.unwrap().into_inner();
        let Some(Outcome::Code(code)) = decided.outcome else { panic!("approved") };
        code
    }

    /// Posts to the token endpoint of some facade.
    async fn post(&self, form: &[(&str, &str)]) -> Said {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post("/oauth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        let facade = self.facades[usize::from(self.chance.percent(50))].clone();
        let answer = facade.oneshot(request).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match status {
            StatusCode::OK => Said::Tokens(Held { access: text("access_token"), refresh: text("refresh_token") }),
            StatusCode::SERVICE_UNAVAILABLE => Said::Later,
            status => Said::SignIn(status, body),
        }
    }

    pub(crate) async fn exchange(&self, party: &Party, code: &str) -> Said {
        self.post(&[
            ("grant_type", "authorization_code"),
            ("client_id", &party.client_id),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", CALLBACK),
        ])
        .await
    }

    pub(crate) async fn refresh(&self, party: &Party, token: &str) -> Said {
        self.post(&[("grant_type", "refresh_token"), ("client_id", &party.client_id), ("refresh_token", token)]).await
    }

    /// A refresh that nobody may refuse, as clients do it: a 503, which a busy machine may give, is tried again.
    pub(crate) async fn refreshed(&self, party: &Party, token: &str) -> Held {
        loop {
            match self.refresh(party, token).await {
                Said::Tokens(held) => return held,
                Said::Later => {}
                Said::SignIn(status, body) => panic!("must sign in: {status} {body}"),
            }
        }
    }

    /// The whole way to tokens, without loss.
    pub(crate) async fn signed_in(&self, party: &Party) -> Held {
        match self.exchange(party, &self.code(party).await).await {
            Said::Tokens(held) => held,
            said => panic!("{said:?}"),
        }
    }

    /// The grant of an access token.
    pub(crate) async fn grant_of(&self, access: &str) -> String {
        let question = v1::IntrospectTokenRequest { token: access.into(), ..Default::default() };
        self.tokens(Role::Verify).introspect_token(question).await.unwrap().into_inner().grant_id
    }

    /// Whether both services let an access token through. Without loss.
    pub(crate) async fn accepts(&self, access: &str) -> bool {
        let [first, second] = self.verdicts(access).await;
        assert_eq!(first, second, "both say the same");
        first
    }

    /// Whether each service lets an access token through. Without loss.
    pub(crate) async fn verdicts(&self, access: &str) -> [bool; 2] {
        let mut verdicts = [false; 2];
        for (service, let_through) in self.services.iter().zip(&mut verdicts) {
            let caller = Caller { name: "gate".into(), role: Role::Verify };
            let mut tokens = TokenServiceClient::new(in_process(service.routes(), caller));
            let question = v1::VerifyTokenRequest {
                access_token: access.into(),
                resource: RESOURCE.into(),
                required_scopes: vec![],
            };
            let verdict = tokens.verify_token(question).await.unwrap().into_inner().result.unwrap();
            *let_through = matches!(verdict, Verdict::Allowed(_));
        }
        verdicts
    }
}

/// So many rounds as CI has time for, or as the environment says.
pub(crate) fn rounds(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The seed of this run; printed, so that a failure can be repeated.
pub(crate) fn seed() -> u64 {
    let seed = rounds("GRANTD_TEST_SEED", u64::from(std::process::id()) << 20 | 0x5eed);
    eprintln!("GRANTD_TEST_SEED={seed}");
    seed
}
