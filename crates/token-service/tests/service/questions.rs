//! What may be asked: introspection and lists.

use std::collections::BTreeSet;

use grantd_oauth_types::{Scope, ScopeSet};
use grantd_proto::{
    Role,
    v1::{self, verify_token_response::Result as Verdict},
};
use tonic::Code;

use crate::support::{PASSWORD, Party, RESOURCE, Rig, reason};

async fn introspect(rig: &Rig, token: &str) -> v1::IntrospectTokenResponse {
    let question = v1::IntrospectTokenRequest { token: token.into(), ..Default::default() };
    rig.tokens(Role::Verify).introspect_token(question).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_token_that_works_is_described() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let pair = rig.pair(&party).await;
    let session = v1::GetSessionRequest { session_secret: party.session.clone() };
    let user = rig.identity(Role::Flow).get_session(session).await.unwrap().into_inner().user.unwrap();
    for (token, token_use, life) in
        [(&pair.access_token, "access_token", 3600), (&pair.refresh_token, "refresh_token", 30 * 24 * 3600)]
    {
        let before = introspect(&rig, token).await;
        rig.clock.advance(10);
        let answer = introspect(&rig, token).await;
        let expected = v1::IntrospectTokenResponse {
            active: true,
            scope: "read write".into(),
            client_id: party.client_id.clone(),
            username: "owner".into(),
            token_use: token_use.into(),
            subject: user.subject.clone(),
            audience: RESOURCE.into(),
            expires_in: before.expires_in - 10,
            grant_id: rig.grant_of(&pair.access_token).await,
            expires_at: before.expires_at,
        };
        assert_eq!(answer, expected);
        assert!((life - 20..=life).contains(&answer.expires_in), "{answer:?}");
    }
}

/// Who asks by introspection hears what a gate hears: RFC 7662 and the bearer check are about the same token.
#[tokio::test]
async fn what_a_scope_implies_is_told_whichever_way_is_asked() {
    let write = Scope::parse("write").unwrap();
    let rig = Rig::with(|policy| {
        policy.scopes.get_mut(&write).unwrap().implies = ScopeSet::parse_lenient("read");
        policy.resources[0].default_scopes = ScopeSet::parse_lenient("write");
    })
    .await;
    let party = rig.party().await;
    let pair = rig.pair(&party).await;
    assert_eq!(pair.scope, "write", "the response says what was granted");
    let question = v1::VerifyTokenRequest {
        access_token: pair.access_token.clone(),
        resource: RESOURCE.into(),
        ..Default::default()
    };
    let verdict = rig.tokens(Role::Verify).verify_token(question).await.unwrap().into_inner().result;
    let Some(Verdict::Allowed(allowed)) = verdict else { panic!("{verdict:?}") };
    assert_eq!(allowed.scope, "read write");
    for token in [&pair.access_token, &pair.refresh_token] {
        assert_eq!(introspect(&rig, token).await.scope, allowed.scope);
    }
}

#[tokio::test]
async fn of_a_token_that_does_not_work_nothing_is_said() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let code = rig.code(&party).await;
    let first = rig.issued(rig.exchange(&party, &code)).await.unwrap();
    let second = rig.issued(rig.refresh(&party, &first.refresh_token)).await.unwrap();
    let mut guess = second.refresh_token.clone();
    guess.replace_range(guess.len() - 8.., "AAAAAAAA");
    for token in ["", "x", &code, &party.session, &party.client_id, &first.access_token, &guess] {
        assert_eq!(introspect(&rig, token).await, v1::IntrospectTokenResponse::default(), "{token}");
    }
    // Inside the overlap the token before the current one still works.
    assert!(introspect(&rig, &first.refresh_token).await.active);
    rig.clock.advance(3600);
    assert_eq!(introspect(&rig, &second.access_token).await, v1::IntrospectTokenResponse::default());
    assert!(introspect(&rig, &second.refresh_token).await.active);
    rig.clock.advance(30 * 24 * 3600);
    assert_eq!(introspect(&rig, &second.refresh_token).await, v1::IntrospectTokenResponse::default());
}

