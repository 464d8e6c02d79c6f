//! Clients with a metadata document that show who they are with a key (`private_key_jwt`), at every endpoint and replica.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, http::Uri};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{
    Client, Deployment, Options, Signer, Site,
    client::{CALLBACK, Pair, VERIFIER, pair, refused},
    http,
    signer::ASSERTION_TYPE,
};

/// What the site serves at `/keys`; everything else is a document.
struct Content {
    port: u16,
    keys: Mutex<Vec<Value>>,
}

/// `/only`: keys at a URL, and nothing else is permitted. `/either`: keys in it, and none is permitted. Else: no keys.
async fn serve(State(content): State<Arc<Content>>, uri: Uri) -> Json<Value> {
    let url = |path: &str| format!("https://localhost:{}{path}", content.port);
    let keys = || json!({ "keys": *content.keys.lock().unwrap() });
    let mut document = json!({
        "client_id": url(uri.path()), "client_name": "With a key", "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "private_key_jwt",
    });
    match uri.path() {
        "/keys" => return Json(keys()),
        "/only" => document["jwks_uri"] = json!(url("/keys")),
        "/either" => {
            document["jwks"] = keys();
            document["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt", "none"]);
        }
        _ => document["token_endpoint_auth_method"] = json!("none"),
    }
    Json(document)
}

struct KeySite {
    site: Site,
    content: Arc<Content>,
}

impl KeySite {
    async fn start(keys: &[&Signer]) -> Self {
        let keys = Mutex::new(keys.iter().map(|signer| signer.jwk()).collect());
        let mut content = None;
        let site = Site::start(|port| {
            let held = Arc::new(Content { port, keys });
            content = Some(held.clone());
            Router::new().fallback(serve).with_state(held)
        })
        .await;
        Self { site, content: content.unwrap() }
    }

    fn options(&self) -> Options {
        Options { config: self.site.client_metadata(), ..Options::default() }
    }

    fn client(&self, base: &str, path: &str) -> Client {
        let id = self.site.url(path);
        Client { base: base.to_owned(), id, secret: None, registration: String::new(), http: http() }
    }
}

async fn post(client: &Client, path: &str, assertion: &str, more: &[(&str, &str)]) -> Response {
    let shown = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)];
    client.http.post(format!("{}{path}", client.base)).form(&[&shown, more].concat()).send().await.unwrap()
}

async fn exchange(client: &Client, assertion: &str, code: &str) -> Response {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("client_id", client.id.as_str()),
    ];
    post(client, "/oauth/token", assertion, &form).await
}

/// Without a `client_id`: the assertion says whose it is.
async fn refresh(client: &Client, assertion: &str, held: &Pair) -> Response {
    let form = [("grant_type", "refresh_token"), ("refresh_token", held.refresh.as_str())];
    post(client, "/oauth/token", assertion, &form).await
}

async fn no_client(answer: Response) {
    refused(answer, StatusCode::UNAUTHORIZED, "invalid_client").await;
}

