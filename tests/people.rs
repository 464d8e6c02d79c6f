//! What an operator changes about a person reaches the MCP server with the next call.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Request};
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    binary::ran,
    harness::{
        Client, Deployment, Options,
        client::{pair, refused},
    },
};

/// An upstream that tells the identity headers of the last request.
#[derive(Clone, Default)]
struct Telling(Arc<Mutex<HashMap<String, String>>>);

impl Telling {
    async fn start(&self) -> String {
        let last = self.0.clone();
        let app = Router::new().fallback(move |request: Request| {
            let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
            let headers = request.headers().iter().map(|(name, value)| (name.to_string(), text(value)));
            *last.lock().unwrap() = headers.collect();
            async { axum::Json(json!({})) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn header(&self, name: &str) -> String {
        self.0.lock().unwrap().get(name).cloned().unwrap_or_default()
    }
}

/// A person with a client, each at a gate of their own, whose answers are trusted for so long that only an announcement can
/// be the reason why they are not.
struct World {
    deployment: Deployment,
    upstream: Telling,
    data: String,
    gates: Vec<Client>,
}

/// `write` is for writers, and asked for by a tool; the resource admits the group `owner`.
async fn each(test: impl AsyncFn(World)) {
    let upstream = Telling::default();
    let config = format!(
        "[gate]\ncache_max_age = \"60s\"\n\
         [[resource]]\npaths = [\"/mcp\"]\nupstream = \"{}\"\nscopes = [\"read\", \"write\"]\n\
         [[resource.rule]]\nmethods = [\"tools/call\"]\nnames = [\"write_*\"]\nscopes = [\"write\"]\n\
         [scopes]\nread = \"Read\"\nwrite = {{ description = \"Write\", allow_groups = [\"writers\"] }}\n",
        upstream.start().await
    );
    let options = Options { config, ..Options::default() };
    for deployment in [Deployment::embedded(options.clone()).await, Deployment::distributed(options).await] {
        let role = if deployment.redis.is_some() { "token-service" } else { "serve" };
        eprintln!("== {role}");
        let data = deployment.dir.path().join(role).to_str().unwrap().to_owned();
        ran(&["user", "set", "owner", "--group", "owner", "--group", "writers"], &data).await;
        let client = Client::register(deployment.issuer()).await;
        let gates = deployment.facades.iter().map(|facade| client.at(facade)).collect();
        let world = World { deployment, upstream: upstream.clone(), data, gates };
        world.until_gates_listen().await;
        test(world).await;
    }
}

impl World {
    async fn set(&self, what: &[&str]) -> String {
        ran(&[&["user", "set", "owner"], what].concat(), &self.data).await
    }

    async fn call(gate: &Client, access: &str, tool: &str) -> reqwest::Response {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}});
        gate.http.post(format!("{}/mcp", gate.base)).bearer_auth(access).json(&message).send().await.unwrap()
    }

    /// What the upstream is told in `name` of a call that every gate lets through.
    async fn told(&self, gate: &Client, access: &str, name: &str) -> String {
        let answer = Self::call(gate, access, "read_it").await;
        assert_eq!(answer.status(), StatusCode::OK);
        self.upstream.header(name)
    }

    /// Waits until a header is told so, by the announcement and nothing else.
    async fn until_told(&self, gate: &Client, access: &str, name: &str, value: &str) {
        let begun = Instant::now();
        while self.told(gate, access, name).await != value {
            assert!(begun.elapsed() < Duration::from_secs(30), "{name} is not {value:?}: nothing was announced");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A change that a gate hears of shows that it listens.
    async fn until_gates_listen(&self) {
        let tokens = self.gates[0].pair().await;
        for (n, gate) in self.gates.iter().enumerate() {
            for round in 0.. {
                self.told(gate, &tokens.access, "x-forwarded-email").await;
                let email = format!("{n}.{round}@example.com");
                self.set(&["--email", &email]).await;
                let begun = Instant::now();
                let mut heard = false;
                while !heard && begun.elapsed() < Duration::from_millis(500) {
                    heard = self.told(gate, &tokens.access, "x-forwarded-email").await == email;
                }
                if heard {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_set_about_a_person_is_told_at_every_warm_gate() {
    each(async |world| {
        let tokens = world.gates[0].pair().await;
        let mut users = Vec::new();
        for gate in &world.gates {
            users.push(world.told(gate, &tokens.access, "x-forwarded-user").await);
        }
        assert_eq!(world.upstream.header("x-forwarded-groups"), "owner,writers");

        let said =
            world.set(&["--email", "j\u{f6}rg@example.com", "--group", "owner", "--group", "sales, Berlin"]).await;
        assert_eq!(said.trim(), "Changed owner: e-mail j\u{f6}rg@example.com, groups owner, sales, Berlin.");
        for gate in &world.gates {
            world.until_told(gate, &tokens.access, "x-forwarded-groups", "owner,sales%2C Berlin").await;
            assert_eq!(world.upstream.header("x-forwarded-email"), "j%C3%B6rg@example.com");
            assert_eq!(world.upstream.header("x-grantd-scope"), "read");
            assert_eq!(world.upstream.header("x-forwarded-user"), users[0], "they are who they were");
            // Not the tool that needs what needed the group.
            let refusal = World::call(gate, &tokens.access, "write_it").await;
            assert_eq!(refusal.status(), StatusCode::FORBIDDEN);
            assert!(refusal.headers()["www-authenticate"].to_str().unwrap().contains("insufficient_scope"));
        }
        // One field alone, and the client goes on, with the scope that comes back with the group.
        world.set(&["--no-email"]).await;
        world.until_told(&world.gates[0], &tokens.access, "x-forwarded-email", "").await;
        assert_eq!(world.upstream.header("x-forwarded-groups"), "owner,sales%2C Berlin");
        world.set(&["--group", "owner", "--group", "writers"]).await;
        let next = pair(world.gates[0].refresh(&tokens.refresh).await).await;
        for gate in &world.gates {
            assert_eq!(World::call(gate, &next.access, "write_it").await.status(), StatusCode::OK);
        }
        let listed = ran(&["user", "list"], &world.data).await;
        assert!(listed.contains(&users[0]) && listed.contains("owner,writers"), "{listed}");
    })
    .await;
}

#[tokio::test]
async fn who_is_in_no_group_of_the_resource_any_more_is_refused_at_every_warm_gate() {
    each(async |world| {
        let tokens = world.gates[0].pair().await;
        for gate in &world.gates {
            world.told(gate, &tokens.access, "x-forwarded-user").await;
        }
        assert!(world.set(&["--no-groups"]).await.contains("groups none"));
        for gate in &world.gates {
            let begun = Instant::now();
            while World::call(gate, &tokens.access, "read_it").await.status() != StatusCode::UNAUTHORIZED {
                assert!(begun.elapsed() < Duration::from_secs(30), "nothing was announced");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        refused(world.gates[0].refresh(&tokens.refresh).await, StatusCode::BAD_REQUEST, "invalid_grant").await;
        // Their password is what it was; back in the group, they agree again.
        world.set(&["--group", "owner"]).await;
        let tokens = world.gates[0].pair().await;
        assert_eq!(World::call(&world.gates[0], &tokens.access, "read_it").await.status(), StatusCode::OK);
        assert!(world.deployment.logs().contains("\"grant.orphaned\""));
    })
    .await;
}
