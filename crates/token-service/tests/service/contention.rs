//! Many at once.

use std::collections::HashSet;

use futures::future::join_all;
use grantd_proto::{Role, v1};

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
