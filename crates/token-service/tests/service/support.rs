//! Services, and the way of a client and a person through them.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use grantd_client_metadata::{Fetcher, FetcherConfig};
use grantd_core::{Lifetimes, OnReplay, Policy, ResourcePolicy, ScopePolicy};
use grantd_oauth_types::{CodeVerifier, ResourceUri, Scope, ScopeSet};
use grantd_proto::{
    Caller, IdentityServiceClient, Role, TokenServiceClient,
    v1::{
        self, begin_authorization_response::Next, issue_token_request::Grant as Sent,
        verify_token_response::Result as Verdict,
    },
};
use grantd_store::{Store, Timestamp};
use grantd_store_embedded::{Clock, EmbeddedStore};
use grantd_token_service::{DocumentConfig, Service, ServiceConfig, in_process};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::Status;

use crate::flaky::{Faults, Flaky};

pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";
/// What an assertion is for.
pub(crate) const AUDIENCE: &str = "https://mcp.example.com";
pub(crate) const CALLBACK: &str = "http://localhost:3118/callback";
pub(crate) const VERIFIER: &str = "verifier-0123456789-0123456789-0123456789-01";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// Seconds since some day, as the test says.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000 + self.0.load(Ordering::SeqCst))
    }
}

pub(crate) struct Rig {
    pub(crate) service: Service,
    pub(crate) policy: Policy,
    pub(crate) clock: TestClock,
    pub(crate) faults: Arc<Faults>,
    /// The store itself.
    pub(crate) raw: EmbeddedStore,
    next: AtomicU32,
    _dir: tempfile::TempDir,
}

/// A client and the secret of a person's session.
pub(crate) struct Party {
    pub(crate) client_id: String,
    pub(crate) session: String,
}

