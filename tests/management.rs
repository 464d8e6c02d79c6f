//! What a client does about its tokens and its registration: RFC 7009, RFC 7662 and RFC 7592, over HTTP.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{
    Client, Deployment, Options,
    client::{CALLBACK, Pair, refused},
    http,
};

async fn post(client: &Client, path: &str, form: &[(&str, &str)]) -> Response {
    let mut request = client.http.post(format!("{}{path}", client.base));
    let mut form = form.to_vec();
    match &client.secret {
        Some(secret) => request = request.basic_auth(&client.id, Some(secret)),
        None => form.push(("client_id", &client.id)),
    }
    request.form(&form).send().await.unwrap()
}

async fn with_secret(base: &str) -> Client {
    Client::register_as(base, json!({"redirect_uris": [CALLBACK], "client_name": "With a secret"})).await
}

async fn is_over(client: &Client, pair: &Pair) {
    assert!(!client.is_accepted(&pair.access).await);
    refused(client.refresh(&pair.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
}

#[tokio::test]
async fn a_client_revokes_its_own_tokens_and_no_others() {
    // No cache: the other facade hears of a revocation a moment later.
    let exact = Options { config: "[gate]\ncache_max_age = \"0s\"".into(), ..Options::default() };
    Deployment::each(exact, async |deployment| {
        let (one, other) = (Client::register(deployment.issuer()).await, with_secret(deployment.other()).await);
        let pairs = [one.pair().await, one.pair().await, other.pair().await];
        let revoke = async |client: &Client, token: &str| {
            let answer = post(client, "/oauth/revoke", &[("token", token), ("token_type_hint", "nonsense")]).await;
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        };
        for unknown in ["x", "gda_AAAA", &one.id] {
            revoke(&one, unknown).await;
        }
        // Somebody else's are left alone, without a word.
        for token in [&pairs[2].access, &pairs[2].refresh] {
            revoke(&one, token).await;
        }
        assert!(other.is_accepted(&pairs[2].access).await);
        revoke(&one, &pairs[0].access).await;
        is_over(&one, &pairs[0]).await;
        revoke(&one, &pairs[1].refresh).await;
        is_over(&one, &pairs[1]).await;
        // Twice is fine.
        revoke(&one, &pairs[1].refresh).await;

        let thief = Client { secret: Some("gdk_".to_owned() + &"A".repeat(43)), ..other.clone() };
        let answer = post(&thief, "/oauth/revoke", &[("token", &pairs[2].access)]).await;
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic"));
        refused(answer, StatusCode::UNAUTHORIZED, "invalid_client").await;
        refused(post(&other, "/oauth/revoke", &[]).await, StatusCode::BAD_REQUEST, "invalid_request").await;
        revoke(&other, &pairs[2].access).await;
        is_over(&other, &pairs[2]).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_with_a_secret_asks_about_its_own_tokens() {
    Deployment::each(Options::default(), async |deployment| {
        let (one, other) = (with_secret(deployment.issuer()).await, with_secret(deployment.issuer()).await);
        let pair = one.pair().await;
        let ask = async |client: &Client, token: &str| {
            let answer = post(client, "/oauth/introspect", &[("token", token)]).await;
            assert_eq!(answer.status(), StatusCode::OK);
            answer.json::<Value>().await.unwrap()
        };
        let told = ask(&one, &pair.access).await;
        assert_eq!(
            (&told["active"], &told["client_id"], &told["token_type"], &told["username"], &told["aud"], &told["iss"]),
            (
                &json!(true),
                &json!(one.id),
                &json!("Bearer"),
                &json!("owner"),
                &json!(deployment.resource()),
                &json!(deployment.issuer())
            )
        );
        assert!(
            told["exp"].as_i64().is_some_and(|exp| exp > 1_700_000_000) && !told["sub"].as_str().unwrap().is_empty()
        );
        let told = ask(&one, &pair.refresh).await;
        assert!(told["active"] == true && told.get("token_type").is_none(), "{told}");
        for (client, token) in [(&one, "x"), (&other, pair.access.as_str()), (&other, pair.refresh.as_str())] {
            assert_eq!(ask(client, token).await, json!({"active": false}));
        }
        // Who has no secret proves nothing.
        let public = Client::register(deployment.issuer()).await;
        let answer = post(&public, "/oauth/introspect", &[("token", &pair.access)]).await;
        refused(answer, StatusCode::UNAUTHORIZED, "invalid_client").await;
    })
    .await;
}

#[tokio::test]
async fn a_resource_server_that_is_named_asks_about_all_tokens_for_it() {
    let mut deployment = Deployment::embedded(Options::default()).await;
    let (server, client) = (with_secret(deployment.issuer()).await, Client::register(deployment.issuer()).await);
    let pair = client.pair().await;
    let ask = async || {
        let answer = post(&server, "/oauth/introspect", &[("token", &pair.access)]).await;
        answer.json::<Value>().await.unwrap()
    };
    assert_eq!(ask().await, json!({"active": false}));
    let file = deployment.dir.path().join(format!("serve-{}.toml", deployment.issuer().rsplit(':').next().unwrap()));
    let config = std::fs::read_to_string(&file).unwrap();
    let named = format!("[[resource]]\nintrospection_clients = [\"{}\"]", server.id);
    std::fs::write(&file, config.replace("[[resource]]", &named)).unwrap();
    deployment.processes[0].kill().await;
    deployment.restart_embedded().await;
    let told = ask().await;
    assert!(told["active"] == true && told["client_id"] == client.id.as_str(), "{told}");
}

#[tokio::test]
async fn a_client_manages_its_registration() {
    Deployment::each(Options::default(), async |deployment| {
        let register = async |method: &str| {
            let body = json!({
                "redirect_uris": [CALLBACK], "client_name": "Before", "token_endpoint_auth_method": method,
                "software_id": "gone with the update",
            });
            let answer =
                http().post(format!("{}/oauth/register", deployment.issuer())).json(&body).send().await.unwrap();
            answer.json::<Value>().await.unwrap()
        };
        let registered = register("client_secret_basic").await;
        let text = |name: &str| registered[name].as_str().unwrap().to_owned();
        let (id, token, uri) = (text("client_id"), text("registration_access_token"), text("registration_client_uri"));
        assert_eq!(uri, format!("{}/oauth/register/{id}", deployment.issuer()));
        // Any facade will do.
        let at = uri.replace(deployment.issuer(), deployment.other());
        let ask = async |method: Method, uri: &str, token: &str, body: Option<&Value>| {
            let mut request = http().request(method, uri).bearer_auth(token);
            if let Some(body) = body {
                request = request.json(body);
            }
            request.send().await.unwrap()
        };
        let read: Value = ask(Method::GET, &at, &token, None).await.json().await.unwrap();
        assert_eq!((&read["client_id"], &read["client_name"]), (&json!(id), &json!("Before")));
        assert_eq!(
            (&read["registration_client_uri"], &read["registration_access_token"]),
            (&json!(uri), &json!(token))
        );
        assert!(read.get("client_secret").is_none() && !read.as_object().unwrap().values().any(Value::is_null));

        let update = json!({
            "client_id": id, "client_secret": text("client_secret"), "client_name": "After",
            "redirect_uris": ["https://after.example/cb"], "token_endpoint_auth_method": "client_secret_basic",
        });
        let updated = ask(Method::PUT, &at, &token, Some(&update)).await;
        assert_eq!(updated.status(), StatusCode::OK);
        let updated: Value = updated.json().await.unwrap();
        assert_eq!(updated["redirect_uris"], json!(["https://after.example/cb"]));
        assert!(updated["client_name"] == "After" && updated.get("software_id").is_none(), "{updated}");

        // What only the server says, another client's id, another secret, what cannot be registered.
        for (change, error) in [
            (json!({"registration_access_token": token}), "invalid_client_metadata"),
            (json!({"client_id_issued_at": 1}), "invalid_client_metadata"),
            (json!({"client_id": "another"}), "invalid_client_metadata"),
            (json!({"client_id": null}), "invalid_client_metadata"),
            (json!({"redirect_uris": ["javascript:x"]}), "invalid_redirect_uri"),
            (json!({"token_endpoint_auth_method": "none"}), "invalid_request"),
        ] {
            let mut body = update.clone();
            body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            refused(ask(Method::PUT, &at, &token, Some(&body)).await, StatusCode::BAD_REQUEST, error).await;
        }
        let mut body = update.clone();
        body["client_secret"] = json!("gdk_".to_owned() + &"A".repeat(43));
        refused(ask(Method::PUT, &at, &token, Some(&body)).await, StatusCode::UNAUTHORIZED, "invalid_client").await;

        // Nobody else, and nobody learns who is there.
        let other = register("none").await;
        let theirs = other["registration_access_token"].as_str().unwrap();
        let nobody = format!("{}/oauth/register/nobody", deployment.issuer());
        let strange = format!("{}/oauth/register/%00{{}}", deployment.issuer());
        for (uri, token) in
            [(&at, theirs), (&at, "x"), (&at, &text("client_secret")), (&nobody, &token), (&strange, &token)]
        {
            for (method, body) in [(Method::GET, None), (Method::PUT, Some(&update)), (Method::DELETE, None)] {
                let mut update = body.cloned();
                if let Some(body) = &mut update {
                    body["client_id"] = json!(uri.rsplit('/').next().unwrap());
                }
                let answer = ask(method.clone(), uri, token, update.as_ref()).await;
                if answer.status() == StatusCode::BAD_REQUEST && uri == &strange {
                    continue;
                }
                assert!(
                    answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer "),
                    "{method} {uri}"
                );
                refused(answer, StatusCode::UNAUTHORIZED, "invalid_token").await;
            }
        }
        let answer = http().get(&at).send().await.unwrap();
        refused(answer, StatusCode::UNAUTHORIZED, "invalid_token").await;

        assert_eq!(ask(Method::DELETE, &at, &token, None).await.status(), StatusCode::NO_CONTENT);
        refused(ask(Method::GET, &uri, &token, None).await, StatusCode::UNAUTHORIZED, "invalid_token").await;
        refused(ask(Method::DELETE, &uri, &token, None).await, StatusCode::UNAUTHORIZED, "invalid_token").await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_ends_its_registration_ends_its_grants() {
    let deployment = Deployment::embedded(Options::default()).await;
    let client = Client::register(deployment.issuer()).await;
    let body = json!({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"});
    let answer = http().post(format!("{}/oauth/register", deployment.issuer())).json(&body).send().await.unwrap();
    let registered: Value = answer.json().await.unwrap();
    let ending = Client { id: registered["client_id"].as_str().unwrap().to_owned(), ..client.clone() };
    let (pair, stays) = (ending.pair().await, client.pair().await);
    let uri = registered["registration_client_uri"].as_str().unwrap();
    let token = registered["registration_access_token"].as_str().unwrap();
    assert_eq!(http().delete(uri).bearer_auth(token).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert!(!ending.is_accepted(&pair.access).await && client.is_accepted(&stays.access).await);
    refused(ending.refresh(&pair.refresh).await, StatusCode::UNAUTHORIZED, "invalid_client").await;
}
