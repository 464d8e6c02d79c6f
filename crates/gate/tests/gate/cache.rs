//! How long an answer is trusted, and what ends that.

use std::{sync::Arc, time::Duration};

use grantd_proto::v1::{self, TokenAllowed, revocation_event::Event, token_denied::Reason};
use tokio::sync::Semaphore;

use crate::{
    script::{allow, deny, person},
    support::{Running, config, listen, ok, token, until},
};

#[tokio::test]
async fn an_answer_is_kept_for_its_token_and_its_resource() {
    let mut config = config(&listen(ok).await);
    let mut other = config.resources[0].clone();
    other.identifier = config.public_url.resource("/other");
    other.paths = vec!["/other".into()];
    config.resources.push(other);
    let running = Running::with(config).await;
    for _ in 0..3 {
        assert_eq!(running.status(1).await, 200);
    }
    assert_eq!(running.script.asked(), 1);
    assert_eq!(running.status(2).await, 200);
    assert_eq!(running.script.asked(), 2, "another token");
    let elsewhere = running.request(reqwest::Method::POST, "/other").bearer_auth(token(1));
    assert_eq!(elsewhere.send().await.unwrap().status(), 200);
    assert_eq!(running.script.asked(), 3, "another resource");
    assert!(running.script.questions()[2].resource.ends_with("/other"));
}

#[tokio::test]
async fn refusals_and_failures_are_not_kept() {
    let running = Running::before(ok).await;
    running.script.tokens(|| deny(Reason::Inactive, ""));
    assert_eq!(running.status(1).await, 401);
    running.script.tokens(|| Err(tonic::Status::unavailable("")));
    assert_eq!(running.status(1).await, 503);
    running.script.tokens(|| allow(person()));
    assert_eq!(running.status(1).await, 200, "a token that was just issued works at once");
    // Where nobody could answer it was asked three times.
    assert_eq!(running.script.asked(), 1 + 3 + 1);
}

#[tokio::test]
async fn what_a_token_service_took_along_is_asked_again() {
    let running = Running::before(ok).await;
    let script = running.script.clone();
    running.script.tokens(move || {
        if script.asked() < 2 { Err(tonic::Status::unknown("the connection closed")) } else { allow(person()) }
    });
    assert_eq!(running.status(1).await, 200);
    assert_eq!(running.script.asked(), 2);
}

#[tokio::test]
async fn with_no_age_every_call_asks() {
    let mut config = config(&listen(ok).await);
    config.cache_max_age = Duration::ZERO;
    let running = Running::with(config).await;
    for n in 1..4 {
        assert_eq!(running.status(1).await, 200);
        assert_eq!(running.script.asked(), n);
    }
}

#[tokio::test]
async fn an_answer_is_not_trusted_beyond_its_age_or_its_token() {
    // By age.
    let mut aged = config(&listen(ok).await);
    aged.cache_max_age = Duration::from_millis(30);
    let running = Running::with(aged).await;
    assert_eq!(running.status(1).await, 200);
    running.script.tokens(|| deny(Reason::Inactive, ""));
    while running.status(1).await == 200 {}
    // By the end of the token, which comes first.
    let running = Running::before(ok).await;
    running.script.tokens(|| allow(TokenAllowed { expires_in: 0, ..person() }));
    assert_eq!(running.status(1).await, 200);
    running.script.tokens(|| deny(Reason::Inactive, ""));
    assert_eq!(running.status(1).await, 401);
}

