//! A person's address and groups change, and everything else of theirs goes on.

use futures::StreamExt as _;
use grantd_oauth_types::{AccessToken, Scope};
use grantd_proto::{
    Role,
    v1::{self, revocation_event::Event, verify_token_response::Result as Verdict},
};
use grantd_store::{Key, Store as _};
use tonic::Code;

use crate::{
    support::{Party, RESOURCE, Rig, reason},
    takeback::promote,
};

/// `write` is for `writers`; the resource for the group `owner`, as ever.
async fn rig() -> Rig {
    Rig::with(|policy| {
        policy.scopes.get_mut(&Scope::parse("write").unwrap()).unwrap().allow_groups = vec!["writers".into()];
    })
    .await
}

fn update(rig: &Rig, email: Option<&str>, groups: Option<&[&str]>) -> v1::UpdateUserRequest {
    v1::UpdateUserRequest {
        request_id: rig.id(),
        username: " Owner ".into(),
        email: email.map(str::to_owned),
        groups: groups.map(|names| v1::GroupList { names: names.iter().map(|name| (*name).to_owned()).collect() }),
    }
}

async fn set(rig: &Rig, email: Option<&str>, groups: Option<&[&str]>) -> v1::User {
    rig.identity(Role::Admin).update_user(update(rig, email, groups)).await.unwrap().into_inner()
}

/// What a gate is told of a token: the address, the groups, the scope.
async fn told(rig: &Rig, access: &str) -> Option<(String, Vec<String>, String)> {
    match rig.verify(access).await {
        Verdict::Allowed(allowed) => Some((allowed.email, allowed.groups, allowed.scope)),
        Verdict::Denied(_) => None,
    }
}

fn said(email: &str, groups: &[&str], scope: &str) -> Option<(String, Vec<String>, String)> {
    Some((email.to_owned(), groups.iter().map(|group| (*group).to_owned()).collect(), scope.to_owned()))
}

/// Somebody in these groups, whose client has all that they may give.
async fn in_groups(rig: &Rig, groups: &[&str]) -> (Party, v1::IssueTokenResponse) {
    set(rig, None, Some(groups)).await;
    let party = rig.party().await;
    let pair = rig.pair(&party).await;
    (party, pair)
}

#[tokio::test]
async fn tokens_that_are_out_there_follow_and_nothing_ends() {
    let rig = rig().await;
    let (party, pair) = in_groups(&rig, &["owner", "writers"]).await;
    assert_eq!(told(&rig, &pair.access_token).await, said("", &["owner", "writers"], "read write"));
    let id = rig.grant_of(&pair.access_token).await;
    let mut watch =
        rig.tokens(Role::Verify).watch_revocations(v1::WatchRevocationsRequest {}).await.unwrap().into_inner();

    let user = set(&rig, Some("o@example.com"), None).await;
    assert_eq!((user.email.as_str(), user.groups.len()), ("o@example.com", 2));
    assert_eq!(told(&rig, &pair.access_token).await, said("o@example.com", &["owner", "writers"], "read write"));
    while watch.next().await.unwrap().unwrap().event != Some(Event::SupersededGrant(id.clone())) {}

    // A group less: what needed it goes as well, and open streams are to be cut.
    let less = set(&rig, None, Some(&["owner"])).await;
    assert_eq!((less.subject.as_str(), less.email.as_str()), (user.subject.as_str(), "o@example.com"));
    assert_eq!(told(&rig, &pair.access_token).await, said("o@example.com", &["owner"], "read"));
    while watch.next().await.unwrap().unwrap().event != Some(Event::ChangedGrant(id.clone())) {}

    // The session, the grant and its refresh token go on, and the scope comes back with the group.
    let session = v1::GetSessionRequest { session_secret: party.session.clone() };
    let session = rig.identity(Role::Flow).get_session(session).await.unwrap().into_inner();
    assert_eq!(session.user, Some(less));
    let next = rig.issued(rig.refresh(&party, &pair.refresh_token)).await.unwrap();
    assert_eq!(next.scope, "read");
    set(&rig, Some(""), Some(&["writers", "owner"])).await;
    assert_eq!(told(&rig, &next.access_token).await, said("", &["writers", "owner"], "read write"));
    let question = v1::VerifyGrantRequest { grant_id: id, resource: RESOURCE.into(), required_scopes: vec![] };
    let answer = rig.tokens(Role::Verify).verify_grant(question).await.unwrap().into_inner().result.unwrap();
    assert!(matches!(answer, Verdict::Allowed(allowed) if allowed.groups == ["writers", "owner"]));
    rig.issued(rig.refresh(&party, &next.refresh_token)).await.unwrap();
}

