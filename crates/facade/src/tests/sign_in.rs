//! Signing in and out.

use grantd_proto::{error, v1::SignInResponse};
use tonic::Code;

use super::{Call, Facade, LOCAL_URL, Reply, alone, config, facade, facade_with, sign_in_required};

const FORM: &str = "username=owner&password=p%40ss&continue=client_id%3Dc%26state%3Da%252Bb";

fn signed_in() -> Result<Reply, tonic::Status> {
    Ok(Reply::SignedIn(SignInResponse { session_secret: "gds_new".to_owned(), user: None, expires_in: 43200 }))
}

fn refusing(code: Code, reason: &'static str) -> Facade {
    facade(move |call| match call {
        Call::SignIn(_) => Err(error::status(code, reason, "why")),
        _ => sign_in_required("http://localhost:3118/callback"),
    })
}

#[tokio::test]
async fn the_right_password_leads_back() {
    let facade = facade(|_| signed_in());
    let answer = facade.form("/oauth/sign-in", &[("origin", "https://mcp.example.com")], FORM).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), "/oauth/authorize?client_id=c&state=a%2Bb");
    assert_eq!(
        answer.header("set-cookie"),
        "__Host-grantd=gds_new; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure"
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let calls = facade.calls();
    let [Call::SignIn(request)] = calls.as_slice() else { panic!() };
    assert_eq!((request.username.as_str(), request.password.as_str()), ("owner", "p@ss"));
    assert_eq!(request.remote_address, "192.0.2.7");
}

#[tokio::test]
async fn on_localhost_the_cookie_is_a_plain_one() {
    let facade = facade_with(config(LOCAL_URL), |_| signed_in());
    let answer = facade.form("/oauth/sign-in", &[("origin", LOCAL_URL)], FORM).await;
    assert_eq!(answer.header("set-cookie"), "grantd-session=gds_new; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax");
}

#[tokio::test]
async fn it_leads_nowhere_else() {
    let facade = facade_with(config("https://example.com/auth"), |_| signed_in());
    for (sent, location) in [
        ("https%3A%2F%2Fevil.example", "/auth/oauth/authorize?https://evil.example"),
        ("%2F%2Fevil.example", "/auth/oauth/authorize?//evil.example"),
        ("a%23b", "/auth/oauth/authorize?a%23b"),
        ("a%0d%0aSet-Cookie%3A+x", "/auth/oauth/authorize?a%0D%0ASet-Cookie:%20x"),
        ("prompt%3Dlogin%26a%3D1", "/auth/oauth/authorize?a=1"),
        ("", "/auth/oauth/authorize?"),
    ] {
        let body = format!("username=a&password=b&continue={sent}");
        let answer = facade.form("/auth/oauth/sign-in", &[], &body).await;
        assert_eq!(answer.header("location"), location);
    }
}

#[tokio::test]
async fn a_wrong_password_shows_the_form_again() {
    let facade = refusing(Code::Unauthenticated, "invalid_credentials");
    let body = "username=ow%22%3Cb%3Ener&password=sesame&continue=client_id%3Dc";
    let answer = facade.form("/oauth/sign-in", &[], body).await;
    answer.is_page(403, "role=\"alert\"");
    assert!(answer.body.contains("value=\"ow&#34;&#60;b&#62;ner\""), "{}", answer.body);
    assert!(!answer.body.contains("sesame"));
    assert!(answer.body.contains("Claude Code (t)") && answer.body.contains("value=\"client_id=c\""));
    assert!(!answer.headers.contains_key("set-cookie") && !answer.headers.contains_key("www-authenticate"));
    let calls = facade.calls();
    let [Call::SignIn(_), Call::Begin(begin)] = calls.as_slice() else { panic!() };
    assert_eq!(begin.session_secret, "");
}

#[tokio::test]
async fn a_session_that_could_not_be_ended_is_not_said_to_be() {
    let facade = refusing(Code::Unavailable, "temporarily_unavailable");
    let cookie = ("cookie", "__Host-grantd=gds_a");
    for body in ["", "continue=client_id%3Dc"] {
        let answer = facade.form("/oauth/sign-out", &[cookie], body).await;
        answer.is_page(503, "Only half signed out");
        assert!(answer.header("set-cookie").contains("Max-Age=0"));
    }
}

#[tokio::test]
async fn too_many_tries() {
    let answer = refusing(Code::ResourceExhausted, "slow_down").form("/oauth/sign-in", &[], FORM).await;
    answer.is_page(429, "Too many tries");
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn foreign_forms_are_refused() {
    let facade = alone();
    for headers in [
        [("origin", "https://evil.example")],
        [("origin", "null")],
        [("origin", "http://mcp.example.com")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
    ] {
        for path in ["/oauth/sign-in", "/oauth/sign-out"] {
            facade.form(path, &headers, FORM).await.is_page(403, "This came from another site");
        }
    }
}

#[tokio::test]
async fn broken_forms_are_pages() {
    let facade = alone();
    for body in
        ["continue=%", "continue=%00", "continue=client_id%3D%25", "username=a&username=b&continue=a", "password=%ff"]
    {
        facade.form("/oauth/sign-in", &[], body).await.is_page(400, "invalid_request");
    }
    facade.form("/oauth/sign-in", &[], &"a".repeat(70_000)).await.is_page(413, "That was too much");
    facade.send(http::Request::post("/oauth/sign-in"), FORM).await.is_page(400, "content type");
}

#[tokio::test]
async fn sign_out_ends_the_session() {
    let facade = facade(|_| Ok(Reply::SignedOut));
    facade.get("/oauth/sign-out").await.is_page(200, "Sign out?");
    assert!(facade.calls().is_empty(), "a GET changes nothing");

    let cookie = ("cookie", "__Host-grantd=gds_s");
    let answer = facade.form("/oauth/sign-out", &[cookie], "").await;
    answer.is_page(200, "You are signed out");
    assert!(answer.header("set-cookie").starts_with("__Host-grantd=; Path=/; Max-Age=0"));
    let answer = facade.form("/oauth/sign-out", &[cookie], "continue=client_id%3Dc").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/oauth/authorize?client_id=c"));
    assert!(answer.header("set-cookie").starts_with("__Host-grantd=; Path=/; Max-Age=0"));
    assert_eq!(facade.calls().len(), 2);
}
