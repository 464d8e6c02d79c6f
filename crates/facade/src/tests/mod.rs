//! The router against a small scripted service, over the generated client and server of the contract.
//!
//! The script plays the service; what is looked at is the HTTP side, and what the service was asked.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use grantd_oauth_types::{PublicUrl, ScopeSet};
use grantd_proto::{
    IdentityServiceClient, TokenServiceClient, Transport, error,
    v1::{self, identity_service_server::IdentityServiceServer, token_service_server::TokenServiceServer},
};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::{FacadeConfig, FacadeResource, router};

mod authorize;
mod decision;
mod metadata;
mod outages;
mod pages;
mod register;
mod service;
mod sign_in;
mod token;

/// A call the service got.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Register(v1::RegisterClientRequest),
    Begin(v1::BeginAuthorizationRequest),
    Approve(v1::ApproveAuthorizationRequest),
    Deny(v1::DenyAuthorizationRequest),
    Issue(v1::IssueTokenRequest),
    SignIn(v1::SignInRequest),
    SignOut(v1::SignOutRequest),
}

/// What it answers.
pub(super) enum Reply {
    Registered(Box<v1::RegisterClientResponse>),
    Begun(Box<v1::begin_authorization_response::Next>),
    Decided(v1::AuthorizationDecision),
    Issued(v1::IssueTokenResponse),
    SignedIn(v1::SignInResponse),
    SignedOut,
    /// Never answers.
    Hang,
    Panic,
}

type Script = dyn Fn(&Call) -> Result<Reply, Status> + Send + Sync;

#[derive(Clone)]
pub(super) struct Fake {
    script: Arc<Script>,
    calls: Arc<Mutex<Vec<Call>>>,
}

pub(super) struct Facade {
    router: Router,
    calls: Arc<Mutex<Vec<Call>>>,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

pub(super) const PUBLIC_URL: &str = "https://mcp.example.com";
pub(super) const LOCAL_URL: &str = "http://localhost:8080";

pub(super) fn config(public_url: &str) -> FacadeConfig {
    FacadeConfig {
        public_url: PublicUrl::parse(public_url).unwrap(),
        resources: vec![FacadeResource {
            path: "/mcp".to_owned(),
            scopes: ScopeSet::parse_lenient("read:articles write:articles"),
        }],
        trusted_redirect_hosts: vec!["claude.ai".to_owned()],
        auth_methods: grantd_oauth_types::TokenEndpointAuthMethod::ALL.to_vec(),
        assertion_algorithms: Vec::new(),
        client_id_metadata_documents: false,
        iss_parameter: true,
        call_timeout: Duration::from_secs(5),
        max_calls: 8,
        max_body: 64 * 1024,
    }
}

/// A facade at `PUBLIC_URL` before a service that follows `script`.
pub(super) fn facade(script: impl Fn(&Call) -> Result<Reply, Status> + Send + Sync + 'static) -> Facade {
    facade_with(config(PUBLIC_URL), script)
}

pub(super) fn facade_with(
    config: FacadeConfig,
    script: impl Fn(&Call) -> Result<Reply, Status> + Send + Sync + 'static,
) -> Facade {
    let fake = Fake { script: Arc::new(script), calls: Arc::default() };
    let calls = Arc::clone(&fake.calls);
    let tokens = in_process(TokenServiceServer::new(fake.clone()));
    let identity = in_process(IdentityServiceServer::new(fake));
    let router = router(config, TokenServiceClient::new(tokens), IdentityServiceClient::new(identity));
    Facade { router, calls }
}

fn in_process<S>(server: S) -> Transport
where
    S: tower::Service<
            Request<tonic::body::Body>,
            Response = http::Response<tonic::body::Body>,
            Error = std::convert::Infallible,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    Transport::new(server.map_err(Into::into))
}

/// A facade whose service must not be asked.
pub(super) fn alone() -> Facade {
    facade(|call| panic!("asked: {call:?}"))
}

impl Facade {
    pub(super) async fn send(&self, request: http::request::Builder, body: impl Into<Body>) -> Answer {
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(super) async fn get(&self, uri: &str) -> Answer {
        self.send(Request::get(uri), "").await
    }

    pub(super) async fn get_with(&self, uri: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value)), "")
            .await
    }

    pub(super) async fn form(&self, uri: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = Request::post(uri)
            .header("content-type", "application/x-www-form-urlencoded")
            .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 1234))));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request, body.to_owned()).await
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), "application/json", "{}", self.body);
        let value: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert!(!self.body.contains("null"), "{}", self.body);
        value
    }

    /// Asserts an OAuth error in JSON.
    #[track_caller]
    pub(super) fn is_error(&self, status: u16, error: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        let json = self.json();
        assert_eq!(json["error"], error, "{}", self.body);
        assert!(json["error_description"].is_string());
        assert_eq!(json.as_object().unwrap().len(), 2);
        assert_eq!(self.header("cache-control"), "no-store");
    }

    /// Asserts a page for a person.
    #[track_caller]
    pub(super) fn is_page(&self, status: u16, part: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        assert!(self.body.contains(part), "{part:?} is not in {}", self.body);
        assert_eq!(self.header("cache-control"), "no-store");
        assert!(!self.headers.contains_key("location"));
        assert!(!self.headers.contains_key("access-control-allow-origin"));
    }
}

pub(super) fn client(name: &str) -> v1::Client {
    v1::Client {
        client_id: "gdcl_abc".to_owned(),
        client_id_issued_at: 1_700_000_000,
        metadata: Some(v1::ClientMetadata { client_name: name.to_owned(), ..Default::default() }),
        expires_in: 3600,
    }
}

pub(super) fn sign_in_required(redirect_uri: &str) -> Result<Reply, Status> {
    Ok(Reply::Begun(Box::new(v1::begin_authorization_response::Next::SignIn(v1::SignInRequired {
        client: Some(client("Claude Code (t)")),
        redirect_uri: redirect_uri.to_owned(),
    }))))
}

pub(super) fn consent_required(redirect_uri: &str) -> v1::ConsentRequired {
    let scope = |name: &str, description: &str| v1::ScopeDescription {
        name: name.to_owned(),
        description: description.to_owned(),
    };
    v1::ConsentRequired {
        ticket: "gdt_ticket".to_owned(),
        client: Some(client("Claude Code (t)")),
        redirect_uri: redirect_uri.to_owned(),
        user: Some(v1::User { subject: "u1".to_owned(), username: "owner".to_owned(), ..Default::default() }),
        resource: "https://mcp.example.com/mcp".to_owned(),
        scopes: vec![
            scope("read:articles", "Read your articles"),
            scope("write:articles", "Write and publish articles"),
        ],
        expires_in: 600,
    }
}

pub(super) fn consent(redirect_uri: &str) -> Result<Reply, Status> {
    Ok(Reply::Begun(Box::new(v1::begin_authorization_response::Next::Consent(consent_required(redirect_uri)))))
}

/// A refusal of BeginAuthorization that may be redirected.
pub(super) fn redirectable(reason: &str, redirect_uri: &str) -> Status {
    let metadata = [(error::REDIRECT_URI.to_owned(), redirect_uri.to_owned())].into();
    error::with_metadata(Code::InvalidArgument, reason, "say why", metadata)
}
