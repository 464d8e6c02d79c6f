//! Every line of the table of bad input: a clear answer in the right form, and nothing lost.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{
    Client, Deployment, Options,
    client::{CALLBACK, STATE, VERIFIER, pair, param, refused},
    http,
};

/// The gate's cache off, so that "at once" is exact.
fn exact() -> Options {
    Options { config: "[gate]\ncache_max_age = \"0s\"".into(), ..Options::default() }
}

async fn page_for_a_person(answer: Response) -> String {
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.headers().get("location").is_none(), "never a redirect");
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    answer.text().await.unwrap()
}

#[tokio::test]
async fn unknown_client_or_redirect_uri_at_authorize_is_a_page() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    for change in [
        ("client_id", Some("unknown")),
        ("client_id", None),
        ("client_id", Some("\0")),
        ("redirect_uri", Some("https://evil.example/cb")),
        ("redirect_uri", Some("http://localhost:3118/other")),
        ("redirect_uri", Some("javascript:alert(1)")),
    ] {
        let query = client.authorize_query(&[change]);
        page_for_a_person(client.get_authorize(&query, "").await).await;
        let url = format!("{}/oauth/authorize?{query}", deployment.issuer());
        let answer = http().get(url).header("accept", "application/json").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{change:?}");
        let body: Value = answer.json().await.unwrap();
        assert!(body["error"].is_string() && body["error_description"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn other_faults_at_authorize_are_redirected_to_loopback_and_trusted_hosts_only() {
    let deployment = Deployment::embedded(Options::default()).await;
    let trusted = "https://claude.ai/api/mcp/auth_callback";
    let stranger = "https://stranger.example/cb";
    let metadata = json!({"token_endpoint_auth_method": "none", "redirect_uris": [CALLBACK, trusted, stranger]});
    let client = Client::register_as(deployment.issuer(), metadata).await;
    let faults = [
        (("response_type", Some("token")), "unsupported_response_type"),
        (("response_type", None), "invalid_request"),
        (("code_challenge", None), "invalid_request"),
        (("code_challenge", Some("short")), "invalid_request"),
        (("code_challenge_method", Some("plain")), "invalid_request"),
        (("code_challenge_method", None), "invalid_request"),
        (("resource", Some("https://other.example/mcp")), "invalid_target"),
    ];
    for (fault, error) in faults {
        for target in [CALLBACK, trusted] {
            let answer =
                client.get_authorize(&client.authorize_query(&[fault, ("redirect_uri", Some(target))]), "").await;
            assert!(
                matches!(answer.status(), StatusCode::FOUND | StatusCode::SEE_OTHER),
                "{fault:?}: {}",
                answer.status()
            );
            let location = answer.headers()["location"].to_str().unwrap();
            assert!(location.starts_with(target));
            assert_eq!(param(location, "error").unwrap(), error, "{fault:?}");
            assert_eq!(param(location, "state").unwrap(), STATE);
            assert_eq!(param(location, "iss").unwrap(), deployment.issuer());
        }
        let answer =
            client.get_authorize(&client.authorize_query(&[fault, ("redirect_uri", Some(stranger))]), "").await;
        let html = page_for_a_person(answer).await;
        assert!(html.contains("stranger.example"), "the page links back: {html}");
    }
}

#[tokio::test]
async fn a_replayed_code_revokes() {
    Deployment::each(exact(), |deployment| async move {
        let client = Client::register(deployment.issuer()).await;
        let code = client.code().await;
        let tokens = pair(client.exchange(&code).await).await;
        assert!(client.is_accepted(&tokens.access).await);
        refused(client.at(deployment.other()).exchange(&code).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        for facade in &deployment.facades {
            assert!(!client.at(facade).is_accepted(&tokens.access).await);
        }
        refused(client.refresh(&tokens.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        assert!(deployment.logs().contains("code.replayed"));
    })
    .await;
}

#[tokio::test]
async fn a_guess_at_a_code_revokes_nothing() {
    Deployment::each(exact(), |deployment| async move {
        let client = Client::register(deployment.issuer()).await;
        let other = Client::register(deployment.issuer()).await;
        let code = client.code().await;
        let good = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        let spoiled = |name: &str, value: &'static str| -> Vec<(&str, &str)> {
            good.iter().map(|(known, sent)| (*known, if *known == name { value } else { *sent })).collect()
        };
        refused(other.token(&good).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        let wrong_uri = client.token(&spoiled("redirect_uri", "http://localhost:3118/other")).await;
        refused(wrong_uri, StatusCode::BAD_REQUEST, "invalid_grant").await;
        let verifier = "another-verifier-0123456789abcdefghijklmnopqrstuvwxyz";
        refused(client.token(&spoiled("code_verifier", verifier)).await, StatusCode::BAD_REQUEST, "invalid_grant")
            .await;
        // Nothing was consumed.
        let tokens = pair(client.exchange(&code).await).await;
        // And nothing is revoked afterwards either.
        refused(other.token(&good).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        refused(client.token(&spoiled("code_verifier", verifier)).await, StatusCode::BAD_REQUEST, "invalid_grant")
            .await;
        assert!(client.is_accepted(&tokens.access).await);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_client_at_token_is_401_and_the_code_stays() {
    Deployment::each(Options::default(), |deployment| async move {
        let client = Client::register(deployment.issuer()).await;
        let code = client.code().await;
        let ghost = Client { id: "ghost".into(), ..client.clone() };
        let answer = ghost.exchange(&code).await;
        assert!(answer.headers().get("www-authenticate").is_none(), "only when Basic was tried");
        refused(answer, StatusCode::UNAUTHORIZED, "invalid_client").await;
        let ghost = Client { secret: Some("no-secret".into()), ..ghost };
        let answer = ghost.exchange(&code).await;
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
        refused(answer, StatusCode::UNAUTHORIZED, "invalid_client").await;
        refused(ghost.refresh("nonsense").await, StatusCode::UNAUTHORIZED, "invalid_client").await;
        pair(client.exchange(&code).await).await;
    })
    .await;
}

/// Sends a body that is too large, and reads the answer, which comes before all of it is sent.
async fn send_ten_megabytes(base: &str, path: &str, kind: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let authority = base.strip_prefix("http://").unwrap();
    let (mut from, mut to) = tokio::net::TcpStream::connect(authority).await.unwrap().into_split();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let writing = tokio::spawn(async move {
        let chunk = [b"10000\r\n", vec![b' '; 1 << 16].as_slice(), b"\r\n"].concat();
        let _ = to.write_all(head.as_bytes()).await;
        for _ in 0..160 {
            // The server may have hung up by then, as it should.
            if to.write_all(&chunk).await.is_err() {
                break;
            }
        }
        to
    });
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&answer).contains('}') {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
    }
    drop(writing);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn malformed_bodies_get_an_oauth_error() {
    let deployment = Deployment::embedded(Options::default()).await;
    let base = deployment.issuer();
    let client = Client::register(base).await;
    let post = async |path: &str, kind: &str, body: Vec<u8>| {
        http().post(format!("{base}{path}")).header("content-type", kind).body(body).send().await.unwrap()
    };
    let form = "application/x-www-form-urlencoded";
    for body in [
        b"{".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"\xff\xfe".to_vec(),
        b"{\"redirect_uris\": 5}".to_vec(),
        b"{\"redirect_uris\": []}".to_vec(),
        b"{}".to_vec(),
        b"".to_vec(),
        "[".repeat(100_000).into_bytes(),
        serde_json::to_vec(&json!({"redirect_uris": vec![CALLBACK; 10_000]})).unwrap(),
    ] {
        let answer = post("/oauth/register", "application/json", body.clone()).await;
        let body: Value = {
            assert_eq!(
                answer.status(),
                StatusCode::BAD_REQUEST,
                "{:?}",
                String::from_utf8_lossy(&body[..body.len().min(40)])
            );
            answer.json().await.unwrap()
        };
        assert!(
            ["invalid_client_metadata", "invalid_redirect_uri"].contains(&body["error"].as_str().unwrap()),
            "{body}"
        );
    }
    for (path, kind) in [("/oauth/register", "application/json"), ("/oauth/token", form)] {
        let answer = send_ten_megabytes(base, path, kind).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("\"error\":"), "{answer}");
    }
    for body in [
        "grant_type=authorization_code&code=%zz",
        "grant_type=%ff%fe",
        "grant_type=refresh_token&refresh_token=a%00b&client_id=x",
        "grant_type=refresh_token&grant_type=authorization_code",
        "client_id=a&client_id=b&grant_type=refresh_token&refresh_token=c",
        "",
        "&&&===",
    ] {
        let answer = post("/oauth/token", form, body.as_bytes().to_vec()).await;
        assert!(
            matches!(answer.status(), StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED),
            "{body}: {}",
            answer.status()
        );
        assert!(answer.json::<Value>().await.unwrap()["error"].is_string());
    }
    refused(post("/oauth/token", "application/json", b"{}".to_vec()).await, StatusCode::BAD_REQUEST, "invalid_request")
        .await;
    let unsupported = client.token(&[("grant_type", "password")]).await;
    refused(unsupported, StatusCode::BAD_REQUEST, "unsupported_grant_type").await;
    for basic in ["Basic", "Basic ", "Basic !!!", "Basic /w==", "Basic bm9jb2xvbg==", "Basic Og=="] {
        let answer = http()
            .post(format!("{base}/oauth/token"))
            .header("authorization", basic)
            .form(&[("grant_type", "refresh_token"), ("refresh_token", "x")])
            .send()
            .await
            .unwrap();
        assert!(
            matches!(answer.status(), StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED),
            "{basic}: {}",
            answer.status()
        );
        assert!(answer.json::<Value>().await.unwrap()["error"].is_string());
    }
    // Told to the client where it is clear which; else to the person.
    for more in ["scope=a&scope=b", "code_challenge=other", "state=other", "response_type=token"] {
        let answer = client.get_authorize(&format!("{}&{more}", client.authorize_query(&[])), "").await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{more}");
        let location = answer.headers()["location"].to_str().unwrap();
        assert!(location.starts_with(CALLBACK), "{location}");
        assert_eq!(param(location, "error").as_deref(), Some("invalid_request"), "{location}");
        let state = (!more.starts_with("state")).then_some(STATE);
        assert_eq!(param(location, "state").as_deref(), state, "{location}");
    }
    for more in ["client_id=other", "redirect_uri=https://other.example/"] {
        let answer = client.get_authorize(&format!("{}&{more}", client.authorize_query(&[])), "").await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{more}");
    }
    let resource = url::form_urlencoded::byte_serialize(deployment.resource().as_bytes()).collect::<String>();
    let same_twice = format!("{}&resource={resource}&resource={resource}", client.authorize_query(&[]));
    assert_eq!(client.get_authorize(&same_twice, "").await.status(), StatusCode::OK);
    // It still works.
    client.pair().await;
}

#[tokio::test]
async fn tokens_that_are_none_or_for_another_resource_are_invalid() {
    let two = "[[resource]]\npaths = [\"/mcp\"]\nupstream = \"UPSTREAM\"\nscopes = [\"a\"]\ndefault_scopes = [\"a\"]\n\
               [[resource]]\npaths = [\"/two\"]\nupstream = \"UPSTREAM\"\nscopes = [\"a\"]\ndefault_scopes = [\"a\"]\n[scopes]\na = \"All\"\n";
    let deployment = Deployment::embedded(Options { config: two.into(), ..Options::default() }).await;
    let client = Client::register(deployment.issuer()).await;
    let tokens = client.pair().await;
    assert!(client.is_accepted(&tokens.access).await);
    let get = async |path: &str, authorization: &str| {
        let answer = http()
            .get(format!("{}{path}", deployment.issuer()))
            .header("authorization", authorization)
            .send()
            .await
            .unwrap();
        let challenge = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        (answer.status(), challenge.unwrap_or_default())
    };
    let good = format!("Bearer {}", tokens.access);
    for (path, authorization) in [
        ("/two", good.clone()),
        ("/mcp", "Bearer nonsense".into()),
        ("/mcp", format!("{good}x")),
        ("/mcp", format!("Bearer {}", tokens.refresh)),
        ("/mcp", format!("Bearer {}", tokens.access.replace("gda_", "gdc_"))),
    ] {
        let (status, challenge) = get(path, &authorization).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {authorization}");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    // Never in the query.
    let answer = http().get(format!("{}?access_token={}", deployment.resource(), tokens.access)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_wrong_password_says_so_and_keeps_the_way() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let query = client.authorize_query(&[]);
    for (username, password) in [("owner", "wrong"), ("nobody", "wrong"), ("", ""), ("owner ", "x")] {
        let answer = client.sign_in(&query, username, password).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(answer.headers().get("set-cookie").is_none());
        let html = answer.text().await.unwrap();
        assert!(html.contains("role=\"alert\"") && html.contains("name=\"continue\""), "{html}");
        assert!(!html.contains("value=\"wrong\""));
    }
    // A form that another site sends.
    let answer = http()
        .post(format!("{}/oauth/sign-in", deployment.issuer()))
        .header("origin", "https://evil.example")
        .form(&[("username", "owner"), ("password", crate::harness::PASSWORD), ("continue", &query)])
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    client.pair().await;
}
