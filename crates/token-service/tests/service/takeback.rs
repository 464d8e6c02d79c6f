//! Taking back what was given: at once, and told to every watcher.

use futures::StreamExt as _;
use grantd_oauth_types::{AccessToken, AuthorizationCode};
use grantd_proto::{
    Role,
    v1::{self, revocation_event::Event},
};

use grantd_store::{Batch, CommitId, CommitOutcome, Key, Put, Snapshot, Store as _};

use crate::support::{PASSWORD, Party, RESOURCE, Rig, reason};

async fn grant_of(rig: &Rig, access: &str) -> String {
    let question = v1::IntrospectTokenRequest { token: access.into(), ..Default::default() };
    rig.tokens(Role::Verify).introspect_token(question).await.unwrap().into_inner().grant_id
}

async fn is_dead(rig: &Rig, party: &Party, pair: &v1::IssueTokenResponse) {
    assert!(!rig.accepts(&pair.access_token).await);
    let status = rig.issued(rig.refresh(party, &pair.refresh_token)).await.unwrap_err();
    assert!(["invalid_grant", "invalid_client"].contains(&reason(&status).as_str()), "{status:?}");
    for token in [&pair.access_token, &pair.refresh_token] {
        let question = v1::IntrospectTokenRequest { token: token.clone(), ..Default::default() };
        let answer = rig.tokens(Role::Verify).introspect_token(question).await.unwrap().into_inner();
        assert_eq!(answer, v1::IntrospectTokenResponse::default(), "nothing but inactive");
    }
}

#[tokio::test]
async fn a_revoked_grant_ends_at_once_and_every_watcher_hears_of_it() {
    let rig = Rig::new().await;
    let (party, other) = (rig.party().await, rig.party().await);
    let (pair, others) = (rig.pair(&party).await, rig.pair(&other).await);
    let id = grant_of(&rig, &pair.access_token).await;
    let mut admin = rig.tokens(Role::Admin);
    let grant = admin.get_grant(v1::GetGrantRequest { grant_id: id.clone() }).await.unwrap().into_inner();
    assert_eq!((grant.client_id.as_str(), grant.resource.as_str()), (party.client_id.as_str(), RESOURCE));
    let watch = || async {
        rig.tokens(Role::Verify).watch_revocations(v1::WatchRevocationsRequest {}).await.unwrap().into_inner()
    };
    let (mut one, mut two) = (watch().await, watch().await);
    admin.revoke_grant(v1::RevokeGrantRequest { request_id: rig.id(), grant_id: id.clone() }).await.unwrap();
    is_dead(&rig, &party, &pair).await;
    assert!(rig.accepts(&others.access_token).await);
    for watch in [&mut one, &mut two] {
        while watch.next().await.unwrap().unwrap().event != Some(Event::RevokedGrant(id.clone())) {}
    }
    // A rotation is told as well.
    rig.issued(rig.refresh(&other, &others.refresh_token)).await.unwrap();
    while !matches!(one.next().await.unwrap().unwrap().event, Some(Event::SupersededGrant(_))) {}
    let question = v1::VerifyGrantRequest { grant_id: id, resource: RESOURCE.into(), required_scopes: vec![] };
    let answer = rig.tokens(Role::Verify).verify_grant(question).await.unwrap().into_inner().result.unwrap();
    assert!(matches!(answer, v1::verify_token_response::Result::Denied(_)));
}

#[tokio::test]
async fn a_grant_stands_while_its_tokens_change() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let first = rig.pair(&party).await;
    let grant_id = grant_of(&rig, &first.access_token).await;
    rig.issued(rig.refresh(&party, &first.refresh_token)).await.unwrap();
    rig.clock.advance(2 * 3600);
    for (grant_id, resource, scopes, stands) in [
        (grant_id.as_str(), RESOURCE, &[][..], true),
        (grant_id.as_str(), RESOURCE, &["read"], true),
        (grant_id.as_str(), RESOURCE, &["admin"], false),
        (grant_id.as_str(), "https://other.example/mcp", &[], false),
        ("AAAAAAAAAAAAAAAAAAAAAA", RESOURCE, &[], false),
        ("x", RESOURCE, &[], false),
    ] {
        let question = v1::VerifyGrantRequest {
            grant_id: grant_id.into(),
            resource: resource.into(),
            required_scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        let answer = rig.tokens(Role::Verify).verify_grant(question).await.unwrap().into_inner().result.unwrap();
        let allowed = matches!(answer, v1::verify_token_response::Result::Allowed(_));
        assert_eq!(allowed, stands, "{grant_id} {resource} {scopes:?}");
    }
}

