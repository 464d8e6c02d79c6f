//! A TokenService that answers as the test says.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::{StreamExt as _, future::BoxFuture, stream::BoxStream};
use grantd_proto::v1::{
    self, RevocationEvent, TokenAllowed, TokenDenied, VerifyTokenResponse, revocation_event::Event,
    token_denied::Reason, token_service_server::TokenService, verify_token_response::Result as Verdict,
};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tonic::{Request, Response, Status};

use crate::support::token;

/// A token by which a test finds out that an announcement was heard.
pub(crate) const MARKER: u8 = 255;

pub(crate) type Answer = Result<VerifyTokenResponse, Status>;
type Ask<Q> = Arc<dyn Fn(Q) -> BoxFuture<'static, Answer> + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Script(Arc<Inner>);

struct Inner {
    token: Mutex<Ask<v1::VerifyTokenRequest>>,
    grant: Mutex<Ask<v1::VerifyGrantRequest>>,
    questions: Mutex<Vec<v1::VerifyTokenRequest>>,
    /// How often the marker was asked about; see [`Script::marked`].
    marked: AtomicUsize,
    events: Mutex<broadcast::Sender<RevocationEvent>>,
}

/// Who the tokens of these tests belong to.
pub(crate) fn person() -> TokenAllowed {
    TokenAllowed {
        grant_id: "grant".into(),
        client_id: "client".into(),
        subject: "subject".into(),
        username: "owner".into(),
        email: "owner@example.com".into(),
        groups: vec!["owner".into(), "editors".into()],
        scope: "read".into(),
        expires_in: 3600,
    }
}

pub(crate) fn allow(allowed: TokenAllowed) -> Answer {
    Ok(VerifyTokenResponse { result: Some(Verdict::Allowed(allowed)) })
}

pub(crate) fn deny(reason: Reason, scope: &str) -> Answer {
    Ok(VerifyTokenResponse {
        result: Some(Verdict::Denied(TokenDenied { reason: reason.into(), scope: scope.into() })),
    })
}

fn always<Q>(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Ask<Q> {
    Arc::new(move |_| {
        let answer = answer();
        Box::pin(async move { answer })
    })
}

impl Script {
    /// Lets everybody through, as [`person`].
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            token: Mutex::new(always(|| allow(person()))),
            grant: Mutex::new(always(|| allow(person()))),
            questions: Mutex::default(),
            marked: AtomicUsize::new(0),
            events: Mutex::new(broadcast::channel(100).0),
        }))
    }

    /// From now on VerifyToken answers so.
    pub(crate) fn tokens(&self, answer: impl Fn() -> Answer + Send + Sync + 'static) {
        *self.0.token.lock().unwrap() = always(answer);
    }

    /// From now on VerifyToken answers what this future says, when it says it.
    pub(crate) fn tokens_later<F>(&self, answer: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        *self.0.token.lock().unwrap() = Arc::new(move |_| Box::pin(answer()));
    }

    /// From now on VerifyGrant answers so.
    pub(crate) fn grants(&self, answer: impl Fn() -> Answer + Send + Sync + 'static) {
        *self.0.grant.lock().unwrap() = always(answer);
    }

    /// What VerifyToken was asked.
    pub(crate) fn questions(&self) -> Vec<v1::VerifyTokenRequest> {
        self.0.questions.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self) -> usize {
        self.0.questions.lock().unwrap().len()
    }

    /// How often the token [`MARKER`] was asked about. It always passes, is of a grant of its own, and is no question.
    pub(crate) fn marked(&self) -> usize {
        self.0.marked.load(Ordering::SeqCst)
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.0.events.lock().unwrap().receiver_count() > 0
    }

    /// Announces; none is what a gate makes of a kind that it does not know.
    pub(crate) fn announce(&self, event: impl Into<Option<Event>>) {
        self.0.events.lock().unwrap().send(RevocationEvent { event: event.into() }).unwrap();
    }

    /// Ends the stream of announcements.
    pub(crate) fn hang_up(&self) {
        *self.0.events.lock().unwrap() = broadcast::channel(100).0;
    }
}

type Boxed<'a, R> = Pin<Box<dyn Future<Output = Result<Response<R>, Status>> + Send + 'a>>;

// What `async_trait` makes of an `async fn`, which it does not see inside a macro.
macro_rules! absent {
    ($($name:ident($request:ident) -> $response:ident;)+) => {$(
        fn $name<'a, 'b>(&'a self, _: Request<v1::$request>) -> Boxed<'b, v1::$response>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async { Err(Status::unimplemented("a gate does not call this")) })
        }
    )+};
}

#[tonic::async_trait]
impl TokenService for Script {
    async fn verify_token(
        &self,
        request: Request<v1::VerifyTokenRequest>,
    ) -> Result<Response<VerifyTokenResponse>, Status> {
        let question = request.into_inner();
        if question.access_token == token(MARKER) {
            self.0.marked.fetch_add(1, Ordering::SeqCst);
            return allow(TokenAllowed {
                grant_id: "marker".into(),
                subject: "marker".into(),
                client_id: "marker".into(),
                ..person()
            })
            .map(Response::new);
        }
        self.0.questions.lock().unwrap().push(question.clone());
        let answer = self.0.token.lock().unwrap()(question);
        answer.await.map(Response::new)
    }

    async fn verify_grant(
        &self,
        request: Request<v1::VerifyGrantRequest>,
    ) -> Result<Response<VerifyTokenResponse>, Status> {
        let answer = self.0.grant.lock().unwrap()(request.into_inner());
        answer.await.map(Response::new)
    }

    type WatchRevocationsStream = BoxStream<'static, Result<RevocationEvent, Status>>;

    async fn watch_revocations(
        &self,
        _: Request<v1::WatchRevocationsRequest>,
    ) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        let events = BroadcastStream::new(self.0.events.lock().unwrap().subscribe());
        Ok(Response::new(events.map(|event| event.map_err(|_| Status::data_loss("too slow"))).boxed()))
    }

    absent! {
        register_client(RegisterClientRequest) -> RegisterClientResponse;
        get_client(GetClientRequest) -> Client;
        update_client(UpdateClientRequest) -> Client;
        delete_client(DeleteClientRequest) -> DeleteClientResponse;
        list_clients(ListClientsRequest) -> ListClientsResponse;
        begin_authorization(BeginAuthorizationRequest) -> BeginAuthorizationResponse;
        approve_authorization(ApproveAuthorizationRequest) -> AuthorizationDecision;
        deny_authorization(DenyAuthorizationRequest) -> AuthorizationDecision;
        issue_token(IssueTokenRequest) -> IssueTokenResponse;
        introspect_token(IntrospectTokenRequest) -> IntrospectTokenResponse;
        revoke_token(RevokeTokenRequest) -> RevokeTokenResponse;
        get_grant(GetGrantRequest) -> Grant;
        list_grants(ListGrantsRequest) -> ListGrantsResponse;
        revoke_grant(RevokeGrantRequest) -> RevokeGrantResponse;
    }
}
