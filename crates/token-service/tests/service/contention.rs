//! Many at once.

use std::{collections::HashSet, time::Duration};

use futures::future::join_all;
use grantd_oauth_types::{AccessToken, AuthorizationCode, RefreshToken};
use grantd_proto::{Role, v1};
use grantd_store::{Entry, Key, Store as _};
use tonic::Code;

use crate::support::{Rig, reason};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_exchanged_once_however_many_try() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let code = rig.code(&party).await;
    let answers = join_all((0..12).map(|_| rig.issued(rig.exchange(&party, &code)))).await;
    let good: Vec<_> = answers.iter().flatten().collect();
    assert_eq!(good.len(), 1, "{answers:?}");
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(reason(refused), "invalid_grant");
    }
    // The others came with the verifier, so it was a replay.
    assert!(!rig.accepts(&good[0].access_token).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_gets_one_pair() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let first = rig.pair(&party).await;
    for _ in 0..5 {
        let answers = join_all((0..12).map(|_| rig.issued(rig.refresh(&party, &first.refresh_token)))).await;
        let pairs: HashSet<_> = answers
            .into_iter()
            .map(|answer| answer.unwrap())
            .map(|pair| (pair.access_token, pair.refresh_token))
            .collect();
        assert_eq!(pairs.len(), 1);
        assert!(rig.accepts(&pairs.iter().next().unwrap().0).await);
    }
}

