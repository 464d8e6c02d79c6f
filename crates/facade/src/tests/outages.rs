//! A service that is away, slow or broken.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use grantd_proto::v1::IssueTokenResponse;
use tonic::Status;

use super::{Call, Reply, facade};

const REFRESH: &str = "grant_type=refresh_token&refresh_token=a&client_id=c";
const EXCHANGE: &str = "grant_type=authorization_code&code=a&code_verifier=v&client_id=c";

#[tokio::test]
async fn away_is_503_after_a_few_tries() {
    let facade = facade(|_| Err(Status::unavailable("redis://10.0.0.1 refused")));
    let answer = facade.form("/oauth/token", &[], REFRESH).await;
    answer.is_error(503, "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!answer.body.contains("redis"));
    let ids: Vec<_> =
        facade.calls().into_iter().map(|c| if let Call::Issue(r) = c { r.request_id } else { panic!() }).collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.windows(2).all(|two| two[0] == two[1]), "a retry is the same request");

    let answer = facade.get("/oauth/authorize?client_id=c").await;
    answer.is_page(503, "Not available right now");
    assert!(answer.headers.contains_key("retry-after"));
    facade
        .get_with("/oauth/authorize", &[("accept", "application/json")])
        .await
        .is_error(503, "temporarily_unavailable");
    assert_eq!(facade.get("/.well-known/oauth-authorization-server").await.status, 200);
}

#[tokio::test]
async fn a_replica_that_went_away_is_not_noticed() {
    let tries = AtomicU32::new(0);
    let facade = facade(move |_| {
        if tries.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(Status::unavailable("going down"));
        }
        Ok(Reply::Issued(IssueTokenResponse { access_token: "a".to_owned(), ..Default::default() }))
    });
    assert_eq!(facade.form("/oauth/token", &[], REFRESH).await.status, 200);
}

/// A client can send a refresh again, and a code only once.
#[tokio::test(start_paused = true)]
async fn an_exchange_is_tried_for_longer_than_what_its_client_can_send_again() {
    for (body, status, calls) in [(EXCHANGE, 200, 21), (REFRESH, 503, 4)] {
        let tries = AtomicU32::new(0);
        let facade = facade(move |_| {
            if tries.fetch_add(1, Ordering::Relaxed) < 20 {
                return Err(Status::unavailable("going down"));
            }
            Ok(Reply::Issued(IssueTokenResponse { access_token: "a".to_owned(), ..Default::default() }))
        });
        assert_eq!(facade.form("/oauth/token", &[], body).await.status, status, "{body}");
        let ids: Vec<_> =
            facade.calls().into_iter().map(|c| if let Call::Issue(r) = c { r.request_id } else { panic!() }).collect();
        assert_eq!(ids.len(), calls, "{body}");
        assert!(ids.windows(2).all(|two| two[0] == two[1]), "each is the same request");
    }
}

#[tokio::test(start_paused = true)]
async fn few_exchanges_wait_for_a_service_that_is_away() {
    let facade = facade(|_| Err(Status::unavailable("away")));
    let mut waiting = futures::future::join_all((0..8).map(|_| facade.form("/oauth/token", &[], EXCHANGE)));
    // All eight places are taken; after the quick attempts all but one of them are free again.
    let half = tokio::time::timeout(Duration::from_millis(500), &mut waiting).await;
    assert!(half.is_err(), "some wait");
    assert_eq!(facade.calls().iter().filter(|call| matches!(call, Call::Issue(_))).count(), 8 * 4 + 4);
    facade.form("/oauth/token", &[], REFRESH).await.is_error(503, "temporarily_unavailable");
    for answer in waiting.await {
        answer.is_error(503, "temporarily_unavailable");
    }
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_503_in_time() {
    let facade = facade(|_| Ok(Reply::Hang));
    let started = tokio::time::Instant::now();
    facade.form("/oauth/token", &[], REFRESH).await.is_error(503, "temporarily_unavailable");
    assert!(started.elapsed() <= Duration::from_secs(5));
}

#[tokio::test]
async fn a_broken_service_is_500_without_detail() {
    let facade = facade(|_| Err(Status::internal("secret detail")));
    let answer = facade.form("/oauth/token", &[], REFRESH).await;
    answer.is_error(500, "server_error");
    assert!(!answer.body.contains("detail"));
    facade.get("/oauth/authorize?client_id=c").await.is_page(500, "Something went wrong");
}

#[tokio::test]
async fn a_panic_is_500_without_detail() {
    let facade = facade(|_| Ok(Reply::Panic));
    let answer = facade.form("/oauth/token", &[], REFRESH).await;
    answer.is_error(500, "server_error");
    assert!(!answer.body.contains("hunter2"));
}

#[tokio::test]
async fn answers_that_break_the_contract_are_500() {
    let facade = facade(|call| match call {
        Call::Register(_) => Ok(Reply::Registered(Default::default())),
        Call::Approve(_) => Ok(Reply::Decided(Default::default())),
        _ => Ok(Reply::Begun(Box::new(grantd_proto::v1::begin_authorization_response::Next::Consent(
            Default::default(),
        )))),
    });
    facade.send(http::Request::post("/register"), "{}").await.is_error(500, "server_error");
    facade.get("/authorize").await.is_page(500, "Something went wrong");
    let cookie = [("cookie", "__Host-grantd=gds_s")];
    facade.get_with("/oauth/authorize/approve?ticket=t", &cookie).await.is_page(500, "Something went wrong");
}

#[tokio::test]
async fn too_many_calls_at_once_are_503_and_the_metadata_still_answers() {
    let facade = facade(|_| Ok(Reply::Hang));
    let mut hanging: Vec<_> = (0..8).map(|_| Box::pin(facade.form("/oauth/token", &[], REFRESH))).collect();
    for call in &mut hanging {
        // Each takes its place, and waits.
        assert!(futures::poll!(call.as_mut()).is_pending());
    }
    let answer = facade.form("/oauth/token", &[], REFRESH).await;
    answer.is_error(503, "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    facade.get("/oauth/authorize?client_id=c").await.is_page(503, "Not available right now");
    assert_eq!(facade.get("/.well-known/oauth-authorization-server").await.status, 200);
    drop(hanging);
    let mut next = Box::pin(facade.form("/oauth/token", &[], REFRESH));
    assert!(futures::poll!(next.as_mut()).is_pending(), "there is room again");
    assert_eq!(facade.calls().len(), 9);
}
