//! Approve and deny: links that answer once, to a navigating browser of the session that asked.

use std::sync::atomic::{AtomicBool, Ordering};

use grantd_proto::{
    error,
    v1::{AuthorizationDecision, authorization_decision::Outcome},
};
use tonic::Code;

use super::{Call, Facade, LOCAL_URL, Reply, alone, config, facade, facade_with};

const APPROVE: &str = "/oauth/authorize/approve?ticket=gdt_t";
const DENY: &str = "/oauth/authorize/deny?ticket=gdt_t";
const COOKIE: (&str, &str) = ("cookie", "__Host-grantd=gds_s");

fn decision(redirect_uri: &str, state: Option<&str>, outcome: Outcome) -> Reply {
    Reply::Decided(AuthorizationDecision {
        redirect_uri: redirect_uri.to_owned(),
        state: state.map(str::to_owned),
        outcome: Some(outcome),
    })
}

fn deciding(redirect_uri: &'static str, state: Option<&'static str>) -> Facade {
    facade(move |call| match call {
        Call::Approve(_) => Ok(decision(redirect_uri, state, Outcome::Code("gdc_c".to_owned()))),
        Call::Deny(_) => Ok(decision(redirect_uri, state, Outcome::Error("access_denied".to_owned()))),
        call => panic!("{call:?}"),
    })
}

#[tokio::test]
async fn approve_sends_the_code() {
    for (uri, state, location) in [
        (
            "http://localhost:3118/callback",
            Some("a+/=% &é https://x"),
            "http://localhost:3118/callback?code=gdc_c&state=a%2B%2F%3D%25%20%26%C3%A9%20https%3A%2F%2Fx\
             &iss=https%3A%2F%2Fmcp.example.com",
        ),
        (
            "https://a.example/cb?x=1",
            Some(""),
            "https://a.example/cb?x=1&code=gdc_c&state=&iss=https%3A%2F%2Fmcp.example.com",
        ),
        ("cursor://x/cb", None, "cursor://x/cb?code=gdc_c&iss=https%3A%2F%2Fmcp.example.com"),
    ] {
        let facade = deciding(uri, state);
        let answer = facade.get_with(APPROVE, &[COOKIE]).await;
        assert_eq!(answer.status, 302);
        assert_eq!(answer.header("location"), location);
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.headers.contains_key("set-cookie"), "the session lives on");
        let calls = facade.calls();
        let [Call::Approve(request)] = calls.as_slice() else { panic!() };
        assert_eq!((request.ticket.as_str(), request.session_secret.as_str()), ("gdt_t", "gds_s"));
        assert_eq!(request.request_id.len(), 32);
    }
}

#[tokio::test]
async fn deny_sends_access_denied() {
    let facade = deciding("http://localhost:1/", Some("s"));
    let answer = facade.get_with(DENY, &[COOKIE]).await;
    let calls = facade.calls();
    let [Call::Deny(request)] = calls.as_slice() else { panic!() };
    assert_eq!((request.ticket.as_str(), request.session_secret.as_str()), ("gdt_t", "gds_s"));
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.header("location"),
        "http://localhost:1/?error=access_denied&state=s&iss=https%3A%2F%2Fmcp.example.com"
    );
}

#[tokio::test]
async fn what_is_no_click_decides_nothing() {
    let facade = alone();
    for headers in [
        [("sec-purpose", "prefetch;prerender")],
        [("purpose", "prefetch")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-dest", "iframe")],
        [("sec-fetch-dest", "empty")],
    ] {
        for path in [APPROVE, DENY] {
            let [header] = headers;
            facade.get_with(path, &[COOKIE, header]).await.is_page(403, "Nothing was decided");
        }
    }
    let clicked = [
        COOKIE,
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-user", "?1"),
    ];
    assert_eq!(deciding("http://localhost:1/", None).get_with(APPROVE, &clicked).await.status, 302);
    let node = [COOKIE, ("sec-fetch-mode", "cors")];
    assert_eq!(deciding("http://localhost:1/", None).get_with(APPROVE, &node).await.status, 302);
}

#[tokio::test]
async fn the_person_is_told_what_to_do() {
    let facade = alone();
    facade.get(APPROVE).await.is_page(403, "Please start again");
    facade.get_with("/oauth/authorize/approve", &[COOKIE]).await.is_page(400, "This question is over");
    facade.get_with("/oauth/authorize/approve?ticket=%", &[COOKIE]).await.is_page(400, "invalid_request");
    for (reason, status, title) in
        [("ticket_expired", 400, "This question is over"), ("login_required", 403, "Please start again")]
    {
        let facade = super::facade(move |_| Err(error::status(Code::FailedPrecondition, reason, "why")));
        facade.get_with(APPROVE, &[COOKIE]).await.is_page(status, title);
    }
}

#[tokio::test]
async fn on_localhost_the_session_ends_with_the_decision_and_a_double_click_works() {
    for (path, outcome) in
        [(APPROVE, Outcome::Code("gdc_c".to_owned())), (DENY, Outcome::Error("access_denied".to_owned()))]
    {
        let over = AtomicBool::new(false);
        let facade = facade_with(config(LOCAL_URL), move |call| match call {
            Call::SignOut(request) => {
                assert_eq!(request.session_secret, "gds_s");
                over.store(true, Ordering::Relaxed);
                Ok(Reply::SignedOut)
            }
            _ if over.load(Ordering::Relaxed) => Err(error::status(Code::FailedPrecondition, "login_required", "why")),
            _ => Ok(decision("http://localhost:3118/callback", Some("s"), outcome.clone())),
        });
        let cookie = ("cookie", "grantd-session=gds_s");
        let first = facade.get_with(path, &[cookie]).await;
        assert_eq!(first.status, 302);
        assert!(first.header("set-cookie").starts_with("grantd-session=; Path=/; Max-Age=0"));
        assert!(matches!(facade.calls().last(), Some(Call::SignOut(_))));
        // With the cookie, when the first answer has not arrived; without it, when it has.
        for headers in [&[cookie][..], &[]] {
            let again = facade.get_with(path, headers).await;
            assert_eq!((again.status.as_u16(), again.header("location")), (302, first.header("location")));
        }
        facade.get_with("/oauth/authorize/approve?ticket=other", &[cookie]).await.is_page(403, "Please start again");
        let prefetch = [cookie, ("purpose", "prefetch")];
        facade.get_with(path, &prefetch).await.is_page(403, "Nothing was decided");
    }
}

#[tokio::test]
async fn a_failed_sign_out_does_not_hold_the_answer_back() {
    let facade = facade_with(config(LOCAL_URL), |call| match call {
        Call::SignOut(_) => Err(tonic::Status::internal("x")),
        _ => Ok(decision("http://localhost:3118/callback", None, Outcome::Code("c".to_owned()))),
    });
    let answer = facade.get_with(APPROVE, &[("cookie", "grantd-session=gds_s")]).await;
    assert_eq!(answer.status, 302);
    assert!(answer.headers.contains_key("set-cookie"));
}