/// A replica is promoted that never heard of what came after `before`.
pub(crate) async fn promote(rig: &Rig, keys: &[Key], before: Snapshot) {
    for (n, (key, entry)) in keys.iter().zip(before.entries).enumerate() {
        let entry = entry.unwrap();
        let put = Put { key: key.clone(), value: entry.value, expires_at: entry.expires_at };
        let id = CommitId([u8::try_from(n).unwrap(); 16]);
        let undo = Batch { id, preconditions: vec![], puts: vec![put], deletes: vec![], announce: vec![] };
        assert_eq!(rig.raw.commit(undo).await.unwrap(), CommitOutcome::Committed);
    }
}

#[tokio::test]
async fn what_a_failover_brought_back_goes_again() {
    let rig = Rig::new().await;
    let (mut tokens, mut identity) = (rig.tokens(Role::Admin), rig.identity(Role::Admin));
    for name in ["gone", "changed"] {
        let password = format!("the password of {name}");
        let user = v1::CreateUserRequest {
            request_id: rig.id(),
            username: name.into(),
            password,
            email: String::new(),
            groups: vec![],
        };
        identity.create_user(user).await.unwrap();
    }
    let party = rig.party().await;
    let keys = [Key::client(&party.client_id), Key::user("gone"), Key::user("changed")];
    let before = rig.raw.get(&keys).await.unwrap();
    let client_id = party.client_id.clone();
    tokens
        .delete_client(v1::DeleteClientRequest { request_id: rig.id(), client_id, ..Default::default() })
        .await
        .unwrap();
    identity.delete_user(v1::DeleteUserRequest { request_id: rig.id(), username: "gone".into() }).await.unwrap();
    let password = "a better password".to_owned();
    let change = v1::SetPasswordRequest { request_id: rig.id(), username: "changed".into(), password };
    identity.set_password(change).await.unwrap();
    let after = rig.raw.get(&keys).await.unwrap();

    promote(&rig, &keys, before).await;
    assert!(rig.raw.get(&keys).await.unwrap().entries.iter().all(Option::is_some));
    rig.gap();
    let values =
        |snapshot: Snapshot| snapshot.entries.into_iter().map(|entry| entry.map(|e| e.value)).collect::<Vec<_>>();
    let after = values(after);
    assert!(after[0].is_none() && after[1].is_none());
    while values(rig.raw.get(&keys).await.unwrap()) != after {
        tokio::task::yield_now().await;
    }

    // Not somebody new of the same name, nor a password that is newer.
    let user = v1::CreateUserRequest {
        request_id: rig.id(),
        username: "gone".into(),
        password: "another person's".into(),
        email: String::new(),
        groups: vec![],
    };
    identity.create_user(user).await.unwrap();
    let password = "an even better password".to_owned();
    let change = v1::SetPasswordRequest { request_id: rig.id(), username: "changed".into(), password };
    identity.set_password(change).await.unwrap();
    let after = values(rig.raw.get(&keys).await.unwrap());
    // What was taken back last is taken back again last.
    let pair = rig.pair(&rig.party().await).await;
    let id = grant_of(&rig, &pair.access_token).await;
    let access = AccessToken::parse(&pair.access_token).unwrap();
    let last = [Key::grant(&id), Key::access(&id, &access.digest().to_string())];
    let before = rig.raw.get(&last).await.unwrap();
    tokens.revoke_grant(v1::RevokeGrantRequest { request_id: rig.id(), grant_id: id }).await.unwrap();
    promote(&rig, &last, before).await;
    rig.gap();
    while rig.accepts(&pair.access_token).await {
        tokio::task::yield_now().await;
    }
    assert_eq!(values(rig.raw.get(&keys).await.unwrap()), after);
}

#[tokio::test]
async fn a_revocation_that_a_failover_undid_is_committed_again() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let pair = rig.pair(&party).await;
    let id = grant_of(&rig, &pair.access_token).await;
    let access = AccessToken::parse(&pair.access_token).unwrap();
    let keys = [Key::grant(&id), Key::access(&id, &access.digest().to_string())];
    let before = rig.raw.get(&keys).await.unwrap();
    let mut admin = rig.tokens(Role::Admin);
    admin.revoke_grant(v1::RevokeGrantRequest { request_id: rig.id(), grant_id: id.clone() }).await.unwrap();
    is_dead(&rig, &party, &pair).await;

    promote(&rig, &keys, before).await;
    assert!(rig.accepts(&pair.access_token).await);
    rig.gap();
    while rig.accepts(&pair.access_token).await {
        tokio::task::yield_now().await;
    }
    is_dead(&rig, &party, &pair).await;
}

#[tokio::test]
async fn a_token_by_its_own_client_only() {
    let rig = Rig::new().await;
    let (party, thief) = (rig.party().await, rig.party().await);
    let revoke = async |who: &Party, token: &str| {
        let request = v1::RevokeTokenRequest {
            request_id: rig.id(),
            client: Some(v1::ClientAuthentication {
                client_id: who.client_id.clone(),
                ..v1::ClientAuthentication::default()
            }),
            token: token.into(),
        };
        rig.tokens(Role::Flow).revoke_token(request).await.unwrap();
    };
    for kind in ["access", "refresh"] {
        let pair = rig.pair(&party).await;
        let token = if kind == "access" { &pair.access_token } else { &pair.refresh_token };
        revoke(&thief, token).await;
        // Unknown tokens are no error (RFC 7009).
        revoke(&party, "unknown").await;
        assert!(rig.accepts(&pair.access_token).await, "{kind}");
        revoke(&party, token).await;
        is_dead(&rig, &party, &pair).await;
    }
}

