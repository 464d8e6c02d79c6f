//! Several resources, a public URL with a path, and scopes that single calls need.

use std::sync::{Arc, Mutex};

use axum::{Router, extract::Request, http::HeaderMap};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::harness::{
    Client, Deployment, Options, PASSWORD, Site,
    client::{pair, refused},
    http,
    programs::{Upstream, run},
};

const OWNER: [&str; 4] = ["--user", "owner", "--password", PASSWORD];

/// An upstream that notes the path and the headers of what reaches it.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Vec<(String, HeaderMap)>>>);

impl Noting {
    async fn start(&self) -> String {
        let noted = self.0.clone();
        let app = Router::new().fallback(move |request: Request| {
            let path = request.uri().path_and_query().unwrap().to_string();
            noted.lock().unwrap().push((path, request.headers().clone()));
            async { axum::Json(json!({})) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/inner", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }

    fn scope(&self) -> String {
        self.0.lock().unwrap().last().unwrap().1["x-grantd-scope"].to_str().unwrap().to_owned()
    }
}

async fn json_of(url: &str) -> Value {
    let answer = http().get(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{url}");
    answer.json().await.unwrap()
}

async fn post(url: &str, access: &str, message: Value) -> Response {
    http().post(url).bearer_auth(access).json(&message).send().await.unwrap()
}

fn call(tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
}

#[tokio::test]
async fn each_resource_has_its_own_scopes_tokens_and_upstream() {
    let (articles, billing) = (Noting::default(), Noting::default());
    let config = format!(
        "[[resource]]\npaths = [\"/mcp\", \"/messages\"]\nupstream = \"{}\"\nscopes = [\"read\", \"write\"]\ndefault_scopes = [\"read\"]\n\
         [[resource]]\npaths = [\"/:billing/mcp\"]\nupstream = \"{}\"\nscopes = [\"pay\"]\nallow_groups = [\"owner\", \"cashiers\"]\n\
         [scopes]\nread = \"Read\"\nwrite = \"Write\"\npay = \"Pay\"\n",
        articles.start().await,
        billing.start().await
    );
    Deployment::each(Options { config, ..Options::default() }, |deployment| {
        let (articles, billing) = (articles.clone(), billing.clone());
        async move {
            let issuer = deployment.issuer().to_owned();
            let (first, second) = (format!("{issuer}/mcp"), format!("{issuer}/:billing/mcp"));
            for (resource, path, scopes, defaults) in
                [(&first, "/mcp", json!(["read", "write"]), "read"), (&second, "/:billing/mcp", json!(["pay"]), "pay")]
            {
                let metadata = json_of(&format!("{issuer}/.well-known/oauth-protected-resource{path}")).await;
                assert_eq!(metadata["resource"], **resource);
                assert_eq!(metadata["scopes_supported"], scopes);
                assert_eq!(metadata["authorization_servers"], json!([issuer]));
                let challenge = http().post(resource.as_str()).send().await.unwrap();
                assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
                assert_eq!(
                    challenge.headers()["www-authenticate"],
                    format!("Bearer resource_metadata=\"{issuer}/.well-known/oauth-protected-resource{path}\", scope=\"{defaults}\"")
                );
            }
            let client = Client::register(&issuer).await;
            let tokens = async |change: &[(&str, Option<&str>)]| {
                let code = client.code_with(change).await;
                pair(client.exchange(&code).await).await
            };
            let reader = tokens(&[("resource", Some(&first))]).await;
            assert_eq!(reader.scope, "read");
            let payer = tokens(&[("resource", Some(&second)), ("scope", Some("read write pay"))]).await;
            assert_eq!(payer.scope, "pay", "a scope of another resource is not granted");

            for (own, other, token) in [(&first, &second, &reader.access), (&second, &first, &payer.access)] {
                assert_eq!(post(own, token, call("a")).await.status(), StatusCode::OK);
                let refused = post(other, token, call("a")).await;
                assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
                let challenges: Vec<_> = refused.headers().get_all("www-authenticate").iter().collect();
                assert_eq!(challenges.len(), 1);
                assert!(challenges[0].to_str().unwrap().starts_with("Bearer error=\"invalid_token\", resource_metadata="));
            }
            assert_eq!(post(&format!("{issuer}/messages?x=1"), &reader.access, call("a")).await.status(), StatusCode::OK);
            assert_eq!(articles.0.lock().unwrap().drain(..).map(|(path, _)| path).collect::<Vec<_>>(), ["/inner", "/messages?x=1"]);
            assert_eq!(billing.paths(), ["/inner"]);
            billing.0.lock().unwrap().clear();

            // The code is for the resource it was asked for (RFC 8707 §2.2).
            let code = client.code_with(&[("resource", Some(&first))]).await;
            let elsewhere = [
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", crate::harness::client::CALLBACK),
                ("code_verifier", crate::harness::client::VERIFIER),
                ("resource", &second),
            ];
            refused(client.token(&elsewhere).await, StatusCode::BAD_REQUEST, "invalid_target").await;
            let unknown = client.authorize_query(&[("resource", Some("https://elsewhere.example/mcp"))]);
            let answer = client.get_authorize(&unknown, "").await;
            assert!(answer.headers()["location"].to_str().unwrap().contains("error=invalid_target"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_public_url_may_have_a_path() {
    let upstream = Upstream::typescript().await;
    let options = Options { upstream: upstream.url.clone(), path: "/base".into(), ..Options::default() };
    Deployment::each(options, |deployment| async move {
        let issuer = deployment.issuer().to_owned();
        let origin = issuer.strip_suffix("/base").unwrap();
        let resource = deployment.resource();
        let challenge = http().post(&resource).send().await.unwrap();
        assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
        let metadata = format!("{origin}/.well-known/oauth-protected-resource/base/mcp");
        assert!(challenge.headers()["www-authenticate"].to_str().unwrap().contains(&format!("\"{metadata}\"")));
        for url in [
            metadata.as_str(),
            &format!("{origin}/.well-known/oauth-protected-resource"),
            &format!("{issuer}/.well-known/oauth-protected-resource"),
            &format!("{issuer}/.well-known/oauth-protected-resource/mcp"),
        ] {
            let document = json_of(url).await;
            assert_eq!(
                (&document["resource"], &document["authorization_servers"][0]),
                (&json!(resource), &json!(issuer)),
                "{url}"
            );
        }
        for url in [
            format!("{origin}/.well-known/oauth-authorization-server/base"),
            format!("{origin}/.well-known/oauth-authorization-server/base/mcp"),
            format!("{origin}/.well-known/oauth-authorization-server"),
            format!("{issuer}/.well-known/oauth-authorization-server"),
        ] {
            let document = json_of(&url).await;
            assert_eq!(
                (&document["issuer"], &document["token_endpoint"]),
                (&json!(issuer), &json!(format!("{issuer}/oauth/token"))),
                "{url}"
            );
        }
        for missing in [
            format!("{origin}/.well-known/openid-configuration/base"),
            format!("{issuer}/.well-known/openid-configuration"),
            format!("{origin}/.well-known/oauth-protected-resource/other"),
            format!("{origin}/.well-known/oauth-authorization-server/other"),
        ] {
            let answer = http().get(&missing).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{missing}");
            assert_eq!(answer.headers()["content-type"], "application/json", "{missing}");
        }
        // Real clients find their way, and so does a proxy that strips the path.
        for client in ["clients/typescript.mjs", "clients/python.py"] {
            let args = [&["--url", resource.as_str()], &OWNER[..], &["--tool", "whoami"]].concat();
            let done = run(client, &args).await;
            assert_eq!(done["authorizations"], 1, "{done}");
            assert!(done["result"].to_string().contains("owner"), "{done}");
        }
        let tokens = Client::register(&issuer).await.pair().await;
        for url in [format!("{origin}/mcp"), format!("{issuer}/mcp/")] {
            let answer = http().post(&url).bearer_auth(&tokens.access).header("accept", "*/*").json(&call("x")).send();
            assert_ne!(answer.await.unwrap().status(), StatusCode::UNAUTHORIZED, "{url}");
        }
    })
    .await;
}

const RULES: &str = "[[resource]]\npaths = [\"/mcp\"]\nupstream = \"UPSTREAM\"\nscopes = [\"read:articles\", \"write:articles\"]\nDEFAULTS\n\
     [[resource.rule]]\nmethods = [\"tools/call\"]\nnames = [\"publish_*\"]\nscopes = [\"write:articles\"]\n\
     [scopes]\n\"read:articles\" = \"Read your articles\"\n\"write:articles\" = \"Write and publish articles\"\n";

#[tokio::test]
async fn a_client_steps_up_to_the_union_of_scopes() {
    let upstream = Upstream::typescript().await;
    let config = RULES.replace("DEFAULTS", "default_scopes = [\"read:articles\"]\nhide_forbidden_tools = true");
    Deployment::each(
        Options { upstream: upstream.url.clone(), config, ..Options::default() },
        |deployment| async move {
            let resource = deployment.resource();
            for client in ["clients/typescript.mjs", "clients/python.py"] {
                let state = tempfile::tempdir().unwrap();
                let file = state.path().join("state.json");
                let drive = async |tool: &str, args: &str| {
                    let args = [
                        &["--url", resource.as_str()],
                        &OWNER[..],
                        &["--tool", tool, "--args", args, "--state", file.to_str().unwrap()],
                    ];
                    run(client, &args.concat()).await
                };
                let read = drive("echo", "{\"text\": \"hello\"}").await;
                assert_eq!(
                    (&read["authorizations"], &read["tokens"]["scope"]),
                    (&json!(1), &json!("read:articles")),
                    "{read}"
                );
                let tools = |of: &Value| of["tools"].to_string();
                assert!(tools(&read).contains("echo") && !tools(&read).contains("publish_article"), "{read}");
                let written = drive("publish_article", "{\"title\": \"News\"}").await;
                assert_eq!(written["authorizations"], 1, "it stepped up once: {written}");
                assert_eq!(written["tokens"]["scope"], "read:articles write:articles", "{written}");
                assert_eq!(written["client_id"], read["client_id"]);
                let again = drive("publish_article", "{\"title\": \"More\"}").await;
                assert_eq!(again["authorizations"], 0, "{again}");
                assert!(tools(&again).contains("publish_article"), "{again}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_client_that_cannot_step_up_has_the_working_scopes_from_the_first_challenge() {
    let upstream = Upstream::typescript().await;
    let config = RULES.replace("DEFAULTS", "");
    let deployment =
        Deployment::embedded(Options { upstream: upstream.url.clone(), config, ..Options::default() }).await;
    let resource = deployment.resource();
    // TypeScript SDK 1.x cannot step up once it has a refresh token; Python SDK 1.x asks for the challenged scope alone.
    for client in ["clients/typescript.mjs", "clients/python.py"] {
        for version in [&["--v1"][..], &[]] {
            let args = [
                &["--url", resource.as_str()],
                &OWNER[..],
                &["--tool", "publish_article", "--args", "{\"title\": \"News\"}"],
                version,
            ];
            let done = run(client, &args.concat()).await;
            assert_eq!(done["authorizations"], 1, "{client} {version:?}: {done}");
            assert_eq!(done["tokens"]["scope"], "read:articles write:articles", "{client} {version:?}: {done}");
        }
    }
}

#[tokio::test]
async fn a_scope_implies_others_wherever_it_is_asked_for_and_nowhere_else() {
    let noting = Noting::default();
    let config = format!(
        "[[resource]]\npaths = [\"/mcp\"]\nupstream = \"{}\"\n\
         [[resource.rule]]\nmethods = [\"tools/call\"]\nnames = [\"!write_*\"]\nscopes = [\"read\"]\n\
         [[resource.rule]]\nmethods = [\"tools/call\"]\nnames = [\"write_*\"]\nscopes = [\"write\"]\n\
         [scopes]\nread = \"Read your articles\"\nwrite = {{ description = \"Change your articles\", implies = [\"read\"] }}\n",
        noting.start().await
    );
    Deployment::each(Options { config, ..Options::default() }, |deployment| {
        let noting = noting.clone();
        async move {
            let resource = deployment.resource();
            let client = Client::register(deployment.issuer()).await;
            let page = client.consent_page(&[("scope", Some("write"))]).await;
            for described in ["Read your articles", "Change your articles"] {
                assert!(page.html.contains(described), "the person reads all of it: {}", page.html);
            }
            let writer = client.pair_with(&[("scope", Some("write"))]).await;
            assert_eq!(writer.scope, "write", "the answer says what was granted");
            for tool in ["read_article", "write_article"] {
                assert_eq!(post(&resource, &writer.access, call(tool)).await.status(), StatusCode::OK, "{tool}");
                assert_eq!(noting.scope(), "read write");
            }
            let reader = client.pair_with(&[("scope", Some("read"))]).await;
            assert_eq!(post(&resource, &reader.access, call("read_article")).await.status(), StatusCode::OK);
            assert_eq!(noting.scope(), "read");
            let answer = post(&resource, &reader.access, call("write_article")).await;
            let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().cloned().collect();
            assert_eq!(
                challenges,
                [format!(
                    "Bearer error=\"insufficient_scope\", resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\", scope=\"read write\"",
                    deployment.issuer()
                )]
            );
            refused(answer, StatusCode::FORBIDDEN, "insufficient_scope").await;
        }
    })
    .await;
}

/// Whatever is called, and before a body is read; the refusal leads to a token that is good.
#[tokio::test]
async fn what_every_call_needs_is_asked_for_with_the_token() {
    let noting = Noting::default();
    let config = format!(
        "[[resource]]\npaths = [\"/mcp\"]\nupstream = \"{}\"\ndefault_scopes = [\"admin\"]\nrequired_scopes = [\"use\"]\n\
         [scopes]\nuse = \"Use this server\"\nread = \"Read\"\nadmin = {{ description = \"All\", implies = [\"use\", \"read\"] }}\n",
        noting.start().await
    );
    Deployment::each(Options { config, ..Options::default() }, |deployment| {
        let noting = noting.clone();
        async move {
            let resource = deployment.resource();
            let client = Client::register(deployment.issuer()).await;
            let with = async |scope: Option<&str>| client.pair_with(&[("scope", scope)]).await;
            let before = noting.paths().len();
            let reader = with(Some("read")).await;
            for method in [reqwest::Method::POST, reqwest::Method::GET, reqwest::Method::DELETE] {
                let answer =
                    http().request(method, &resource).bearer_auth(&reader.access).body("{").send().await.unwrap();
                let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
                assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
                assert!(challenge.ends_with("scope=\"read use\""), "with what it has already: {challenge}");
                refused(answer, StatusCode::FORBIDDEN, "insufficient_scope").await;
            }
            assert_eq!(noting.paths().len(), before, "nothing reached the upstream");
            for scope in [Some("read use"), Some("admin"), None] {
                let token = with(scope).await;
                assert_eq!(post(&resource, &token.access, call("any")).await.status(), StatusCode::OK, "{scope:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_upstream_has_an_authority_of_its_own() {
    let app = |_| Router::new().fallback(async || axum::Json(json!({"at": "the site"})));
    let (site, other) = (Site::start(app).await, Site::start(app).await);
    let resource = |path: &str, authority: Option<&Site>| {
        let authority = authority.map(|site| format!("ca_file = \"{}\"\n", site.authority.display()));
        let upstream = site.url("/mcp");
        format!("[[resource]]\npaths = [\"{path}\"]\nupstream = \"{upstream}\"\n{}", authority.unwrap_or_default())
    };
    let config = resource("/mcp", Some(&site)) + &resource("/public", None) + &resource("/foreign", Some(&other));
    let deployment = Deployment::embedded(Options { config, ..Options::default() }).await;
    let client = Client::register(deployment.issuer()).await;
    for (path, status) in [
        ("/mcp", StatusCode::OK),
        ("/public", StatusCode::BAD_GATEWAY),
        ("/foreign", StatusCode::BAD_GATEWAY),
        ("/mcp", StatusCode::OK),
    ] {
        let resource = format!("{}{path}", deployment.issuer());
        let code = client.code_with(&[("resource", Some(&resource))]).await;
        let token = pair(client.exchange(&code).await).await;
        let answer = post(&resource, &token.access, call("any")).await;
        assert_eq!(answer.status(), status, "{path}");
        if status == StatusCode::OK {
            assert_eq!(answer.json::<Value>().await.unwrap()["at"], "the site");
        }
    }
}
