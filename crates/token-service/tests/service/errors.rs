//! Every refusal: its status, and the OAuth code as its reason.

use grantd_proto::{
    Role,
    error::{REDIRECT_URI, Reason},
    v1::{self, issue_token_request::Grant as Sent},
};
use tonic::{Code, Status};

use crate::support::{CALLBACK, Party, Rig, VERIFIER, reason};

fn told(status: &Status) -> (Code, String) {
    (status.code(), reason(status))
}

fn is(code: Code, reason: &str) -> (Code, String) {
    (code, reason.into())
}

async fn confidential(rig: &Rig) -> (String, String) {
    let mut registration = rig.registration();
    registration.metadata.as_mut().unwrap().token_endpoint_auth_method = "client_secret_post".into();
    let answer = rig.tokens(Role::Flow).register_client(registration).await.unwrap().into_inner();
    (answer.client.unwrap().client_id, answer.client_secret)
}

#[tokio::test]
async fn of_registering() {
    let rig = Rig::new().await;
    let metadata = rig.registration().metadata.unwrap();
    let with = |change: &dyn Fn(&mut v1::ClientMetadata)| {
        let mut changed = metadata.clone();
        change(&mut changed);
        Some(changed)
    };
    for (metadata, expected) in [
        (None, "invalid_redirect_uri"),
        (with(&|m| m.redirect_uris.clear()), "invalid_redirect_uri"),
        (with(&|m| m.redirect_uris = vec!["http://example.com/cb".into()]), "invalid_redirect_uri"),
        (with(&|m| m.redirect_uris = vec!["javascript:alert(1)".into()]), "invalid_redirect_uri"),
        (with(&|m| m.redirect_uris = vec![CALLBACK.into(); 101]), "invalid_redirect_uri"),
        (with(&|m| m.token_endpoint_auth_method = "private_key_jwt".into()), "invalid_client_metadata"),
        (with(&|m| m.client_name = "x".repeat(2049)), "invalid_client_metadata"),
        (with(&|m| m.contacts = vec!["x".into(); 101]), "invalid_client_metadata"),
    ] {
        let request = v1::RegisterClientRequest { metadata: metadata.clone(), ..rig.registration() };
        let status = rig.tokens(Role::Flow).register_client(request).await.unwrap_err();
        assert_eq!(told(&status), is(Code::InvalidArgument, expected), "{metadata:?}");
        let (request_id, client_id) = (rig.id(), rig.register().await);
        let request = v1::UpdateClientRequest { request_id, client_id, metadata, ..Default::default() };
        let status = rig.tokens(Role::Admin).update_client(request).await.unwrap_err();
        assert_eq!(told(&status), is(Code::InvalidArgument, expected));
    }
    let (client_id, secret) = confidential(&rig).await;
    assert!(!secret.is_empty());
    let request = v1::UpdateClientRequest {
        request_id: rig.id(),
        client_id,
        metadata: Some(metadata.clone()),
        ..Default::default()
    };
    let status = rig.tokens(Role::Admin).update_client(request).await.unwrap_err();
    assert_eq!(told(&status), is(Code::InvalidArgument, "invalid_request"), "it cannot become public");
}

#[tokio::test]
async fn of_asking_for_authorization() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let with = |change: &dyn Fn(&mut v1::BeginAuthorizationRequest)| {
        let mut changed = rig.begin(&party);
        change(&mut changed);
        changed
    };
    for (request, code, expected, redirected) in [
        (with(&|r| r.client_id = "unknown".into()), Code::Unauthenticated, "invalid_client", false),
        (with(&|r| r.client_id = "no good id".into()), Code::Unauthenticated, "invalid_client", false),
        (with(&|r| r.redirect_uri = "https://evil.example/".into()), Code::InvalidArgument, "invalid_request", false),
        (with(&|r| r.scope = "x".repeat(8193)), Code::InvalidArgument, "invalid_request", false),
        (with(&|r| r.state = Some("x".repeat(8193))), Code::InvalidArgument, "invalid_request", true),
        (with(&|r| r.response_type.clear()), Code::InvalidArgument, "invalid_request", true),
        (with(&|r| r.response_type = "token".into()), Code::InvalidArgument, "unsupported_response_type", true),
        (with(&|r| r.code_challenge.clear()), Code::InvalidArgument, "invalid_request", true),
        (with(&|r| r.code_challenge = "short".into()), Code::InvalidArgument, "invalid_request", true),
        (with(&|r| r.code_challenge_method = "plain".into()), Code::InvalidArgument, "invalid_request", true),
        (with(&|r| r.resource = vec!["https://other.example".into()]), Code::InvalidArgument, "invalid_target", true),
    ] {
        let status = rig.tokens(Role::Flow).begin_authorization(request.clone()).await.unwrap_err();
        assert_eq!(told(&status), is(code, expected), "{request:?}");
        let uri = Reason::of(&status).unwrap().metadata.get(REDIRECT_URI).cloned();
        assert_eq!(uri.as_deref(), redirected.then_some(CALLBACK), "{expected}");
    }
    // A person who may not grant anything here.
    let stranger = v1::CreateUserRequest { groups: vec![], ..rig.user("stranger") };
    rig.identity(Role::Admin).create_user(stranger).await.unwrap();
    let sign_in = v1::SignInRequest { username: "stranger".into(), ..rig.sign_in() };
    let session = rig.identity(Role::Flow).sign_in(sign_in).await.unwrap().into_inner().session_secret;
    let begin = rig.begin(&Party { client_id: party.client_id.clone(), session });
    let status = rig.tokens(Role::Flow).begin_authorization(begin).await.unwrap_err();
    assert_eq!(told(&status), is(Code::PermissionDenied, "access_denied"));
}