#[tokio::test]
async fn an_assertion_is_good_once_at_every_replica() {
    let (rsa, p256, ed25519) = (Signer::rs256("r"), Signer::es256("p"), Signer::eddsa("e"));
    let site = KeySite::start(&[&rsa, &p256, &ed25519]).await;
    Deployment::each(site.options(), async |deployment| {
        let (issuer, endpoint) = (deployment.issuer(), format!("{}/oauth/token", deployment.issuer()));
        let client = site.client(issuer, "/only");
        let elsewhere = client.at(deployment.other());
        let code = client.code().await;
        let first = rsa.assertion(&client.id, &endpoint);
        let held = pair(exchange(&client, &first, &code).await).await;
        assert!(elsewhere.is_accepted(&held.access).await);
        // Used: here and elsewhere, whatever for; and what it was sent for stays as it was.
        for client in [&client, &elsewhere] {
            no_client(refresh(client, &first, &held).await).await;
        }
        let second = p256.assertion(&client.id, issuer);
        let held = pair(refresh(&elsewhere, &second, &held).await).await;
        no_client(refresh(&client, &second, &held).await).await;
        // Many at once with one assertion are one use.
        let once = ed25519.assertion(&client.id, issuer);
        let answers = futures::future::join_all(
            (0..8).map(|n| refresh(if n % 2 == 0 { &client } else { &elsewhere }, &once, &held)),
        )
        .await;
        let good: Vec<_> = answers.into_iter().filter(|answer| answer.status() == StatusCode::OK).collect();
        assert_eq!(good.len(), 1);
        let held = pair(good.into_iter().next().unwrap()).await;

        // What yields nothing uses nothing up.
        let kept = ed25519.assertion(&client.id, issuer);
        let forged = Pair { refresh: "gdr_AAAA".into(), ..held.clone() };
        refused(refresh(&client, &kept, &forged).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        let held = pair(refresh(&client, &kept, &held).await).await;

        let replayed = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            line["event"] == "client.assertion_replayed" && line["client_id"] == client.id.as_str()
        };
        while !deployment.logs().lines().any(replayed) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        for secret in [&first, &second, &once, &kept] {
            let signature = secret.rsplit('.').next().unwrap();
            assert!(!deployment.logs().contains(signature), "an assertion is in the log");
        }
        if let Some(redis) = &deployment.redis {
            let used = redis.keys("oauth:jti:*").await;
            assert_eq!(used.len(), 4, "{used:?}");
            for key in used {
                let left: i64 = redis.cli(&["TTL", &key]).await.parse().unwrap();
                assert!((1..=160).contains(&left), "{left}");
                assert!(!redis.cli(&["GET", &key]).await.contains(&first));
            }
        }
        // It has proven who it is: it may ask about its own tokens, and take them back.
        let ask =
            async |assertion: &str| post(&client, "/oauth/introspect", assertion, &[("token", &held.access)]).await;
        let question = p256.assertion(&client.id, issuer);
        let told: Value = ask(&question).await.json().await.unwrap();
        assert_eq!((&told["active"], &told["client_id"]), (&json!(true), &json!(client.id)));
        no_client(ask(&question).await).await;
        let by_its_word = [("token", held.access.as_str()), ("client_id", client.id.as_str())];
        let answer = client.http.post(format!("{issuer}/oauth/introspect")).form(&by_its_word).send().await.unwrap();
        no_client(answer).await;
        no_client(client.http.post(format!("{issuer}/oauth/revoke")).form(&by_its_word).send().await.unwrap()).await;
        let revoked =
            post(&client, "/oauth/revoke", &p256.assertion(&client.id, issuer), &[("token", &held.access)]).await;
        assert_eq!(revoked.status(), StatusCode::OK);
        let over = refresh(&client, &p256.assertion(&client.id, issuer), &held).await;
        refused(over, StatusCode::BAD_REQUEST, "invalid_grant").await;
    })
    .await;
}

#[tokio::test]
async fn what_is_no_good_assertion_is_refused_even_where_none_is_needed() {
    let (key, stranger) = (Signer::es256("k"), Signer::es256("k"));
    let site = KeySite::start(&[&key]).await;
    let deployment = Deployment::embedded(site.options()).await;
    let issuer = deployment.issuer();
    let client = site.client(issuer, "/either");
    // By none, by a key, and by either from then on.
    let held = pair(client.exchange(&client.code().await).await).await;
    let held = pair(refresh(&client, &key.assertion(&client.id, issuer), &held).await).await;
    let held = pair(client.refresh(&held.refresh).await).await;

    let claims = || Signer::claims(&client.id, issuer);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        key.signed(&claims, None)
    };
    let now = claims()["iat"].as_u64().unwrap();
    let good = key.signed(&claims(), None);
    let (message, _) = good.rsplit_once('.').unwrap();
    let unsigned = {
        let claims = message.split('.').nth(1).unwrap();
        format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#))
    };
    let other = site.client(issuer, "/only");
    for (what, assertion) in [
        ("another key of that name", stranger.signed(&claims(), None)),
        ("no signature", format!("{message}.")),
        ("alg none", unsigned),
        ("a shared secret", key.signed(&claims(), Some("HS256"))),
        ("another algorithm than its key's", key.signed(&claims(), Some("RS256"))),
        ("another client", key.signed(&Signer::claims(&other.id, issuer), None)),
        ("another issuer", with("iss", json!("x"))),
        ("another audience", with("aud", json!("https://other.example"))),
        ("two audiences", with("aud", json!([issuer, "https://other.example"]))),
        ("expired", with("exp", json!(now - 60))),
        ("too long", with("exp", json!(now + 3600))),
        ("not yet", with("nbf", json!(now + 300))),
        ("no jti", with("jti", Value::Null)),
        ("no JWT", "x".into()),
        ("empty", String::new()),
    ] {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", held.refresh.as_str()),
            ("client_id", client.id.as_str()),
        ];
        let answer = post(&client, "/oauth/token", &assertion, &form).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{what}");
        no_client(answer).await;
    }
    // Two ways at once, another type, and another client's id beside it.
    for more in [
        [("client_secret", "s"), ("x", "x")],
        [("client_id", other.id.as_str()), ("x", "x")],
        [("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), ("x", "x")],
    ] {
        let kind =
            more.iter().find(|(name, _)| *name == "client_assertion_type").map_or(ASSERTION_TYPE, |(_, kind)| kind);
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", held.refresh.as_str()),
            ("client_assertion_type", kind),
            ("client_assertion", good.as_str()),
        ];
        form.extend(more.iter().filter(|(name, _)| *name != "client_assertion_type"));
        no_client(client.http.post(format!("{issuer}/oauth/token")).form(&form).send().await.unwrap()).await;
    }
    // A client without keys, and one that registered, have nothing to sign with.
    let plain = site.client(issuer, "/plain");
    plain.pair().await;
    let registered = Client::register(issuer).await;
    for client in [&plain, &registered] {
        no_client(refresh(client, &key.assertion(&client.id, issuer), &held).await).await;
    }
    // Nothing of this harmed the grant, and the good one was not used up.
    let held = pair(refresh(&client, &good, &held).await).await;
    assert!(client.is_accepted(&held.access).await);
}