#[tokio::test]
async fn deleting_a_client_or_a_person_ends_their_grants() {
    for what in ["client", "user", "password"] {
        let rig = Rig::new().await;
        let party = rig.party().await;
        let pair = rig.pair(&party).await;
        let code = rig.code(&party).await;
        let (mut tokens, mut identity) = (rig.tokens(Role::Admin), rig.identity(Role::Admin));
        match what {
            "client" => {
                let request = v1::DeleteClientRequest {
                    request_id: rig.id(),
                    client_id: party.client_id.clone(),
                    ..Default::default()
                };
                tokens.delete_client(request).await.unwrap();
            }
            "user" => {
                let request = v1::DeleteUserRequest { request_id: rig.id(), username: "owner".into() };
                identity.delete_user(request).await.unwrap();
            }
            _ => {
                let password = "another good password".to_owned();
                let request = v1::SetPasswordRequest { request_id: rig.id(), username: "owner".into(), password };
                identity.set_password(request).await.unwrap();
            }
        }
        is_dead(&rig, &party, &pair).await;
        let status = rig.issued(rig.exchange(&party, &code)).await.unwrap_err();
        let expected = if what == "client" { "invalid_client" } else { "invalid_grant" };
        assert_eq!(reason(&status), expected, "a code that was given before: {what}");
        if what != "client" {
            let session = v1::GetSessionRequest { session_secret: party.session.clone() };
            assert_eq!(reason(&identity.get_session(session).await.unwrap_err()), "login_required");
        }
    }
}

#[tokio::test]
async fn what_ends_during_an_exchange_ends_its_grant() {
    for what in ["client", "user", "password"] {
        let rig = Rig::new().await;
        let party = rig.party().await;
        let code = rig.code(&party).await;
        let exchange = rig.exchange(&party, &code);
        // It has looked at everything, and is about to write.
        let held = rig.faults.hold();
        let take_back = async {
            held.arrived.notified().await;
            let (request_id, username) = (rig.id(), String::from("owner"));
            let (mut tokens, mut identity) = (rig.tokens(Role::Admin), rig.identity(Role::Admin));
            match what {
                "client" => {
                    let client_id = party.client_id.clone();
                    tokens
                        .delete_client(v1::DeleteClientRequest { request_id, client_id, ..Default::default() })
                        .await
                        .map(drop)
                        .unwrap();
                }
                "user" => {
                    identity.delete_user(v1::DeleteUserRequest { request_id, username }).await.map(drop).unwrap();
                }
                _ => {
                    let password = "another good password".into();
                    let request = v1::SetPasswordRequest { request_id, username, password };
                    identity.set_password(request).await.map(drop).unwrap();
                }
            }
            held.go.notify_one();
        };
        let mut watch =
            rig.tokens(Role::Verify).watch_revocations(v1::WatchRevocationsRequest {}).await.unwrap().into_inner();
        let (answer, ()) = tokio::join!(rig.issued(exchange.clone()), take_back);
        assert_eq!(answer.map_err(|status| reason(&status)), Err("invalid_grant".into()), "{what}");
        let id = AuthorizationCode::parse(&code).unwrap().grant_id.to_string();
        let grant = rig.tokens(Role::Admin).get_grant(v1::GetGrantRequest { grant_id: id.clone() }).await.unwrap();
        assert!(grant.into_inner().revoked, "{what}");
        while watch.next().await.unwrap().unwrap().event != Some(Event::RevokedGrant(id.clone())) {}
        rig.issued(exchange).await.unwrap_err();
    }
}

#[tokio::test]
async fn who_is_created_anew_inherits_nothing() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let pair = rig.pair(&party).await;
    let mut identity = rig.identity(Role::Admin);
    identity.delete_user(v1::DeleteUserRequest { request_id: rig.id(), username: "owner".into() }).await.unwrap();
    let again = v1::CreateUserRequest {
        request_id: rig.id(),
        username: "owner".into(),
        password: PASSWORD.into(),
        groups: vec!["owner".into()],
        ..v1::CreateUserRequest::default()
    };
    identity.create_user(again).await.unwrap();
    is_dead(&rig, &party, &pair).await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    let rig = Rig::new().await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..7 {
        ids.insert(rig.register().await);
    }
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListClientsRequest { page_size: 3, page_token };
        let page = rig.tokens(Role::Admin).list_clients(request).await.unwrap().into_inner();
        assert!(page.clients.len() <= 3);
        seen.extend(page.clients.into_iter().map(|client| client.client_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ids.into_iter().collect::<Vec<_>>());
}
