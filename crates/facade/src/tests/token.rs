//! The token endpoint: how real clients authenticate, and what breaks them.

use grantd_proto::{
    error,
    v1::{IssueTokenResponse, issue_token_request::Grant},
};
use http::Request;
use serde_json::json;
use tonic::Code;

use super::{Call, Facade, Reply, alone, facade, facade_with};

fn issuing() -> Facade {
    facade(|_| {
        Ok(Reply::Issued(IssueTokenResponse {
            access_token: "gda_x".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 3600,
            refresh_token: "gdr_y".to_owned(),
            scope: "read:articles".to_owned(),
        }))
    })
}

#[tokio::test]
async fn a_code_is_exchanged() {
    let facade = issuing();
    let body = "grant_type=authorization_code&code=gdc_c&redirect_uri=http%3A%2F%2Flocalhost%3A3118%2Fcallback\
                &code_verifier=v-._~&client_id=c&client_secret=&resource=https%3A%2F%2Fa%2Fmcp&resource=https%3A%2F%2Fa%2Fmcp";
    let answer = facade.form("/oauth/token", &[], body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({
            "access_token": "gda_x", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "gdr_y",
            "scope": "read:articles",
        })
    );
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    assert_eq!(answer.header("access-control-allow-origin"), "*");

    let calls = facade.calls();
    let [Call::Issue(request)] = calls.as_slice() else { panic!() };
    let Some(Grant::AuthorizationCode(grant)) = &request.grant else { panic!() };
    assert_eq!(grant.code, "gdc_c");
    assert_eq!(grant.redirect_uri, "http://localhost:3118/callback");
    assert_eq!(grant.code_verifier, "v-._~");
    let client = request.client.as_ref().unwrap();
    assert_eq!((client.client_id.as_str(), client.client_secret.as_str()), ("c", ""));
    assert_eq!(request.resource, ["https://a/mcp"]);
    assert_eq!(request.remote_address, "192.0.2.7");
    assert_eq!(request.request_id.len(), 32);
}

#[tokio::test]
async fn a_token_is_refreshed() {
    let facade = issuing();
    let basic = [("authorization", "Basic Yzpz")];
    let answer = facade.form("/token", &basic, "grant_type=refresh_token&refresh_token=gdr_a&scope=x+y").await;
    assert_eq!(answer.status, 200);
    let calls = facade.calls();
    let [Call::Issue(request)] = calls.as_slice() else { panic!() };
    let Some(Grant::RefreshToken(grant)) = &request.grant else { panic!() };
    assert_eq!((grant.refresh_token.as_str(), grant.scope.as_str()), ("gdr_a", "x y"));
    assert_eq!(request.client.as_ref().unwrap().client_secret, "s");
    assert!(request.resource.is_empty());
}

#[tokio::test]
async fn absent_members_are_left_out() {
    let facade = facade(|_| {
        Ok(Reply::Issued(IssueTokenResponse {
            access_token: "a".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: 60,
            ..Default::default()
        }))
    });
    let answer = facade.form("/oauth/token", &[], "grant_type=refresh_token&client_id=c").await;
    assert_eq!(answer.json(), json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 60 }));
}

#[tokio::test]
async fn bad_requests_do_not_reach_the_service() {
    let facade = alone();
    for (body, status, error) in [
        ("", 401, "invalid_client"),
        ("grant_type=authorization_code&code=c", 401, "invalid_client"),
        ("grant_type=password", 401, "invalid_client"),
        ("client_id=c&grant_type=refresh_token&grant_type=authorization_code", 400, "invalid_request"),
        ("client_id=c&grant_type=refresh_token&refresh_token=a&refresh_token=b", 400, "invalid_request"),
        ("client_id=c&grant_type=refresh_token&refresh_token=%", 400, "invalid_request"),
        ("client_id=c&grant_type=refresh_token&refresh_token=%ff", 400, "invalid_request"),
        ("client_id=c&grant_type=refresh_token&refresh_token=%00", 400, "invalid_request"),
    ] {
        facade.form("/oauth/token", &[], body).await.is_error(status, error);
    }
    let good = "grant_type=refresh_token&refresh_token=a&client_id=c";
    for content_type in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
        let request = Request::post("/oauth/token").header("content-type", content_type);
        facade.send(request, good).await.is_error(400, "invalid_request");
    }
    facade.send(Request::post("/oauth/token"), good).await.is_error(400, "invalid_request");
    facade.form("/oauth/token", &[], &"a=b&".repeat(20_000)).await.is_error(413, "invalid_request");
    facade.form("/oauth/token", &[("authorization", "Basic !!")], good).await.is_error(400, "invalid_request");
}