#[tokio::test]
async fn of_a_decision() {
    let rig = Rig::new().await;
    let (party, other) = (rig.party().await, rig.party().await);
    let ticket = rig.ticket(&party).await;
    let mut forged = ticket.clone();
    forged.replace_range(ticket.len() - 8.., "AAAAAAAA");
    let nobody = Party { client_id: party.client_id.clone(), session: "x".into() };
    for (party, ticket, expected) in [
        (&party, "x", "ticket_expired"),
        (&party, forged.as_str(), "ticket_expired"),
        (&other, ticket.as_str(), "login_required"),
        (&nobody, ticket.as_str(), "login_required"),
    ] {
        let approve = rig.tokens(Role::Flow).approve_authorization(rig.approve(party, ticket)).await.unwrap_err();
        assert_eq!(told(&approve), is(Code::FailedPrecondition, expected), "{ticket}");
        let deny = rig.tokens(Role::Flow).deny_authorization(rig.deny(party, ticket)).await.unwrap_err();
        assert_eq!(told(&deny), is(Code::FailedPrecondition, expected), "{ticket}");
    }
    rig.tokens(Role::Flow).approve_authorization(rig.approve(&party, &ticket)).await.unwrap();
    // The code lives, but it is for who was asked.
    let status = rig.tokens(Role::Flow).approve_authorization(rig.approve(&other, &ticket)).await.unwrap_err();
    assert_eq!(told(&status), is(Code::FailedPrecondition, "login_required"));
}

#[tokio::test]
async fn of_the_token_endpoint() {
    let rig = Rig::new().await;
    let (party, other) = (rig.party().await, rig.party().await);
    let (code, pair) = (rig.code(&party).await, rig.pair(&party).await);
    let exchange = |change: &dyn Fn(&mut v1::IssueTokenRequest, &mut v1::AuthorizationCodeGrant)| {
        let mut request = rig.exchange(&party, &code);
        let Some(Sent::AuthorizationCode(mut grant)) = request.grant.take() else { unreachable!() };
        change(&mut request, &mut grant);
        v1::IssueTokenRequest { grant: Some(Sent::AuthorizationCode(grant)), ..request }
    };
    let refresh = |party: &Party, token: &str, resource: &[&str]| v1::IssueTokenRequest {
        resource: resource.iter().map(|text| (*text).to_owned()).collect(),
        ..rig.refresh(party, token)
    };
    let nobody = Party { client_id: "unknown".into(), session: String::new() };
    let elsewhere = "https://other.example/mcp";
    for (request, code, expected) in [
        (exchange(&|r, _| r.client = None), Code::Unauthenticated, "invalid_client"),
        (rig.exchange(&nobody, &code), Code::Unauthenticated, "invalid_client"),
        (rig.exchange(&nobody, "x"), Code::Unauthenticated, "invalid_client"),
        (refresh(&nobody, "x", &[]), Code::Unauthenticated, "invalid_client"),
        (refresh(&nobody, &pair.refresh_token, &[]), Code::Unauthenticated, "invalid_client"),
        (rig.exchange(&other, &code), Code::InvalidArgument, "invalid_grant"),
        (rig.exchange(&party, "x"), Code::InvalidArgument, "invalid_grant"),
        (exchange(&|_, g| g.code_verifier.clear()), Code::InvalidArgument, "invalid_request"),
        (exchange(&|_, g| g.code_verifier = VERIFIER.to_uppercase()), Code::InvalidArgument, "invalid_grant"),
        (exchange(&|_, g| g.redirect_uri = "http://localhost:1/".into()), Code::InvalidArgument, "invalid_grant"),
        (exchange(&|r, _| r.resource = vec![elsewhere.into()]), Code::InvalidArgument, "invalid_target"),
        (refresh(&other, &pair.refresh_token, &[]), Code::InvalidArgument, "invalid_grant"),
        (refresh(&party, &pair.access_token, &[]), Code::InvalidArgument, "invalid_grant"),
        (refresh(&party, "", &[]), Code::InvalidArgument, "invalid_grant"),
        (refresh(&party, &pair.refresh_token, &[elsewhere]), Code::InvalidArgument, "invalid_target"),
        (
            v1::IssueTokenRequest { grant: None, ..rig.exchange(&party, "") },
            Code::InvalidArgument,
            "unsupported_grant_type",
        ),
    ] {
        let status = rig.issued(request.clone()).await.unwrap_err();
        assert_eq!(told(&status), is(code, expected), "{request:?}");
        for secret in [&pair.refresh_token, &pair.access_token, &party.session] {
            assert!(!status.message().contains(secret.as_str()), "{expected}");
        }
    }
    // None of that used the code up, or harmed the grant.
    rig.issued(rig.exchange(&party, &code)).await.unwrap();
    assert!(rig.accepts(&pair.access_token).await);
    rig.issued(rig.refresh(&party, &pair.refresh_token)).await.unwrap();
}