#[tokio::test]
async fn new_keys_are_found_and_a_site_that_is_away_signs_nobody_out() {
    let (old, new) = (Signer::eddsa("old"), Signer::eddsa("new"));
    let mut site = KeySite::start(&[&old]).await;
    let deployment = Deployment::embedded(site.options()).await;
    let issuer = deployment.issuer();
    let client = site.client(issuer, "/only");
    let code = client.code().await;
    // Its word alone is not enough, and costs no code.
    no_client(client.exchange(&code).await).await;
    let held = pair(exchange(&client, &old.assertion(&client.id, issuer), &code).await).await;

    // A key that came since is looked for, after a while; each answer until then is a refusal that harms nothing.
    *site.content.keys.lock().unwrap() = vec![new.jwk()];
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let held = loop {
        let answer = refresh(&client, &new.assertion(&client.id, issuer), &held).await;
        if answer.status() == StatusCode::OK {
            break pair(answer).await;
        }
        no_client(answer).await;
        assert!(tokio::time::Instant::now() < deadline, "the new key is not found");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    };
    // The old one is gone with the set that had it.
    no_client(refresh(&client, &old.assertion(&client.id, issuer), &held).await).await;

    site.site.stop().await;
    let held = pair(refresh(&client, &new.assertion(&client.id, issuer), &held).await).await;
    assert!(client.is_accepted(&held.access).await);
}

#[tokio::test]
async fn it_is_announced_where_documents_are() {
    let key = Signer::es256("k");
    let site = KeySite::start(&[&key]).await;
    for (options, announced) in [(site.options(), true), (Options::default(), false)] {
        let deployment = Deployment::embedded(options).await;
        let metadata = format!("{}/.well-known/oauth-authorization-server", deployment.issuer());
        let metadata: Value = http().get(metadata).send().await.unwrap().json().await.unwrap();
        for endpoint in ["token", "revocation", "introspection"] {
            let methods = metadata[format!("{endpoint}_endpoint_auth_methods_supported")].as_array().unwrap();
            assert_eq!(methods.contains(&json!("private_key_jwt")), announced, "{metadata}");
            let algorithms = &metadata[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")];
            assert_eq!(*algorithms, if announced { json!(["RS256", "ES256", "EdDSA"]) } else { Value::Null });
        }
        // SDKs that have no key take the first that they know.
        assert_eq!(metadata["token_endpoint_auth_methods_supported"][0], "none");
    }
}

/// Where nobody is let in who proves nothing, a document needs keys, and its client uses them.
#[tokio::test]
async fn where_none_is_not_allowed_a_client_uses_its_key() {
    let key = Signer::es256("k");
    let site = KeySite::start(&[&key]).await;
    let config =
        format!("[tokens]\nendpoint_auth_methods = [\"client_secret_basic\"]\n{}", site.site.client_metadata());
    let deployment = Deployment::embedded(Options { config, ..Options::default() }).await;
    let client = site.client(deployment.issuer(), "/either");
    let code = client.code().await;
    no_client(client.exchange(&code).await).await;
    pair(exchange(&client, &key.assertion(&client.id, deployment.issuer()), &code).await).await;
    let plain = site.client(deployment.issuer(), "/plain");
    assert_eq!(plain.get_authorize(&plain.authorize_query(&[]), "").await.status(), StatusCode::BAD_REQUEST);
}
