//! Clients whose id is the URL of a metadata document, with a site of their own: HTTPS, and able to misbehave.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Redirect, Response},
};
use serde_json::{Value, json};

use crate::{
    binary::ran,
    harness::{
        Client, Deployment, Options, Site,
        client::{CALLBACK, pair, refused},
        http,
    },
};

/// What the site serves, and how often it was asked.
struct Content {
    port: u16,
    redirect_uris: Mutex<Value>,
    asked: AtomicUsize,
}

/// A site of clients, and what it holds.
pub(crate) struct ClientSite {
    pub(crate) site: Site,
    content: Arc<Content>,
}

async fn serve(State(content): State<Arc<Content>>, uri: Uri) -> Response {
    content.asked.fetch_add(1, Ordering::Relaxed);
    let id = format!("https://localhost:{}{uri}", content.port);
    let document = |id: &str| {
        json!({
            "client_id": id, "client_name": "Documented", "redirect_uris": *content.redirect_uris.lock().unwrap(),
            "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "urn:x"], "more": null,
        })
    };
    match uri.path() {
        "/redirect" => Redirect::temporary("/client.json").into_response(),
        "/html" => axum::response::Html("<h1>Sign in to the Wi-Fi</h1>").into_response(),
        "/other" => axum::Json(document("https://localhost/client.json")).into_response(),
        "/missing" => StatusCode::NOT_FOUND.into_response(),
        "/broken" => StatusCode::BAD_GATEWAY.into_response(),
        "/huge" => axum::Json(json!({ "client_id": id, "filler": "x".repeat(100_000) })).into_response(),
        "/nothing" => axum::Json(json!({ "client_id": id })).into_response(),
        "/secret" => {
            let mut document = document(&id);
            document["token_endpoint_auth_method"] = json!("client_secret_basic");
            axum::Json(document).into_response()
        }
        "/script" => {
            let mut document = document(&id);
            document["redirect_uris"] = json!(["javascript:alert(1)"]);
            axum::Json(document).into_response()
        }
        "/slow" => std::future::pending().await,
        _ => axum::Json(document(&id)).into_response(),
    }
}

impl ClientSite {
    pub(crate) async fn start() -> Self {
        let mut content = None;
        let site = Site::start(|port| {
            let held = Arc::new(Content {
                port,
                redirect_uris: Mutex::new(json!(["http://localhost/callback"])),
                asked: AtomicUsize::new(0),
            });
            content = Some(held.clone());
            Router::new().fallback(serve).with_state(held)
        })
        .await;
        Self { site, content: content.unwrap() }
    }

    fn asked(&self) -> usize {
        self.content.asked.load(Ordering::Relaxed)
    }

    fn client(&self, base: &str, path: &str) -> Client {
        let id = self.site.url(path);
        Client { base: base.to_owned(), id, secret: None, registration: String::new(), http: http() }
    }

    /// Lets its clients in, on this machine.
    pub(crate) fn options(&self) -> Options {
        Options { config: self.site.client_metadata(), ..Options::default() }
    }
}