#[tokio::test]
async fn of_a_client_with_a_secret() {
    let rig = Rig::new().await;
    let (client_id, secret) = confidential(&rig).await;
    let party = Party { client_id, session: rig.party().await.session };
    let code = rig.code(&party).await;
    let with = |secret: &str, mut request: v1::IssueTokenRequest| {
        request.client.as_mut().unwrap().client_secret = secret.into();
        request
    };
    let (_, others) = confidential(&rig).await;
    for wrong in ["", "x", others.as_str()] {
        let status = rig.issued(with(wrong, rig.exchange(&party, &code))).await.unwrap_err();
        assert_eq!(told(&status), is(Code::Unauthenticated, "invalid_client"));
    }
    let pair = rig.issued(with(&secret, rig.exchange(&party, &code))).await.unwrap();
    for wrong in ["", "x", others.as_str()] {
        let status = rig.issued(with(wrong, rig.refresh(&party, &pair.refresh_token))).await.unwrap_err();
        assert_eq!(told(&status), is(Code::Unauthenticated, "invalid_client"));
        let mut revoke = rig.revoke(&party, &pair.refresh_token);
        revoke.client.as_mut().unwrap().client_secret = wrong.into();
        let status = rig.tokens(Role::Flow).revoke_token(revoke).await.unwrap_err();
        assert_eq!(told(&status), is(Code::Unauthenticated, "invalid_client"));
    }
    assert!(rig.accepts(&pair.access_token).await);
    rig.issued(with(&secret, rig.refresh(&party, &pair.refresh_token))).await.unwrap();
}

#[tokio::test]
async fn of_signing_in_and_of_people() {
    let rig = Rig::new().await;
    let mut identity = rig.identity(Role::Admin);
    let mut wrongs = Vec::new();
    for (username, password) in [
        ("owner", "wrong password"),
        ("nobody", "wrong password"),
        ("", ""),
        ("own er", "x"),
        ("owner", &"x".repeat(1025)),
    ] {
        let request = v1::SignInRequest { username: username.into(), password: password.into(), ..rig.sign_in() };
        let status = identity.sign_in(request).await.unwrap_err();
        assert_eq!(told(&status), is(Code::Unauthenticated, "invalid_credentials"), "{username}");
        wrongs.push(status.message().to_owned());
    }
    wrongs.dedup();
    assert_eq!(wrongs.len(), 1, "it never says which was wrong");

    for (username, password) in [
        ("", "long enough"),
        ("a b", "long enough"),
        ("a{b}", "long enough"),
        ("a\u{7}", "long enough"),
        ("alice", "short"),
    ] {
        let create = v1::CreateUserRequest { password: password.into(), ..rig.user(username) };
        let status = identity.create_user(create).await.unwrap_err();
        assert_eq!(told(&status), is(Code::InvalidArgument, "invalid_request"), "{username} {password}");
    }
    let status = identity.create_user(rig.user(" OWNER ")).await.unwrap_err();
    assert_eq!(told(&status), is(Code::AlreadyExists, "user_exists"));
    let (username, password) = (String::from("nobody"), String::from("long enough"));
    let set = v1::SetPasswordRequest { request_id: rig.id(), username: username.clone(), password };
    assert_eq!(told(&identity.set_password(set).await.unwrap_err()), is(Code::NotFound, "unknown_user"));
    let delete = v1::DeleteUserRequest { request_id: rig.id(), username };
    assert_eq!(told(&identity.delete_user(delete).await.unwrap_err()), is(Code::NotFound, "unknown_user"));
}

#[tokio::test]
async fn of_trying_too_often() {
    let rig = Rig::new().await;
    let attempt = async |address: &str| {
        let password = "wrong password".into();
        let request = v1::SignInRequest { password, remote_address: address.into(), ..rig.sign_in() };
        rig.identity(Role::Flow).sign_in(request).await.unwrap_err()
    };
    let slowed = loop {
        let status = attempt("203.0.113.9").await;
        if status.code() != Code::Unauthenticated {
            break status;
        }
    };
    assert_eq!(told(&slowed), is(Code::ResourceExhausted, "slow_down"));
    // Nobody is locked out from elsewhere.
    let elsewhere = v1::SignInRequest { remote_address: "198.51.100.1".into(), ..rig.sign_in() };
    rig.identity(Role::Flow).sign_in(elsewhere).await.unwrap();
}
