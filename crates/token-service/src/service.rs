//! The two gRPC services: each method names the role it needs and where it is done.

use grantd_proto::{
    Role,
    v1::{self, identity_service_server::IdentityService, token_service_server::TokenService},
};
use tonic::{Request, Response, Status};

use crate::{
    Service,
    roles::{require, require_by},
    watch::Watch,
};

/// Whoever runs grantd; or the client itself, which proves that it may by its registration access token.
fn who_manages(registration_access_token: &str) -> Role {
    if registration_access_token.is_empty() { Role::Admin } else { Role::Flow }
}

#[tonic::async_trait]
impl TokenService for Service {
    async fn register_client(
        &self,
        request: Request<v1::RegisterClientRequest>,
    ) -> Result<Response<v1::RegisterClientResponse>, Status> {
        self.do_register_client(require(request, Role::Flow)?).await.map(Response::new)
    }

    async fn get_client(&self, request: Request<v1::GetClientRequest>) -> Result<Response<v1::Client>, Status> {
        self.do_get_client(&require(request, Role::Flow)?).await.map(Response::new)
    }

    async fn update_client(&self, request: Request<v1::UpdateClientRequest>) -> Result<Response<v1::Client>, Status> {
        let role = who_manages(&request.get_ref().registration_access_token);
        let (message, caller) = require_by(request, role)?;
        self.do_update_client(message, &caller).await.map(Response::new)
    }

    async fn delete_client(
        &self,
        request: Request<v1::DeleteClientRequest>,
    ) -> Result<Response<v1::DeleteClientResponse>, Status> {
        let role = who_manages(&request.get_ref().registration_access_token);
        let (message, caller) = require_by(request, role)?;
        self.do_delete_client(message, caller).await.map(|()| Response::new(v1::DeleteClientResponse {}))
    }

    async fn list_clients(
        &self,
        request: Request<v1::ListClientsRequest>,
    ) -> Result<Response<v1::ListClientsResponse>, Status> {
        self.do_list_clients(&require(request, Role::Admin)?).await.map(Response::new)
    }

    async fn begin_authorization(
        &self,
        request: Request<v1::BeginAuthorizationRequest>,
    ) -> Result<Response<v1::BeginAuthorizationResponse>, Status> {
        self.do_begin(require(request, Role::Flow)?).await.map(Response::new)
    }

    async fn approve_authorization(
        &self,
        request: Request<v1::ApproveAuthorizationRequest>,
    ) -> Result<Response<v1::AuthorizationDecision>, Status> {
        self.do_approve(require(request, Role::Flow)?).await.map(Response::new)
    }

    async fn deny_authorization(
        &self,
        request: Request<v1::DenyAuthorizationRequest>,
    ) -> Result<Response<v1::AuthorizationDecision>, Status> {
        self.do_deny(require(request, Role::Flow)?).await.map(Response::new)
    }

    async fn issue_token(
        &self,
        request: Request<v1::IssueTokenRequest>,
    ) -> Result<Response<v1::IssueTokenResponse>, Status> {
        self.do_issue(require(request, Role::Flow)?).await.map(Response::new)
    }

    async fn verify_token(
        &self,
        request: Request<v1::VerifyTokenRequest>,
    ) -> Result<Response<v1::VerifyTokenResponse>, Status> {
        self.do_verify(require(request, Role::Verify)?).await.map(Response::new)
    }

    async fn verify_grant(
        &self,
        request: Request<v1::VerifyGrantRequest>,
    ) -> Result<Response<v1::VerifyTokenResponse>, Status> {
        self.do_verify_grant(require(request, Role::Verify)?).await.map(Response::new)
    }

    async fn introspect_token(
        &self,
        request: Request<v1::IntrospectTokenRequest>,
    ) -> Result<Response<v1::IntrospectTokenResponse>, Status> {
        self.do_introspect(&require(request, Role::Verify)?).await.map(Response::new)
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        self.do_revoke_token(require(request, Role::Flow)?).await.map(|()| Response::new(v1::RevokeTokenResponse {}))
    }

    async fn get_grant(&self, request: Request<v1::GetGrantRequest>) -> Result<Response<v1::Grant>, Status> {
        self.do_get_grant(&require(request, Role::Admin)?).await.map(Response::new)
    }

    async fn list_grants(
        &self,
        request: Request<v1::ListGrantsRequest>,
    ) -> Result<Response<v1::ListGrantsResponse>, Status> {
        self.do_list_grants(&require(request, Role::Admin)?).await.map(Response::new)
    }

    async fn revoke_grant(
        &self,
        request: Request<v1::RevokeGrantRequest>,
    ) -> Result<Response<v1::RevokeGrantResponse>, Status> {
        self.do_revoke_grant(&require(request, Role::Admin)?).await.map(|()| Response::new(v1::RevokeGrantResponse {}))
    }

    type WatchRevocationsStream = Watch;

    async fn watch_revocations(
        &self,
        request: Request<v1::WatchRevocationsRequest>,
    ) -> Result<Response<Watch>, Status> {
        require(request, Role::Verify)?;
        self.do_watch().await.map(Response::new)
    }
}

#[tonic::async_trait]
impl IdentityService for Service {
    async fn sign_in(&self, request: Request<v1::SignInRequest>) -> Result<Response<v1::SignInResponse>, Status> {
        self.do_sign_in(require(request, Role::Flow)?).await.map(Response::new)
    }

    async fn get_session(
        &self,
        request: Request<v1::GetSessionRequest>,
    ) -> Result<Response<v1::GetSessionResponse>, Status> {
        self.do_get_session(&require(request, Role::Flow)?).await.map(Response::new)
    }

    async fn sign_out(&self, request: Request<v1::SignOutRequest>) -> Result<Response<v1::SignOutResponse>, Status> {
        self.do_sign_out(&require(request, Role::Flow)?).await.map(|()| Response::new(v1::SignOutResponse {}))
    }

    async fn create_user(&self, request: Request<v1::CreateUserRequest>) -> Result<Response<v1::User>, Status> {
        let (message, caller) = require_by(request, Role::Admin)?;
        self.do_create_user(message, &caller).await.map(Response::new)
    }

    async fn update_user(&self, request: Request<v1::UpdateUserRequest>) -> Result<Response<v1::User>, Status> {
        let (message, caller) = require_by(request, Role::Admin)?;
        self.do_update_user(message, caller).await.map(Response::new)
    }

    async fn set_password(
        &self,
        request: Request<v1::SetPasswordRequest>,
    ) -> Result<Response<v1::SetPasswordResponse>, Status> {
        let (message, caller) = require_by(request, Role::Admin)?;
        self.do_set_password(message, caller).await.map(|()| Response::new(v1::SetPasswordResponse {}))
    }

    async fn list_users(
        &self,
        request: Request<v1::ListUsersRequest>,
    ) -> Result<Response<v1::ListUsersResponse>, Status> {
        self.do_list_users(&require(request, Role::Admin)?).await.map(Response::new)
    }

    async fn delete_user(
        &self,
        request: Request<v1::DeleteUserRequest>,
    ) -> Result<Response<v1::DeleteUserResponse>, Status> {
        let (message, caller) = require_by(request, Role::Admin)?;
        self.do_delete_user(message, caller).await.map(|()| Response::new(v1::DeleteUserResponse {}))
    }
}
