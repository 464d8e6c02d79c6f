//! 11 to 20: what clients discover.

use super::*;

const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const SERVER: &str = "/.well-known/oauth-authorization-server";

#[tokio::test]
async fn requirement_11_resource_metadata_at_the_path_and_at_the_root() {
    let deployment = running().await;
    let at_path = json(&deployment, &format!("{RESOURCE}/mcp")).await;
    assert_eq!(json(&deployment, RESOURCE).await, at_path);
}

#[tokio::test]
async fn requirement_12_the_resource_is_the_url_that_is_configured() {
    let deployment = running().await;
    let metadata = json(&deployment, &format!("{RESOURCE}/mcp")).await;
    assert_eq!(metadata["resource"], format!("{}/mcp", deployment.issuer()));
}

#[tokio::test]
async fn requirement_13_one_issuer_byte_for_byte() {
    let deployment = running().await;
    let resource = json(&deployment, &format!("{RESOURCE}/mcp")).await;
    let server = json(&deployment, SERVER).await;
    assert_eq!(resource["authorization_servers"], serde_json::json!([deployment.issuer()]));
    assert_eq!(server["issuer"], deployment.issuer());
    let client = client(&deployment).await;
    let page = client.consent_page(&[]).await;
    let answer = client.follow(&page, &page.approve).await;
    let iss = crate::harness::client::param(&header(&answer, "location"), "iss").unwrap();
    assert_eq!(iss, deployment.issuer());
    assert!(!iss.ends_with('/'));
}

#[tokio::test]
async fn requirement_14_resource_metadata_is_whole_and_without_null() {
    let deployment = running().await;
    let metadata = json(&deployment, &format!("{RESOURCE}/mcp")).await;
    assert!(!has_null(&metadata), "{metadata}");
    assert!(!metadata["scopes_supported"].as_array().unwrap().is_empty());
    assert_eq!(metadata["bearer_methods_supported"], serde_json::json!(["header"]));
}

#[tokio::test]
async fn requirement_15_server_metadata_with_the_path_inserted_and_no_half_openid_document() {
    let deployment = running().await;
    let metadata = json(&deployment, SERVER).await;
    assert_eq!(json(&deployment, &format!("{SERVER}/mcp")).await, metadata);
    for path in ["/.well-known/openid-configuration", "/.well-known/openid-configuration/mcp"] {
        let answer = get(&deployment, path).await;
        assert_eq!(answer.status(), 404);
        assert!(header(&answer, "content-type").starts_with("application/json"), "{path}");
    }
    // An issuer with a path has it inserted or before it: nothing there either that a client would take for OpenID.
    let deployment = Deployment::embedded(Options { path: "/base".into(), ..Options::default() }).await;
    let origin = deployment.facades[0].as_str();
    for url in [
        format!("{origin}/.well-known/openid-configuration/base"),
        format!("{}/.well-known/openid-configuration", deployment.issuer()),
    ] {
        let answer = http().get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{url}");
        assert!(header(&answer, "content-type").starts_with("application/json"), "{url}");
    }
    let inserted = format!("{origin}/.well-known/oauth-authorization-server/base");
    let metadata: Value = http().get(inserted).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["issuer"], deployment.issuer());
}

#[tokio::test]
async fn requirement_16_a_well_known_url_never_fails() {
    let mut deployment = Deployment::distributed(Options::default()).await;
    deployment.redis.as_mut().unwrap().stop().await;
    for _ in 0..50 {
        for path in [SERVER, RESOURCE, "/.well-known/oauth-protected-resource/mcp"] {
            assert_eq!(get(&deployment, path).await.status(), 200, "{path}");
        }
    }
    let unknown = get(&deployment, "/.well-known/unknown").await;
    assert_eq!(unknown.status(), 404);
    assert!(unknown.json::<Value>().await.unwrap()["error"].is_string());
}

#[tokio::test]
async fn requirement_17_every_member_that_clients_ask_for() {
    let deployment = running().await;
    let metadata = json(&deployment, SERVER).await;
    assert!(!has_null(&metadata), "{metadata}");
    for member in ["issuer", "authorization_endpoint", "token_endpoint", "registration_endpoint"] {
        assert!(metadata[member].is_string(), "{member}");
    }
    for (member, value) in [
        ("response_types_supported", serde_json::json!(["code"])),
        ("code_challenge_methods_supported", serde_json::json!(["S256"])),
        ("grant_types_supported", serde_json::json!(["authorization_code", "refresh_token"])),
        (
            "token_endpoint_auth_methods_supported",
            serde_json::json!(["none", "client_secret_basic", "client_secret_post"]),
        ),
        ("authorization_response_iss_parameter_supported", serde_json::json!(true)),
    ] {
        assert_eq!(metadata[member], value, "{member}");
    }
    // `iss` and its announcement go together.
    let config = "[facade]\niss_parameter = false\n".into();
    let deployment = Deployment::embedded(Options { config, ..Options::default() }).await;
    let metadata = json(&deployment, SERVER).await;
    assert!(metadata.get("authorization_response_iss_parameter_supported").is_none());
    let client = client(&deployment).await;
    let page = client.consent_page(&[]).await;
    for link in [&page.deny, &page.approve] {
        let answer = client.follow(&page, link).await;
        assert!(!header(&answer, "location").contains("iss="));
    }
}

#[tokio::test]
async fn requirement_18_metadata_documents_are_advertised_where_they_work_only() {
    let deployment = running().await;
    assert!(json(&deployment, SERVER).await.get("client_id_metadata_document_supported").is_none());
    let config = "[client_metadata]\nenabled = true\n".into();
    let deployment = Deployment::embedded(Options { config, ..Options::default() }).await;
    assert_eq!(json(&deployment, SERVER).await["client_id_metadata_document_supported"], true);
}

#[tokio::test]
async fn requirement_19_endpoints_at_the_root_for_who_finds_no_metadata() {
    let deployment = running().await;
    let metadata = serde_json::json!({"redirect_uris": ["http://localhost/"]});
    let registered = ask(&deployment, Method::POST, "/register").json(&metadata).send().await.unwrap();
    assert_eq!(registered.status(), 201);
    let token = ask(&deployment, Method::POST, "/token").form(&[("grant_type", "refresh_token")]).send().await.unwrap();
    assert_eq!(token.status(), 401);
    let client = client(&deployment).await;
    let page = get(&deployment, &format!("/authorize?{}", client.authorize_query(&[]))).await;
    assert_eq!(page.status(), 200);
}

#[tokio::test]
async fn requirement_20_endpoints_come_from_the_configuration() {
    let deployment = running().await;
    for name in ["host", "x-forwarded-host"] {
        let request =
            ask(&deployment, Method::GET, SERVER).header(name, "evil.example").header("x-forwarded-proto", "x");
        let metadata: Value = request.send().await.unwrap().json().await.unwrap();
        for member in metadata.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_endpoint")) {
            assert!(member.1.as_str().unwrap().starts_with(deployment.issuer()), "{member:?}");
        }
    }
}
