//! The authorization endpoint, as real clients and people meet it.

use grantd_proto::error;
use http::Request;
use tonic::Code;

use super::{Call, LOCAL_URL, alone, config, consent, facade, facade_with, redirectable, sign_in_required};

const LOOPBACK: &str = "http://localhost:3118/callback";
const COOKIE: (&str, &str) = ("cookie", "__Host-grantd=gds_s");

#[tokio::test]
async fn parameters_arrive_as_they_came() {
    let facade = facade(|_| sign_in_required(LOOPBACK));
    let query = "client_id=c&redirect_uri=http%3A%2F%2Flocalhost%3A3118%2Fcallback&response_type=code\
                 &scope=+offline_access++claudeai&state=a%2Bb%2F%3D%25+c&code_challenge=x&code_challenge_method=S256\
                 &resource=r&resource=r&prompt=login&nonce=1&nonce=2&login_hint=x";
    for path in ["/oauth/authorize", "/authorize"] {
        facade.get(&format!("{path}?{query}")).await.is_page(200, "name=\"password\"");
    }
    let calls = facade.calls();
    let [Call::Begin(request), Call::Begin(_)] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(request.client_id, "c");
    assert_eq!(request.redirect_uri, LOOPBACK);
    assert_eq!(request.response_type, "code");
    assert_eq!(request.scope, " offline_access  claudeai");
    assert_eq!(request.state.as_deref(), Some("a+b/=% c"));
    assert_eq!((request.code_challenge.as_str(), request.code_challenge_method.as_str()), ("x", "S256"));
    assert_eq!(request.resource, ["r"]);
    assert_eq!(request.prompt, "login");
    assert_eq!(request.session_secret, "");
    assert_eq!(request.request_id.len(), 32);
}