impl Rig {
    /// With the user `owner`.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Policy)) -> Self {
        Self::start(change, None).await
    }

    /// Lets clients in that have a metadata document. Nothing can be fetched: no authority is believed.
    pub(crate) async fn with_documents() -> Self {
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let config = FetcherConfig { tls: Arc::new(tls), allowed_domains: vec![], allow_private_addresses: false };
        let documents = DocumentConfig { fetcher: Fetcher::new(config), audiences: vec![AUDIENCE.into()] };
        Self::start(|_| {}, Some(documents)).await
    }

    async fn start(change: impl FnOnce(&mut Policy), documents: Option<DocumentConfig>) -> Self {
        let scopes = ScopeSet::parse_lenient("read write");
        let mut policy = Policy {
            resources: vec![ResourcePolicy {
                identifier: ResourceUri::new(RESOURCE),
                scopes: scopes.clone(),
                default_scopes: scopes,
                allow_groups: vec!["owner".into()],
                introspection_clients: vec![],
            }],
            scopes: ["read", "write"].map(|name| (Scope::parse(name).unwrap(), ScopePolicy::default())).into(),
            lifetimes: Lifetimes::default(),
            on_replay: OnReplay::Revoke,
            auth_methods: grantd_oauth_types::TokenEndpointAuthMethod::ALL.to_vec(),
        };
        change(&mut policy);
        let dir = tempfile::tempdir().unwrap();
        let (clock, faults) = (TestClock::default(), Arc::new(Faults::new()));
        let store = EmbeddedStore::open(dir.path().join("grantd.redb"), Arc::new(clock.clone())).unwrap();
        let raw = store.clone();
        let store: Arc<dyn Store> = Arc::new(Flaky(store, faults.clone()));
        let service = Service::new(store, ServiceConfig { policy: policy.clone(), argon2_parallel: 2, documents });
        service.ensure_owner(PASSWORD.into()).await.unwrap();
        Self { service, policy, clock, faults, raw, next: AtomicU32::new(1), _dir: dir }
    }

    pub(crate) fn tokens(&self, role: Role) -> TokenServiceClient {
        TokenServiceClient::new(in_process(self.service.routes(), Caller { name: "test".into(), role }))
    }

    pub(crate) fn identity(&self, role: Role) -> IdentityServiceClient {
        IdentityServiceClient::new(in_process(self.service.routes(), Caller { name: "test".into(), role }))
    }

    /// A request id that was not used yet.
    pub(crate) fn id(&self) -> Vec<u8> {
        let mut id = vec![7; 32];
        id[..4].copy_from_slice(&self.next.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        id
    }

    pub(crate) async fn register(&self) -> String {
        let answer = self.tokens(Role::Flow).register_client(self.registration()).await.unwrap().into_inner();
        answer.client.unwrap().client_id
    }

    pub(crate) fn registration(&self) -> v1::RegisterClientRequest {
        v1::RegisterClientRequest {
            request_id: self.id(),
            metadata: Some(v1::ClientMetadata {
                redirect_uris: vec![CALLBACK.into()],
                token_endpoint_auth_method: "none".into(),
                client_name: "Test".into(),
                ..v1::ClientMetadata::default()
            }),
            remote_address: "203.0.113.9".into(),
            flow_id: "flow".into(),
        }
    }

    pub(crate) fn sign_in(&self) -> v1::SignInRequest {
        v1::SignInRequest {
            request_id: self.id(),
            username: "owner".into(),
            password: PASSWORD.into(),
            remote_address: "203.0.113.9".into(),
        }
    }

    pub(crate) async fn party(&self) -> Party {
        let session = self.identity(Role::Flow).sign_in(self.sign_in()).await.unwrap().into_inner().session_secret;
        Party { client_id: self.register().await, session }
    }

    pub(crate) fn begin(&self, party: &Party) -> v1::BeginAuthorizationRequest {
        v1::BeginAuthorizationRequest {
            request_id: self.id(),
            client_id: party.client_id.clone(),
            redirect_uri: CALLBACK.into(),
            response_type: "code".into(),
            state: Some("state".into()),
            code_challenge: CodeVerifier::parse(VERIFIER).unwrap().challenge().to_string(),
            code_challenge_method: "S256".into(),
            session_secret: party.session.clone(),
            ..v1::BeginAuthorizationRequest::default()
        }
    }

    pub(crate) async fn ticket(&self, party: &Party) -> String {
        let answer = self.tokens(Role::Flow).begin_authorization(self.begin(party)).await.unwrap().into_inner();
        match answer.next.unwrap() {
            Next::Consent(consent) => consent.ticket,
            Next::SignIn(_) => unreachable!("the person is signed in"),
        }
    }

    pub(crate) fn approve(&self, party: &Party, ticket: &str) -> v1::ApproveAuthorizationRequest {
        v1::ApproveAuthorizationRequest {
            request_id: self.id(),
            ticket: ticket.into(),
            session_secret: party.session.clone(),
            remote_address: String::new(),
        }
    }

    pub(crate) async fn code(&self, party: &Party) -> String {
        let ticket = self.ticket(party).await;
        let decision = self.tokens(Role::Flow).approve_authorization(self.approve(party, &ticket)).await.unwrap();
        match decision.into_inner().outcome.unwrap() {
            v1::authorization_decision::Outcome::Code(code) => code,
            v1::authorization_decision::Outcome::Error(error) => unreachable!("{error}"),
        }
    }

    pub(crate) fn exchange(&self, party: &Party, code: &str) -> v1::IssueTokenRequest {
        self.issue(
            party,
            Sent::AuthorizationCode(v1::AuthorizationCodeGrant {
                code: code.into(),
                redirect_uri: CALLBACK.into(),
                code_verifier: VERIFIER.into(),
            }),
        )
    }

    pub(crate) fn refresh(&self, party: &Party, token: &str) -> v1::IssueTokenRequest {
        let grant = v1::RefreshTokenGrant { refresh_token: token.into(), ..v1::RefreshTokenGrant::default() };
        self.issue(party, Sent::RefreshToken(grant))
    }

    fn issue(&self, party: &Party, grant: Sent) -> v1::IssueTokenRequest {
        v1::IssueTokenRequest {
            request_id: self.id(),
            client: Some(v1::ClientAuthentication {
                client_id: party.client_id.clone(),
                ..v1::ClientAuthentication::default()
            }),
            grant: Some(grant),
            ..v1::IssueTokenRequest::default()
        }
    }

    pub(crate) async fn issued(&self, request: v1::IssueTokenRequest) -> Result<v1::IssueTokenResponse, Status> {
        self.tokens(Role::Flow).issue_token(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) fn deny(&self, party: &Party, ticket: &str) -> v1::DenyAuthorizationRequest {
        v1::DenyAuthorizationRequest {
            request_id: self.id(),
            ticket: ticket.into(),
            session_secret: party.session.clone(),
            remote_address: String::new(),
        }
    }

    pub(crate) fn revoke(&self, party: &Party, token: &str) -> v1::RevokeTokenRequest {
        let client_id = party.client_id.clone();
        v1::RevokeTokenRequest {
            request_id: self.id(),
            client: Some(v1::ClientAuthentication { client_id, ..v1::ClientAuthentication::default() }),
            token: token.into(),
        }
    }

    pub(crate) fn user(&self, name: &str) -> v1::CreateUserRequest {
        v1::CreateUserRequest {
            request_id: self.id(),
            username: name.into(),
            password: PASSWORD.into(),
            groups: vec!["owner".into()],
            ..v1::CreateUserRequest::default()
        }
    }

    /// A new person of that name, signed in, with a client that was there before.
    pub(crate) async fn person(&self, name: &str, client_id: &str) -> Party {
        self.identity(Role::Admin).create_user(self.user(name)).await.unwrap();
        // An address of their own: sign-in is limited by address.
        let sign_in = v1::SignInRequest { username: name.into(), remote_address: name.into(), ..self.sign_in() };
        let session = self.identity(Role::Flow).sign_in(sign_in).await.unwrap().into_inner().session_secret;
        Party { client_id: client_id.into(), session }
    }

    /// The whole way to tokens.
    pub(crate) async fn pair(&self, party: &Party) -> v1::IssueTokenResponse {
        let code = self.code(party).await;
        self.issued(self.exchange(party, &code)).await.unwrap()
    }

    pub(crate) async fn verify(&self, access: &str) -> Verdict {
        let question =
            v1::VerifyTokenRequest { access_token: access.into(), resource: RESOURCE.into(), required_scopes: vec![] };
        self.tokens(Role::Verify).verify_token(question).await.unwrap().into_inner().result.unwrap()
    }

    /// The grant of an access token.
    pub(crate) async fn grant_of(&self, access: &str) -> String {
        let question = v1::IntrospectTokenRequest { token: access.into(), ..Default::default() };
        self.tokens(Role::Verify).introspect_token(question).await.unwrap().into_inner().grant_id
    }

    pub(crate) async fn accepts(&self, access: &str) -> bool {
        matches!(self.verify(access).await, Verdict::Allowed(_))
    }

    pub(crate) fn gap(&self) {
        self.faults.gap();
    }

    /// See [`Faults::fail`].
    pub(crate) fn fail(&self, nth: usize, bad: usize, happens: bool) {
        self.faults.fail(nth, bad, happens);
    }
}

/// The reason that an error carries.
pub(crate) fn reason(status: &Status) -> String {
    grantd_proto::error::Reason::of(status).map(|reason| reason.code).unwrap_or_default()
}
