//! Making a person decide what they did not mean to, or learning about them.

use reqwest::{Response, StatusCode};
use serde_json::json;

use crate::harness::{Client, Deployment, Options, PASSWORD, client::CALLBACK};

#[tokio::test]
async fn approve_links_cannot_be_crafted() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let page = client.consent_page(&[]).await;
    let (link, ticket) = page.approve.split_once("ticket=").unwrap();
    let last = if ticket.ends_with('A') { 'B' } else { 'A' };
    let altered = format!("{}{last}", &ticket[..ticket.len() - 1]);
    let other_grant = format!("gdt_{}{}", "A".repeat(22), &ticket[26..]);
    for forged in ["", "x", "gdt_", altered.as_str(), other_grant.as_str(), ticket.trim_start_matches("gdt_")] {
        let answer = client.follow(&page, &format!("{link}ticket={forged}")).await;
        assert!(answer.status().is_client_error(), "{forged}: {}", answer.status());
        assert!(answer.headers().get("location").is_none());
    }
    let twice = client.follow(&page, &format!("{}&ticket=x", page.approve)).await;
    assert!(twice.status().is_client_error());
    for method in [reqwest::Method::POST, reqwest::Method::HEAD, reqwest::Method::PUT] {
        let answer = client.http.request(method, &page.approve).header("cookie", &page.cookie).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    assert_eq!(client.follow(&page, &page.approve).await.status(), StatusCode::FOUND, "the real one still works");
}

#[tokio::test]
async fn csrf_on_sign_in_and_sign_out_is_refused() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let page = client.consent_page(&[]).await;
    let query = client.authorize_query(&[]);
    let own = deployment.issuer();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        // Signing a person in as somebody else, and signing them out.
        let fields = [("username", "owner"), ("password", PASSWORD), ("continue", query.as_str())];
        let sign_in = client.http.post(format!("{own}/oauth/sign-in")).header(name, value).form(&fields);
        let sign_out = client.http.post(format!("{own}/oauth/sign-out")).header(name, value);
        for request in [sign_in, sign_out.header("cookie", &page.cookie).form(&[("continue", "")])] {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}: {value}");
            assert!(answer.headers().get("set-cookie").is_none());
        }
    }
    assert_eq!(client.follow(&page, &page.approve).await.status(), StatusCode::FOUND, "still signed in");
}

#[tokio::test]
async fn csrf_on_approve_is_refused() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let page = client.consent_page(&[]).await;
    // The victim is signed in, and what another site can make a browser do is a navigation, or less.
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-dest", "image"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-dest", "empty"),
        ("sec-purpose", "prefetch"),
    ] {
        for link in [&page.approve, &page.deny] {
            let request = client.http.get(link).header("cookie", &page.cookie).header(name, value);
            assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{name}: {value}");
        }
    }
    // An attacker's own link, from a session of the same person or of somebody else: not this session's.
    let attackers = client.consent_page(&[]).await;
    let answer = client.follow(&page, &attackers.approve).await;
    assert!(answer.status().is_client_error() && !answer.headers().contains_key("location"));
    assert_eq!(client.follow(&page, &page.approve).await.status(), StatusCode::FOUND, "the person's own click");
}

/// Anybody may call a client Claude, or something that looks like it, and no table of look-alikes is complete. So a name alone
/// says nothing: the page shows where the answer would go, and that nobody has verified who asks.
#[tokio::test]
async fn look_alike_names_are_shown_with_the_host_that_would_get_access() {
    let deployment = Deployment::embedded(Options::default()).await;
    for name in ["Claude", "\u{421}laude", "Cl\u{251}ude", "\u{ff23}laude", "C1aude", "Claude by claude.ai"] {
        let redirect = "https://evil.example/cb";
        let metadata = json!({"token_endpoint_auth_method": "none", "redirect_uris": [redirect], "client_name": name});
        let client = Client::register_as(deployment.issuer(), metadata).await;
        let page = client.consent_page(&[("redirect_uri", Some(redirect))]).await;
        assert!(page.html.contains(name) && page.html.contains("could not verify"), "{name}");
        assert!(
            page.html.contains("Give access to <strong class=\"place\"><bdi>evil.example</bdi></strong>?"),
            "{name}: {}",
            page.html
        );
        let sign_in = client.authorize_query(&[("redirect_uri", Some(redirect))]);
        let html = client.get_authorize(&sign_in, "").await.text().await.unwrap();
        assert!(html.contains("evil.example"), "{name}: also where a password is asked for");
    }
}

#[tokio::test]
async fn clickjacking_finds_no_page_that_can_be_framed() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let page = client.consent_page(&[]).await;
    let query = client.authorize_query(&[]);
    let sign_in = client.get_authorize(&query, "").await;
    let consent = client.get_authorize(&query, &page.cookie).await;
    let error = client.get_authorize("client_id=unknown", "").await;
    let wrong = client.sign_in(&query, "owner", "wrong").await;
    let home = client.http.get(deployment.issuer()).header("accept", "text/html").send().await.unwrap();
    for answer in [sign_in, consent, error, wrong, home] {
        let headers = answer.headers();
        assert!(headers["content-type"].to_str().unwrap().starts_with("text/html"));
        assert_eq!(headers["x-frame-options"], "DENY");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && policy.starts_with("default-src 'none'"), "{policy}");
    }
}

#[tokio::test]
async fn session_fixation_plants_a_session_of_nobody() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let query = client.authorize_query(&[]);
    let planted = format!("grantd-session=gds_{}", "A".repeat(43));
    let fields = [("username", "owner"), ("password", PASSWORD), ("continue", query.as_str())];
    let signed_in = client
        .http
        .post(format!("{}/oauth/sign-in", deployment.issuer()))
        .header("cookie", &planted)
        .form(&fields)
        .send()
        .await
        .unwrap();
    assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
    assert!(
        !cookie.starts_with(&planted) && cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    let html = client.get_authorize(&query, &planted).await.text().await.unwrap();
    assert!(html.contains("name=\"password\""), "the planted session is nobody's");
}

#[tokio::test]
async fn user_enumeration_sees_no_difference() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let query = client.authorize_query(&[]);
    let shown = async |username: &str| {
        let answer: Response = client.sign_in(&query, username, "wrong password").await;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.text().await.unwrap().replace(username, "NAME");
        (status, headers.get("retry-after").cloned(), headers.get("set-cookie").cloned(), body)
    };
    assert_eq!(shown("owner").await, shown("stranger").await);
}

#[tokio::test]
async fn names_cannot_disguise_themselves() {
    let deployment = Deployment::embedded(Options::default()).await;
    let name = "Claude\u{202e}edoC\u{7}\u{200b}\u{feff}\r\n<img src=x onerror=alert(1)>\u{2066}";
    let metadata = json!({"token_endpoint_auth_method": "none", "redirect_uris": [CALLBACK], "client_name": name});
    let client = Client::register_as(deployment.issuer(), metadata).await;
    let page = client.consent_page(&[]).await;
    for hidden in ['\u{202e}', '\u{7}', '\u{200b}', '\u{feff}', '\u{2066}'] {
        assert!(!page.html.contains(hidden), "{hidden:?}");
    }
    assert!(!page.html.contains("<img"));
    assert!(page.html.contains("could not verify"));
    let answer = client.get_authorize(&client.authorize_query(&[]), "").await;
    assert!(!answer.text().await.unwrap().contains("<img"));
}
