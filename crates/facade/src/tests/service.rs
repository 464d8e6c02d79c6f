//! The scripted service: the generated traits over one function.

use std::{pin::Pin, sync::PoisonError};

use grantd_proto::v1::{self, identity_service_server::IdentityService, token_service_server::TokenService};
use tonic::{Request, Response, Status};

use super::{Call, Fake, Reply};

impl Fake {
    async fn play(&self, call: Call) -> Result<Reply, Status> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call.clone());
        match (self.script)(&call)? {
            Reply::Hang => std::future::pending().await,
            Reply::Panic => panic!("the password is hunter2"),
            reply => Ok(reply),
        }
    }
}

type Boxed<'a, R> = Pin<Box<dyn Future<Output = Result<Response<R>, Status>> + Send + 'a>>;

// What `async_trait` makes of an `async fn`, which it does not see inside a macro.
macro_rules! play {
    ($($name:ident($request:ident) -> $response:ident, $call:ident, $pattern:pat => $answer:expr;)+) => {$(
        fn $name<'a, 'b>(&'a self, request: Request<v1::$request>) -> Boxed<'b, v1::$response>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async move {
                match self.play(Call::$call(request.into_inner())).await? {
                    $pattern => Ok(Response::new($answer)),
                    _ => Err(Status::internal("the script has the wrong reply")),
                }
            })
        }
    )+};
}

macro_rules! absent {
    ($($name:ident($request:ident) -> $response:ident;)+) => {$(
        fn $name<'a, 'b>(&'a self, _: Request<v1::$request>) -> Boxed<'b, v1::$response>
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async { Err(Status::unimplemented("a facade does not call this")) })
        }
    )+};
}

#[tonic::async_trait]
impl TokenService for Fake {
    play! {
        register_client(RegisterClientRequest) -> RegisterClientResponse, Register, Reply::Registered(r) => *r;
        begin_authorization(BeginAuthorizationRequest) -> BeginAuthorizationResponse, Begin,
            Reply::Begun(next) => v1::BeginAuthorizationResponse { next: Some(*next) };
        approve_authorization(ApproveAuthorizationRequest) -> AuthorizationDecision, Approve, Reply::Decided(d) => d;
        deny_authorization(DenyAuthorizationRequest) -> AuthorizationDecision, Deny, Reply::Decided(d) => d;
        issue_token(IssueTokenRequest) -> IssueTokenResponse, Issue, Reply::Issued(t) => t;
    }
    absent! {
        get_client(GetClientRequest) -> Client;
        update_client(UpdateClientRequest) -> Client;
        delete_client(DeleteClientRequest) -> DeleteClientResponse;
        list_clients(ListClientsRequest) -> ListClientsResponse;
        verify_token(VerifyTokenRequest) -> VerifyTokenResponse;
        verify_grant(VerifyGrantRequest) -> VerifyTokenResponse;
        introspect_token(IntrospectTokenRequest) -> IntrospectTokenResponse;
        revoke_token(RevokeTokenRequest) -> RevokeTokenResponse;
        get_grant(GetGrantRequest) -> Grant;
        list_grants(ListGrantsRequest) -> ListGrantsResponse;
        revoke_grant(RevokeGrantRequest) -> RevokeGrantResponse;
    }

    type WatchRevocationsStream = tokio_stream::Empty<Result<v1::RevocationEvent, Status>>;

    async fn watch_revocations(
        &self,
        _: Request<v1::WatchRevocationsRequest>,
    ) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        Err(Status::unimplemented("a facade does not call this"))
    }
}

#[tonic::async_trait]
impl IdentityService for Fake {
    play! {
        sign_in(SignInRequest) -> SignInResponse, SignIn, Reply::SignedIn(r) => r;
        sign_out(SignOutRequest) -> SignOutResponse, SignOut, Reply::SignedOut => v1::SignOutResponse {};
    }
    absent! {
        get_session(GetSessionRequest) -> GetSessionResponse;
        create_user(CreateUserRequest) -> User;
        update_user(UpdateUserRequest) -> User;
        set_password(SetPasswordRequest) -> SetPasswordResponse;
        list_users(ListUsersRequest) -> ListUsersResponse;
        delete_user(DeleteUserRequest) -> DeleteUserResponse;
    }
}