#[tokio::test]
async fn the_client_comes_before_the_grant_type() {
    for (reason, answers) in [
        ("invalid_client", [(401, "invalid_client"); 3]),
        // The service knows the client by then.
        (
            "unsupported_grant_type",
            [(400, "invalid_request"), (400, "invalid_request"), (400, "unsupported_grant_type")],
        ),
    ] {
        let code = if reason == "invalid_client" { Code::Unauthenticated } else { Code::InvalidArgument };
        let facade = facade(move |_| Err(error::status(code, reason, "no")));
        let bodies = ["client_id=c", "client_id=c&grant_type=", "client_id=c&grant_type=password"];
        for (body, (status, error)) in bodies.into_iter().zip(answers) {
            facade.form("/oauth/token", &[], body).await.is_error(status, error);
        }
        assert!(facade.calls().iter().all(|call| matches!(call, Call::Issue(asked) if asked.grant.is_none())));
    }
}

#[tokio::test]
async fn sign_ins_that_pile_up_hold_nobody_else_up() {
    let facade = facade_with(super::config(super::PUBLIC_URL), |call| match call {
        Call::SignIn(_) => Ok(Reply::Hang),
        Call::Issue(_) => Ok(Reply::Issued(IssueTokenResponse { access_token: "a".to_owned(), ..Default::default() })),
        _ => panic!(),
    });
    let form = "username=a&password=b&continue=client_id%3Dc";
    let headers = [("origin", super::PUBLIC_URL)];
    let mut stuck: Vec<_> = (0..8).map(|_| Box::pin(facade.form("/oauth/sign-in", &headers, form))).collect();
    for one in &mut stuck {
        assert!(futures::poll!(one.as_mut()).is_pending());
    }
    // The next is turned away at once, and a refresh is served.
    facade.form("/oauth/sign-in", &headers, form).await.is_page(503, "Not available right now");
    let answer = facade.form("/oauth/token", &[], "grant_type=refresh_token&refresh_token=a&client_id=c").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_charset_is_fine() {
    let request =
        Request::post("/oauth/token").header("content-type", "Application/X-WWW-Form-URLencoded; charset=UTF-8");
    let answer = issuing().send(request, "grant_type=refresh_token&refresh_token=a&client_id=c").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn refusals_of_the_service() {
    for (code, reason, status) in [
        (Code::Unauthenticated, "invalid_client", 401),
        (Code::InvalidArgument, "invalid_grant", 400),
        (Code::InvalidArgument, "invalid_target", 400),
        (Code::InvalidArgument, "invalid_request", 400),
    ] {
        let facade = facade(move |_| Err(error::status(code, reason, "why")));
        let body = "grant_type=refresh_token&refresh_token=a&client_id=c";
        let answer = facade.form("/oauth/token", &[], body).await;
        answer.is_error(status, reason);
        assert!(!answer.headers.contains_key("www-authenticate"));
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let answer = facade.form("/oauth/token", &[("authorization", "basic Yzpz")], body).await;
        assert_eq!(answer.header("www-authenticate"), if status == 401 { "Basic realm=\"grantd\"" } else { "" });
    }
}

#[tokio::test]
async fn overload_is_503_and_never_429() {
    let facade = facade(|_| Err(error::status(Code::ResourceExhausted, "slow_down", "why")));
    let answer = facade.form("/oauth/token", &[], "grant_type=refresh_token&refresh_token=a&client_id=c").await;
    answer.is_error(503, "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
}