#[tokio::test]
async fn a_grant_that_rested_on_the_group_is_revoked() {
    let rig = rig().await;
    let (party, pair) = in_groups(&rig, &["owner"]).await;
    let id = rig.grant_of(&pair.access_token).await;
    let mut watch =
        rig.tokens(Role::Verify).watch_revocations(v1::WatchRevocationsRequest {}).await.unwrap().into_inner();
    set(&rig, None, Some(&[])).await;
    assert_eq!(told(&rig, &pair.access_token).await, None);
    while watch.next().await.unwrap().unwrap().event != Some(Event::RevokedGrant(id.clone())) {}
    let status = rig.issued(rig.refresh(&party, &pair.refresh_token)).await.unwrap_err();
    assert_eq!(reason(&status), "invalid_grant");
    // They are still signed in, and may agree again once they are in the group.
    set(&rig, None, Some(&["owner"])).await;
    let pair = rig.pair(&party).await;
    assert!(rig.accepts(&pair.access_token).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_lose_no_update() {
    let rig = rig().await;
    for round in 0..20 {
        let email = format!("{round}@example.com");
        let group = round.to_string();
        let groups = ["owner", group.as_str()];
        tokio::join!(set(&rig, Some(&email), None), set(&rig, None, Some(&groups)));
        let users = rig.identity(Role::Admin).list_users(v1::ListUsersRequest::default()).await.unwrap().into_inner();
        assert_eq!((&users.users[0].email, &users.users[0].groups[1]), (&email, &group));
    }
}

#[tokio::test]
async fn a_change_during_an_exchange_or_a_refresh_is_in_its_tokens() {
    let rig = rig().await;
    for what in ["exchange", "refresh"] {
        let (party, pair) = in_groups(&rig, &["owner", "writers"]).await;
        let request = match what {
            "exchange" => rig.exchange(&party, &rig.code(&party).await),
            _ => rig.refresh(&party, &pair.refresh_token),
        };
        // It has looked at the person, and is about to write.
        let held = rig.faults.hold();
        let change = async {
            held.arrived.notified().await;
            set(&rig, Some("new@example.com"), Some(&["owner"])).await;
            held.go.notify_one();
        };
        let (answer, ()) = tokio::join!(rig.issued(request.clone()), change);
        let access = answer.unwrap().access_token;
        assert_eq!(told(&rig, &access).await, said("new@example.com", &["owner"], "read"), "{what}");
        assert_eq!(rig.issued(request).await.unwrap().access_token, access, "{what}, sent again");
        set(&rig, Some(""), None).await;
    }
}

#[tokio::test]
async fn a_change_that_was_cut_short_is_finished_by_sending_it_again() {
    for nth in 0..4 {
        for happens in [false, true] {
            let rig = rig().await;
            let (_, pair) = in_groups(&rig, &["owner", "writers"]).await;
            let request = update(&rig, None, Some(&["owner"]));
            // The record of the person, then the grant; each is tried twice by the service itself.
            rig.fail(nth, 2, happens);
            let mut identity = rig.identity(Role::Admin);
            let first = identity.update_user(request.clone()).await;
            rig.fail(0, 0, false);
            if let Err(status) = &first {
                assert_eq!(status.code(), Code::Unavailable, "{nth} {happens}");
                identity.update_user(request).await.unwrap();
            }
            assert_eq!(told(&rig, &pair.access_token).await, said("", &["owner"], "read"), "{nth} {happens}");
        }
    }
}

#[tokio::test]
async fn what_a_failover_undid_is_changed_again() {
    let rig = rig().await;
    let (_, pair) = in_groups(&rig, &["owner", "writers"]).await;
    let id = rig.grant_of(&pair.access_token).await;
    let access = AccessToken::parse(&pair.access_token).unwrap();
    let person = Key::user("owner");
    let keys = [person, Key::grant(&id), Key::access(&id, &access.digest().to_string())];
    let before = rig.raw.get(&keys).await.unwrap();
    set(&rig, None, Some(&["owner"])).await;

    // Of the person and the grant, or (in a Cluster) of the grant alone.
    for lost in [&keys[..], &keys[1..]] {
        let entries = before.entries[keys.len() - lost.len()..].to_vec();
        promote(&rig, lost, grantd_store::Snapshot { now: before.now, entries }).await;
        assert_eq!(told(&rig, &pair.access_token).await, said("", &["owner", "writers"], "read write"));
        rig.gap();
        while told(&rig, &pair.access_token).await != said("", &["owner"], "read") {
            tokio::task::yield_now().await;
        }
    }
    let users = rig.identity(Role::Admin).list_users(v1::ListUsersRequest::default()).await.unwrap().into_inner();
    assert_eq!(users.users[0].groups, ["owner"]);
}

#[tokio::test]
async fn a_change_that_cannot_be_is_refused() {
    let rig = rig().await;
    let mut identity = rig.identity(Role::Admin);
    let nobody = v1::UpdateUserRequest { username: "nobody".into(), ..update(&rig, Some("a@example.com"), None) };
    let status = identity.update_user(nobody).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "unknown_user"));
    for request in [
        update(&rig, Some("a b"), None),
        update(&rig, None, Some(&[""])),
        update(&rig, None, Some(&["a\nb"])),
        v1::UpdateUserRequest { request_id: vec![1; 31], ..update(&rig, None, None) },
        v1::UpdateUserRequest { username: String::new(), ..update(&rig, None, None) },
    ] {
        let status = identity.update_user(request).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "invalid_request"));
    }
    // Nothing is named, so nothing changes.
    let same = set(&rig, None, None).await;
    assert_eq!((same.username.as_str(), same.groups.as_slice()), ("owner", &["owner".to_owned()][..]));
}