#[tokio::test]
async fn the_form_says_who_asks_and_carries_the_query() {
    let facade = facade(|_| sign_in_required(LOOPBACK));
    let answer = facade.get("/oauth/authorize?client_id=c&state=%3Cx%3E&prompt=login").await;
    answer.is_page(200, "Claude Code (t)");
    assert!(answer.body.contains("a program on this computer (localhost:3118)"));
    assert!(answer.body.contains("name=\"continue\" value=\"client_id=c&#38;state=%3Cx%3E\""), "{}", answer.body);
    assert!(answer.body.contains("name=\"username\"") && answer.body.contains("autocomplete=\"current-password\""));
    assert!(!answer.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn a_session_leads_to_consent() {
    let facade = facade(|_| consent(LOOPBACK));
    let answer = facade.get_with("/oauth/authorize?client_id=c", &[COOKIE]).await;
    answer.is_page(200, "id=\"approve\"");
    assert!(answer.body.contains("href=\"/oauth/authorize/approve?ticket=gdt_ticket\""));
    assert!(answer.body.contains("href=\"/oauth/authorize/deny?ticket=gdt_ticket\""));
    let calls = facade.calls();
    let [Call::Begin(request)] = calls.as_slice() else { panic!() };
    assert_eq!(request.session_secret, "gds_s");
}

#[tokio::test]
async fn head_writes_nothing() {
    let facade = facade(|_| sign_in_required(LOOPBACK));
    let request = Request::head("/oauth/authorize?client_id=c").header(COOKIE.0, COOKIE.1);
    let answer = facade.send(request, "").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
    let calls = facade.calls();
    let [Call::Begin(request)] = calls.as_slice() else { panic!() };
    assert_eq!(request.session_secret, "");
}

#[tokio::test]
async fn unreadable_requests_are_pages() {
    let facade = alone();
    for query in [
        "client_id=a&client_id=b",
        "client_id=a&redirect_uri=x&redirect_uri=y",
        "client_id=%",
        "client_id=%ff",
        "client_id=a&state=%00",
        &"a=b&".repeat(5000),
    ] {
        facade.get(&format!("/oauth/authorize?{query}")).await.is_page(400, "invalid_request");
    }
    let json = [("accept", "application/json")];
    facade.get_with("/oauth/authorize?client_id=a&client_id=b", &json).await.is_error(400, "invalid_request");
}

#[tokio::test]
async fn an_unknown_client_is_a_400_page_and_never_a_redirect() {
    for (code, reason) in [
        (Code::Unauthenticated, "invalid_client"),
        (Code::NotFound, "invalid_client"),
        (Code::InvalidArgument, "invalid_client"),
        (Code::InvalidArgument, "invalid_redirect_uri"),
        (Code::InvalidArgument, "invalid_request"),
    ] {
        let facade = facade(move |_| Err(error::status(code, reason, "why")));
        let uri = "/oauth/authorize?client_id=c&redirect_uri=http%3A%2F%2Flocalhost%3A1%2F";
        facade.get(uri).await.is_page(400, reason);
        facade.get_with(uri, &[("accept", "application/json")]).await.is_error(400, reason);
        facade.get_with(uri, &[("accept", "*/*")]).await.is_page(400, reason);
    }
}

#[tokio::test]
async fn errors_are_redirected_to_loopback_and_trusted_hosts() {
    for target in [LOOPBACK, "http://127.0.0.1/", "http://[::1]:1/", "https://claude.ai/cb?x=1"] {
        let facade = facade(move |_| Err(redirectable("invalid_scope", target)));
        let answer = facade.get("/oauth/authorize?client_id=c&state=a%2Bb%2F%3D%25+c%C3%A9").await;
        assert_eq!(answer.status, 302, "{target}");
        let separator = if target.contains('?') { '&' } else { '?' };
        assert_eq!(
            answer.header("location"),
            format!(
                "{target}{separator}error=invalid_scope&error_description=say%20why&state=a%2Bb%2F%3D%25%20c%C3%A9\
                 &iss=https%3A%2F%2Fmcp.example.com"
            )
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
}

#[tokio::test]
async fn other_targets_get_a_page_with_a_link() {
    for target in [
        "https://evil.example/cb",
        "https://claude.ai.evil.example/cb",
        "https://x.claude.ai/cb",
        "cursor://anysphere.cursor-mcp/oauth/callback",
    ] {
        let facade = facade(move |_| Err(redirectable("invalid_target", target)));
        let answer = facade.get("/oauth/authorize?client_id=c&state=s").await;
        answer.is_page(400, "invalid_target: say why");
        let link = format!("{target}?error=invalid_target&#38;error_description=say%20why&#38;state=s");
        assert!(answer.body.contains(&link), "{}", answer.body);
        let json = [("accept", "application/json")];
        facade.get_with("/oauth/authorize?client_id=c", &json).await.is_error(400, "invalid_target");
    }
    let facade = facade(|_| Err(redirectable("invalid_target", "javascript:alert(1)")));
    let answer = facade.get("/oauth/authorize?client_id=c").await;
    answer.is_page(400, "invalid_target");
    assert!(!answer.body.contains("javascript"));
}

#[tokio::test]
async fn after_our_own_form_an_error_is_a_link() {
    let facade = facade(|_| Err(redirectable("access_denied", LOOPBACK)));
    let own = [("sec-fetch-site", "same-origin"), COOKIE];
    let answer = facade.get_with("/oauth/authorize?client_id=c", &own).await;
    answer.is_page(403, "This account may not give this access");
    assert!(answer.body.contains("http://localhost:3118/callback?error=access_denied"));
    let facade = super::facade(|_| Err(redirectable("invalid_scope", LOOPBACK)));
    let answer = facade.get_with("/oauth/authorize?client_id=c", &own).await;
    answer.is_page(400, "This request cannot be served");
    assert!(answer.body.contains("http://localhost:3118/callback?error=invalid_scope"));
}

#[tokio::test]
async fn the_wrong_account_may_be_left() {
    for target in [LOOPBACK, "https://claude.ai/cb"] {
        let facade = facade(move |_| Err(redirectable("access_denied", target)));
        let answer = facade.get_with("/oauth/authorize?client_id=c&state=%3C", &[COOKIE]).await;
        answer.is_page(403, "This account may not give this access");
        assert!(answer.body.contains("value=\"client_id=c&#38;state=%3C\""), "{}", answer.body);
        assert!(answer.body.contains("action=\"/oauth/sign-out\"") && answer.body.contains("error=access_denied"));
    }
    // Nobody is signed in: it is not a person's account.
    let facade = facade(|_| Err(redirectable("access_denied", LOOPBACK)));
    assert_eq!(facade.get("/oauth/authorize?client_id=c").await.status, 302);
}

#[tokio::test]
async fn iss_can_be_switched_off() {
    let mut config = config(super::PUBLIC_URL);
    config.iss_parameter = false;
    let facade = facade_with(config, |_| Err(redirectable("invalid_scope", LOOPBACK)));
    let answer = facade.get("/oauth/authorize?client_id=c").await;
    assert!(!answer.header("location").contains("iss="));
}

#[tokio::test]
async fn on_localhost_a_redirect_takes_the_session_with_it() {
    let facade = facade_with(config(LOCAL_URL), |call| match call {
        Call::SignOut(_) => Ok(super::Reply::SignedOut),
        _ => Err(redirectable("invalid_scope", LOOPBACK)),
    });
    let cookie = ("cookie", "grantd-session=gds_s");
    // A redirect, and a page with a link: both lead the browser to another port of this host.
    for (headers, status) in [(&[cookie][..], 302), (&[cookie, ("sec-fetch-site", "same-origin")], 400)] {
        let answer = facade.get_with("/oauth/authorize?client_id=c", headers).await;
        assert_eq!(answer.status, status);
        assert!(answer.header("set-cookie").starts_with("grantd-session=; Path=/; Max-Age=0"));
        let last = facade.calls().pop();
        assert!(matches!(last, Some(Call::SignOut(request)) if request.session_secret == "gds_s"));
    }
}