#[tokio::test]
async fn a_client_with_a_document_needs_no_registration() {
    let site = Arc::new(tokio::sync::Mutex::new(ClientSite::start().await));
    let options = site.lock().await.options();
    Deployment::each(options, async |deployment| {
        let mut site = site.lock().await;
        let metadata = format!("{}/.well-known/oauth-authorization-server", deployment.issuer());
        let metadata: Value = http().get(&metadata).send().await.unwrap().json().await.unwrap();
        assert_eq!(metadata["client_id_metadata_document_supported"], true);

        // The document names no port; the client has one. Before somebody signs in nothing is written.
        let client = site.client(deployment.issuer(), "/client.json");
        let keys = async || match &deployment.redis {
            Some(redis) => redis.keys("*").await,
            None => vec![],
        };
        let before = keys().await;
        assert_eq!(client.get_authorize(&client.authorize_query(&[]), "").await.status(), StatusCode::OK);
        assert_eq!(keys().await, before);
        let page = client.consent_page(&[]).await;
        assert!(page.html.contains(&format!("localhost:{}", site.content.port)) && page.html.contains("Documented"));
        let first = client.pair().await;
        let second = client.at(deployment.other()).pair().await;
        assert_eq!(site.asked(), 1, "what was fetched is kept, and known to every facade");
        assert!(client.is_accepted(&first.access).await);

        // Its site is away: nobody is signed out, and what is as new serves.
        site.site.stop().await;
        let first = pair(client.refresh(&first.refresh).await).await;
        client.pair().await;
        // All installs share the id, and their grants are told apart.
        let form = [("token", second.access.as_str()), ("client_id", client.id.as_str())];
        let revoke = format!("{}/oauth/revoke", deployment.issuer());
        assert!(client.http.post(&revoke).form(&form).send().await.unwrap().status().is_success());
        refused(client.refresh(&second.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        let first = pair(client.refresh(&first.refresh).await).await;

        // A redirect URI that is not in the document; and a client that is removed ends with its grants.
        let elsewhere = client.authorize_query(&[("redirect_uri", Some("http://localhost/cb"))]);
        assert_eq!(client.get_authorize(&elsewhere, "").await.status(), StatusCode::BAD_REQUEST);
        let role = if deployment.redis.is_some() { "token-service" } else { "serve" };
        let data = deployment.dir.path().join(role);
        ran(&["client", "remove", &client.id], data.to_str().unwrap()).await;
        refused(client.refresh(&first.refresh).await, StatusCode::UNAUTHORIZED, "invalid_client").await;
        // It comes back as another: nothing of before revives.
        site.site.start_again().await;
        let anew = client.pair().await;
        assert!(client.is_accepted(&anew.access).await);
        refused(client.refresh(&first.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        site.content.asked.store(0, Ordering::Relaxed);
    })
    .await;
}

#[tokio::test]
async fn it_survives_a_restart_without_its_site() {
    let mut site = ClientSite::start().await;
    let mut deployment = Deployment::embedded(site.options()).await;
    // A site that is broken is as good as away: that passes.
    let broken = site.client(deployment.issuer(), "/broken");
    let answer = broken.get_authorize(&broken.authorize_query(&[]), "").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);

    let client = site.client(deployment.issuer(), "/client.json");
    let first = client.pair().await;
    site.site.stop().await;
    deployment.processes[0].kill().await;
    deployment.restart_embedded().await;
    let first = pair(client.refresh(&first.refresh).await).await;
    assert!(client.is_accepted(&first.access).await);
    client.pair().await;
}

#[tokio::test]
async fn what_is_no_good_document_is_said_to_the_person() {
    let site = ClientSite::start().await;
    let deployment = Deployment::embedded(site.options()).await;
    for (path, status, says) in [
        ("/redirect", 400, "status 307"),
        ("/html", 400, "application/json"),
        ("/other", 400, "another client_id"),
        ("/missing", 400, "status 404"),
        ("/huge", 400, "more than"),
        ("/nothing", 400, "redirect_uris"),
        ("/secret", 400, "secret"),
        ("/script", 400, "redirect_uris[0]"),
        ("/slow", 503, ""),
        ("/a/../b", 400, "normal form"),
    ] {
        let client = site.client(deployment.issuer(), path);
        let answer = client.get_authorize(&client.authorize_query(&[]), "").await;
        assert_eq!(answer.status(), status, "{path}");
        assert!(answer.headers().get("location").is_none(), "{path}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(says), "{path}: {page}");
    }
    // Many at once are one fetch.
    let before = site.asked();
    let client = site.client(deployment.issuer(), "/at-once");
    let query = client.authorize_query(&[]);
    let pages = futures::future::join_all((0..20).map(|_| client.get_authorize(&query, ""))).await;
    assert!(pages.iter().all(|page| page.status() == StatusCode::OK));
    assert_eq!(site.asked(), before + 1);
}

#[tokio::test]
async fn nobody_makes_it_ask_its_own_network() {
    let site = ClientSite::start().await;
    let with = |lines: &str| {
        let config = format!("[client_metadata]\n{lines}\nca_file = \"{}\"\n", site.site.authority.display());
        Deployment::embedded(Options { config, ..Options::default() })
    };
    for (lines, says) in [
        ("enabled = false", "takes no URLs"),
        ("enabled = true", "no public address"),
        (
            "enabled = true\ninsecure_allow_private_addresses = true\nallowed_domains = [\"claude.ai\"]",
            "not one that this",
        ),
    ] {
        let deployment = with(lines).await;
        let client = site.client(deployment.issuer(), "/client.json");
        let answer = client.get_authorize(&client.authorize_query(&[("redirect_uri", Some(CALLBACK))]), "").await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{lines}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(says), "{lines}: {page}");
    }
    assert_eq!(site.asked(), 0);
}
