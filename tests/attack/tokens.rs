//! Using a code or a token for what it was not given.

use reqwest::StatusCode;

use crate::harness::{
    Client, Deployment, Options,
    client::{CALLBACK, STATE, VERIFIER, challenge, pair, param, refused},
};

#[tokio::test]
async fn pkce_cannot_be_downgraded() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let without = [("code_challenge", None), ("code_challenge_method", None)];
    let plain = [("code_challenge", Some(VERIFIER)), ("code_challenge_method", Some("plain"))];
    let implied = [("code_challenge", Some(VERIFIER)), ("code_challenge_method", None)];
    for change in [&without[..], &plain, &implied] {
        let answer = client.get_authorize(&client.authorize_query(change), "").await;
        let location = answer.headers()["location"].to_str().unwrap();
        assert_eq!(param(location, "error").unwrap(), "invalid_request", "{change:?}");
    }
    let code = client.code().await;
    let good = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    assert_eq!(client.token(&good).await.status(), StatusCode::BAD_REQUEST, "no verifier");
    let challenge = challenge();
    for verifier in ["", "short", challenge.as_str()] {
        let sent = [&good[..], &[("code_verifier", verifier)]].concat();
        assert_eq!(client.token(&sent).await.status(), StatusCode::BAD_REQUEST, "{verifier}");
    }
    pair(client.exchange(&code).await).await;
}

#[tokio::test]
async fn no_token_serves_as_another() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let code = client.code().await;
    let invalid = |answer| refused(answer, StatusCode::BAD_REQUEST, "invalid_grant");
    invalid(client.refresh(&code).await).await;
    assert!(!client.is_accepted(&code).await);
    let tokens = pair(client.exchange(&code).await).await;
    invalid(client.refresh(&tokens.access).await).await;
    invalid(client.refresh(&code).await).await;
    invalid(client.exchange(&tokens.refresh).await).await;
    invalid(client.exchange(&tokens.access).await).await;
    assert!(!client.is_accepted(&tokens.refresh).await);
    // With the prefix of another kind it is none at all.
    let dressed_up = tokens.refresh.replacen("gdr_", "gda_", 1);
    assert!(!client.is_accepted(&dressed_up).await);
    assert!(client.is_accepted(&tokens.access).await, "and nothing of this harmed the grant");
}

#[tokio::test]
async fn an_injected_code_fails_at_the_verifier_of_the_flow_it_is_injected_into() {
    let deployment = Deployment::embedded(Options::default()).await;
    let victim = Client::register(deployment.issuer()).await;
    let code = victim.code().await;
    // Into a flow of the thief's own at the same client: another challenge, so another verifier.
    let injected = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", "the-thiefs-own-verifier-0123456789abcdefghij"),
    ];
    refused(victim.token(&injected).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    let tokens = pair(victim.exchange(&code).await).await;
    // And afterwards, when it would be a replay: without its verifier it proves nothing, and harms nobody.
    refused(victim.token(&injected).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    assert!(victim.is_accepted(&tokens.access).await);
}

#[tokio::test]
async fn codes_and_tokens_across_clients_are_worth_nothing() {
    let deployment = Deployment::embedded(Options::default()).await;
    let (victim, thief) = (Client::register(deployment.issuer()).await, Client::register(deployment.issuer()).await);
    let code = victim.code().await;
    refused(thief.exchange(&code).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    let tokens = pair(victim.exchange(&code).await).await;
    refused(thief.exchange(&code).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    refused(thief.refresh(&tokens.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
    let revoke = [("token", tokens.refresh.as_str()), ("client_id", thief.id.as_str())];
    thief.http.post(format!("{}/oauth/revoke", thief.base)).form(&revoke).send().await.unwrap();
    assert!(victim.is_accepted(&tokens.access).await, "and none of this harmed its owner");
    pair(victim.refresh(&tokens.refresh).await).await;
}

#[tokio::test]
async fn a_token_across_resources_is_worth_nothing() {
    let two = "[gate]\ncache_max_age = \"60s\"\n\
        [[resource]]\npaths = [\"/mcp\"]\nupstream = \"UPSTREAM\"\n\
        [[resource]]\npaths = [\"/other\"]\nupstream = \"UPSTREAM\"\n[scopes]\nmcp = \"Use it\"\n";
    let deployment = Deployment::embedded(Options { config: two.into(), ..Options::default() }).await;
    let client = Client::register(deployment.issuer()).await;
    let tokens = client.pair().await;
    let call = async |path: &str| {
        let url = format!("{}{path}", deployment.issuer());
        client.http.get(url).bearer_auth(&tokens.access).send().await.unwrap()
    };
    // In both orders, so that an answer kept for one is not taken for the other.
    for (path, status) in [("/other", 401), ("/mcp", 502), ("/other", 401), ("/other/", 401), ("/mcp/", 502)] {
        assert_eq!(call(path).await.status().as_u16(), status, "{path}");
    }
    let challenge = call("/other").await.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert!(challenge.contains("invalid_token") && challenge.contains("oauth-protected-resource/other"), "{challenge}");
}

#[tokio::test]
async fn a_mix_up_shows_because_every_answer_names_its_issuer() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let page = client.consent_page(&[]).await;
    let approved = client.follow(&page, &page.approve).await;
    let page = client.consent_page(&[]).await;
    let denied = client.follow(&page, &page.deny).await;
    let failed = client.get_authorize(&client.authorize_query(&[("response_type", Some("token"))]), "").await;
    for answer in [approved, denied, failed] {
        let location = answer.headers()["location"].to_str().unwrap();
        assert_eq!(param(location, "iss").unwrap(), deployment.issuer());
        assert_eq!(param(location, "state").unwrap(), STATE);
    }
}
