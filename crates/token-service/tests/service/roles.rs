//! Who may call what: every method, every role.

use grantd_proto::{IdentityServiceClient, Role, TokenServiceClient, v1};
use tonic::{Code, Status};

use crate::support::Rig;

/// Calls every method with an empty message; gives each name and what came back.
macro_rules! call_all {
    ($client:expr, $($name:ident($request:ident)),+ $(,)?) => {{
        let mut client = $client;
        vec![$((stringify!($name), client.$name(v1::$request::default()).await.map(|_| ()))),+]
    }};
}

pub(crate) async fn all(
    tokens: TokenServiceClient,
    identity: IdentityServiceClient,
) -> Vec<(&'static str, Result<(), Status>)> {
    let mut answers = call_all!(
        tokens,
        verify_token(VerifyTokenRequest),
        verify_grant(VerifyGrantRequest),
        introspect_token(IntrospectTokenRequest),
        watch_revocations(WatchRevocationsRequest),
        register_client(RegisterClientRequest),
        get_client(GetClientRequest),
        begin_authorization(BeginAuthorizationRequest),
        approve_authorization(ApproveAuthorizationRequest),
        deny_authorization(DenyAuthorizationRequest),
        issue_token(IssueTokenRequest),
        revoke_token(RevokeTokenRequest),
        update_client(UpdateClientRequest),
        delete_client(DeleteClientRequest),
        list_clients(ListClientsRequest),
        get_grant(GetGrantRequest),
        list_grants(ListGrantsRequest),
        revoke_grant(RevokeGrantRequest),
    );
    answers.extend(call_all!(
        identity,
        sign_in(SignInRequest),
        get_session(GetSessionRequest),
        sign_out(SignOutRequest),
        create_user(CreateUserRequest),
        update_user(UpdateUserRequest),
        set_password(SetPasswordRequest),
        list_users(ListUsersRequest),
        delete_user(DeleteUserRequest),
    ));
    answers
}

/// The least role that may call a method.
pub(crate) fn needs(method: &str) -> Role {
    match method {
        "verify_token" | "verify_grant" | "introspect_token" | "watch_revocations" => Role::Verify,
        "register_client"
        | "get_client"
        | "begin_authorization"
        | "approve_authorization"
        | "deny_authorization"
        | "issue_token"
        | "revoke_token"
        | "sign_in"
        | "get_session"
        | "sign_out" => Role::Flow,
        _ => Role::Admin,
    }
}

#[tokio::test]
async fn every_method_has_its_role() {
    let rig = Rig::new().await;
    for role in [Role::Verify, Role::Flow, Role::Admin] {
        let answers = all(rig.tokens(role), rig.identity(role)).await;
        assert_eq!(answers.len(), 25);
        for (method, answer) in answers {
            let forbidden = answer.is_err_and(|status| status.code() == Code::PermissionDenied);
            assert_eq!(forbidden, role < needs(method), "{method} as {role:?}");
        }
    }
}