/// The caller hangs up while its rotation is being written: it is written all the same, and siblings converge on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_whose_caller_hangs_up_is_finished() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let first = rig.pair(&party).await;
    let held = rig.faults.hold();
    let refresh = rig.refresh(&party, &first.refresh_token);
    {
        let mut call = std::pin::pin!(rig.issued(refresh.clone()));
        tokio::select! {
            answer = &mut call => unreachable!("its commit waits: {answer:?}"),
            () = held.arrived.notified() => {}
        }
    }
    held.go.notify_one();
    // Nobody asks for it, and the token of before ends.
    let begin = tokio::time::Instant::now();
    while rig.accepts(&first.access_token).await {
        assert!(begin.elapsed() < Duration::from_secs(30), "the rotation was not finished");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Whoever sends it again, and whoever holds the old token, gets its pair.
    let again = rig.issued(refresh).await.unwrap();
    assert_eq!(rig.issued(rig.refresh(&party, &first.refresh_token)).await.unwrap(), again);
    assert!(rig.accepts(&again.access_token).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approve_and_deny_at_once_come_to_one_decision() {
    for _ in 0..10 {
        let rig = Rig::new().await;
        let party = rig.party().await;
        let ticket = rig.ticket(&party).await;
        let deny = v1::DenyAuthorizationRequest {
            request_id: rig.id(),
            ticket: ticket.clone(),
            session_secret: party.session.clone(),
            remote_address: String::new(),
        };
        let (mut one, mut two) = (rig.tokens(Role::Flow), rig.tokens(Role::Flow));
        let (approved, denied) =
            tokio::join!(one.approve_authorization(rig.approve(&party, &ticket)), two.deny_authorization(deny));
        assert!(approved.is_ok() != denied.is_ok(), "{approved:?} {denied:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_taken_once() {
    let rig = Rig::new().await;
    let create = |n: usize| {
        let mut identity = rig.identity(Role::Admin);
        let request = v1::CreateUserRequest {
            request_id: rig.id(),
            username: "alice".into(),
            password: format!("the password of {n}"),
            ..v1::CreateUserRequest::default()
        };
        async move { identity.create_user(request).await.map(tonic::Response::into_inner) }
    };
    let answers = join_all((0..6).map(create)).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(reason(refused), "user_exists");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_sent_many_times_at_once_is_answered_alike() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let code = rig.code(&party).await;
    let exchange = rig.exchange(&party, &code);
    let answers = join_all((0..12).map(|_| rig.issued(exchange.clone()))).await;
    let first = answers[0].clone().unwrap();
    assert!(answers.into_iter().all(|answer| answer.unwrap() == first));
    let refresh = rig.refresh(&party, &first.refresh_token);
    let answers = join_all((0..12).map(|_| rig.issued(refresh.clone()))).await;
    let second = answers[0].clone().unwrap();
    assert!(answers.into_iter().all(|answer| answer.unwrap() == second));
    assert!(rig.accepts(&second.access_token).await);

    let (registration, sign_in, begin) = (rig.registration(), rig.sign_in(), rig.begin(&party));
    let registered = join_all((0..12).map(|_| {
        let (mut tokens, request) = (rig.tokens(Role::Flow), registration.clone());
        async move { tokens.register_client(request).await.unwrap().into_inner() }
    }));
    let registered = registered.await;
    assert!(registered.iter().all(|answer| *answer == registered[0]));
    let begun = join_all((0..12).map(|_| {
        let (mut tokens, request) = (rig.tokens(Role::Flow), begin.clone());
        async move { tokens.begin_authorization(request).await.unwrap().into_inner() }
    }));
    let begun = begun.await;
    assert!(begun.iter().all(|answer| *answer == begun[0]));
    let signed_in = join_all((0..4).map(|_| {
        let (mut identity, request) = (rig.identity(Role::Flow), sign_in.clone());
        async move { identity.sign_in(request).await.unwrap().into_inner() }
    }));
    let signed_in = signed_in.await;
    assert!(signed_in.iter().all(|answer| *answer == signed_in[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clicks_give_one_code() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let ticket = rig.ticket(&party).await;
    let answers = join_all((0..12).map(|_| {
        let (mut tokens, request) = (rig.tokens(Role::Flow), rig.approve(&party, &ticket));
        async move { tokens.approve_authorization(request).await.unwrap().into_inner() }
    }));
    let answers = answers.await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

/// Everything there is of a grant.
async fn records(rig: &Rig, keys: &[Key]) -> Vec<Option<Entry>> {
    rig.raw.get(keys).await.unwrap().entries
}

#[tokio::test]
async fn who_never_wins_is_told_to_come_again_and_has_written_nothing() {
    let rig = Rig::new().await;
    let party = rig.party().await;
    let (code, pair) = (rig.code(&party).await, rig.pair(&party).await);
    let id = rig.grant_of(&pair.access_token).await;
    let access = AccessToken::parse(&pair.access_token).unwrap().digest().to_string();
    let refresh = RefreshToken::parse(&pair.refresh_token).unwrap().digest().to_string();
    let code_of = AuthorizationCode::parse(&code).unwrap();
    let (new, digest) = (code_of.grant_id.to_string(), code_of.digest().to_string());
    let keys = [
        Key::grant(&id),
        Key::access(&id, &access),
        Key::refresh(&id, &refresh),
        Key::grant(&new),
        Key::code(&new, &digest),
        Key::client(&party.client_id),
        Key::user("owner"),
    ];
    let before = records(&rig, &keys).await;
    let revoke = v1::RevokeGrantRequest { request_id: rig.id(), grant_id: id.clone() };
    let remove = v1::DeleteUserRequest { request_id: rig.id(), username: "owner".into() };
    let (exchange, refreshed) = (rig.exchange(&party, &code), rig.refresh(&party, &pair.refresh_token));

    // Paused, so that nobody waits between the attempts.
    tokio::time::pause();
    rig.faults.conflict(usize::MAX);
    let refused = [
        rig.issued(exchange.clone()).await.err(),
        rig.issued(refreshed.clone()).await.err(),
        rig.tokens(Role::Admin).revoke_grant(revoke).await.err(),
        rig.identity(Role::Admin).delete_user(remove).await.err(),
    ];
    rig.faults.heal();
    tokio::time::resume();
    for status in refused {
        let status = status.unwrap();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "temporarily_unavailable"));
    }
    assert_eq!(records(&rig, &keys).await, before);
    // Sent again, both are done.
    assert!(rig.accepts(&rig.issued(exchange).await.unwrap().access_token).await);
    assert!(rig.accepts(&rig.issued(refreshed).await.unwrap().access_token).await);
}