#[tokio::test]
async fn one_question_at_a_time_about_one_token() {
    let running = Arc::new(Running::before(ok).await);
    let (first, gate) = on_its_way(&running).await;
    let others: Vec<_> = (0..20)
        .map(|_| {
            let running = running.clone();
            tokio::spawn(async move { running.status(1).await })
        })
        .collect();
    until(|| running.arrived() == 21).await;
    gate.add_permits(100);
    for call in others.into_iter().chain([first]) {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert_eq!(running.script.asked(), 1);
}

#[tokio::test]
async fn an_announcement_ends_the_trust_in_what_it_concerns() {
    let running = Running::before(ok).await;
    let grant = |id: &str| Event::RevokedGrant(id.into());
    let events = [
        (grant("grant"), true),
        (Event::SupersededGrant("grant".into()), true),
        (Event::ChangedGrant("grant".into()), true),
        (Event::RevokedSubject("subject".into()), true),
        (Event::RevokedClient("client".into()), true),
        (grant("another"), false),
        (Event::SupersededGrant("another".into()), false),
        // An id of one kind is none of another.
        (grant("subject"), false),
        (Event::RevokedSubject("grant".into()), false),
        (Event::RevokedClient("subject".into()), false),
        (Event::Heartbeat(v1::Heartbeat::default()), false),
    ];
    // One of a newer token service may be about anything.
    for (event, concerns) in events.map(|(event, concerns)| (Some(event), concerns)).into_iter().chain([(None, true)]) {
        running.script.tokens(|| allow(person()));
        assert_eq!(running.status(1).await, 200);
        running.script.tokens(|| deny(Reason::Inactive, ""));
        running.script.announce(event.clone());
        // What comes after it is heard after it.
        running.heard().await;
        assert_eq!(running.status(1).await, if concerns { 401 } else { 200 }, "{event:?}");
    }
}

/// A call whose question has been asked and is not answered yet, and what lets the answer come.
async fn on_its_way(running: &Arc<Running>) -> (tokio::task::JoinHandle<u16>, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    running.script.tokens_later(move || {
        let held = held.clone();
        async move {
            held.acquire().await.unwrap().forget();
            allow(person())
        }
    });
    let calling = running.clone();
    let call = tokio::spawn(async move { calling.status(1).await });
    until(|| running.script.asked() > 0).await;
    (call, gate)
}

#[tokio::test]
async fn an_answer_that_an_announcement_overtakes_is_asked_for_again() {
    let running = Arc::new(Running::before(ok).await);
    let (call, gate) = on_its_way(&running).await;
    running.script.announce(Event::RevokedGrant("grant".into()));
    running.heard().await;
    // The old answer arrives, and by now the token is no good.
    running.script.tokens(|| deny(Reason::Inactive, ""));
    gate.add_permits(1);
    assert_eq!(call.await.unwrap(), 401);
    assert_eq!(running.status(1).await, 401);
}

#[tokio::test]
async fn announcements_about_others_keep_an_answer_that_is_on_its_way() {
    let running = Arc::new(Running::before(ok).await);
    let (call, gate) = on_its_way(&running).await;
    running.script.announce(Event::SupersededGrant("another".into()));
    running.heard().await;
    gate.add_permits(1);
    assert_eq!(call.await.unwrap(), 200);
    assert_eq!(running.status(1).await, 200);
    assert_eq!(running.script.asked(), 1);
}

#[tokio::test]
async fn who_asks_late_does_not_get_an_answer_that_is_old() {
    let mut config = config(&listen(ok).await);
    config.cache_max_age = Duration::from_millis(20);
    let running = Arc::new(Running::with(config).await);
    let (first, gate) = on_its_way(&running).await;
    let asked = tokio::time::Instant::now();
    until(|| asked.elapsed() > Duration::from_millis(40)).await;
    // The token is revoked meanwhile, and no announcement says so.
    let calling = running.clone();
    let late = tokio::spawn(async move { calling.status(1).await });
    until(|| running.arrived() == 2).await;
    running.script.tokens(|| deny(Reason::Inactive, ""));
    gate.add_permits(1);
    assert_eq!((first.await.unwrap(), late.await.unwrap()), (200, 401));
}

#[tokio::test]
async fn who_waits_for_anothers_question_is_not_left_alone() {
    let running = Arc::new(Running::before(ok).await);
    let (first, gate) = on_its_way(&running).await;
    let calling = running.clone();
    let second = tokio::spawn(async move { calling.status(1).await });
    until(|| running.arrived() == 2).await;
    // It hangs up, and its question goes with it.
    first.abort();
    until(|| running.script.asked() == 2).await;
    gate.add_permits(1);
    assert_eq!(second.await.unwrap(), 200);
    assert_eq!(running.status(1).await, 200);
    assert_eq!(running.script.asked(), 2);
}