#[tokio::test]
async fn grants_are_listed_by_whose_they_are() {
    let rig = Rig::new().await;
    let (one, other) = (rig.party().await, rig.register().await);
    let (at_other, alice) =
        (Party { client_id: other.clone(), session: one.session.clone() }, rig.person("alice", &other).await);
    let mut ids = Vec::new();
    for party in [&one, &one, &at_other, &alice] {
        ids.push(rig.grant_of(&rig.pair(party).await.access_token).await);
    }
    let mut tokens = rig.tokens(Role::Admin);
    let subject = async |id: &str| {
        let grant = rig.tokens(Role::Admin).get_grant(v1::GetGrantRequest { grant_id: id.into() }).await.unwrap();
        grant.into_inner().subject
    };
    let (owner, alice) = (subject(&ids[0]).await, subject(&ids[3]).await);
    let of = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>();
    for (subject, client_id, expected) in [
        ("", "", of(&ids)),
        (owner.as_str(), "", of(&ids[..3])),
        (alice.as_str(), "", of(&ids[3..])),
        ("", one.client_id.as_str(), of(&ids[..2])),
        ("", other.as_str(), of(&ids[2..])),
        ("nobody", "", BTreeSet::new()),
        ("", "nothing", BTreeSet::new()),
    ] {
        for page_size in [0, 1, 2, 1000, u32::MAX] {
            let (mut listed, mut page_token) = (Vec::new(), String::new());
            loop {
                let (subject, client_id) = (subject.into(), client_id.into());
                let page = v1::ListGrantsRequest { subject, client_id, page_size, page_token };
                let page = tokens.list_grants(page).await.unwrap().into_inner();
                assert!(page_size == 0 || page.grants.len() <= page_size as usize);
                listed.extend(page.grants.into_iter().map(|grant| grant.grant_id));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            assert_eq!(listed, expected.iter().cloned().collect::<Vec<_>>(), "in order, each once");
        }
    }
    let both = v1::ListGrantsRequest { subject: owner, client_id: other, ..v1::ListGrantsRequest::default() };
    let status = tokens.list_grants(both).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "invalid_request"));

    // What was taken back is not listed; it can be read.
    let revoke = v1::RevokeGrantRequest { request_id: rig.id(), grant_id: ids[0].clone() };
    tokens.revoke_grant(revoke).await.unwrap();
    let listed = tokens.list_grants(v1::ListGrantsRequest::default()).await.unwrap().into_inner().grants;
    assert_eq!(listed.len(), 3);
    let grant = tokens.get_grant(v1::GetGrantRequest { grant_id: ids[0].clone() }).await.unwrap().into_inner();
    assert!(grant.revoked && grant.generation == 0);
    // Nor what ended by itself.
    rig.clock.advance(30 * 24 * 3600);
    assert!(tokens.list_grants(v1::ListGrantsRequest::default()).await.unwrap().into_inner().grants.is_empty());
    let status = tokens.get_grant(v1::GetGrantRequest { grant_id: ids[0].clone() }).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "unknown_grant"));
}

#[tokio::test]
async fn people_are_listed_in_pages_and_never_with_their_password() {
    let rig = Rig::new().await;
    let mut identity = rig.identity(Role::Admin);
    for name in ["dora", "alice", "Carol", "bob"] {
        let user = v1::CreateUserRequest { email: format!("{name}@example.com"), ..rig.user(name) };
        identity.create_user(user).await.unwrap();
    }
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = identity.list_users(v1::ListUsersRequest { page_size: 2, page_token }).await.unwrap().into_inner();
        assert!(page.users.len() <= 2);
        let told = format!("{page:?}");
        assert!(!told.contains(PASSWORD) && !told.contains("argon2"));
        names.extend(page.users.into_iter().map(|user| user.username));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["alice", "bob", "carol", "dora", "owner"]);
}
