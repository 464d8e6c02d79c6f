//! `examples/python-caller`: another service, in another language, that has nothing of grantd but the published `.proto`.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    harness::{Client, Options, Process, client::CALLBACK, deployment::start, free_port, http, programs::attempt},
    tls::{Authority, authority, issue},
};

const CALLER: &str = "../examples/python-caller/caller.py";
const KEY: &str = "key-of-the-python-caller-0123456789abcdef";
const VERIFY_KEY: &str = "key-of-a-caller-that-only-verifies-0123456789";

/// A token service that serves TLS and knows its callers by keys in files, and a facade beside it.
struct Halves {
    dir: tempfile::TempDir,
    grpc: u16,
    base: String,
    _processes: [Process; 2],
    _issuer: Authority,
}

impl Halves {
    async fn start() -> Self {
        let issuer = authority();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        std::fs::write(path.join("ca.crt"), issuer.pem()).unwrap();
        std::fs::write(path.join("stranger.crt"), authority().pem()).unwrap();
        issue(path, "service", "localhost", &issuer);
        for (name, key) in
            [("key", KEY), ("verify-key", VERIFY_KEY), ("wrong-key", "wrong-wrong-wrong-wrong-wrong-wrong")]
        {
            std::fs::write(path.join(name), format!("{key}\n")).unwrap();
        }
        let (grpc, port) = (free_port(), free_port());
        let base = format!("http://localhost:{port}");
        let file = |name: &str| path.join(name).display().to_string();
        let service = format!(
            "public_url = \"{base}\"\n[token_service]\nlisten = \"127.0.0.1:{grpc}\"\n\
             tls = {{ cert_file = \"{}\", key_file = \"{}\" }}\n\
             [[token_service.caller]]\nname = \"python\"\nrole = \"flow\"\nkey_file = \"{}\"\n\
             [[token_service.caller]]\nname = \"gate\"\nrole = \"verify\"\nkey_file = \"{}\"\n",
            file("service.crt"),
            file("service.key"),
            file("key"),
            file("verify-key"),
        );
        let options = Options { keyless: true, ..Options::default() };
        let mut service = start(path, "token-service", &service, 0, &options).await;
        service.until_output("the token service is ready").await;
        let facade = format!(
            "public_url = \"{base}\"\nupstream = \"http://127.0.0.1:{}/mcp\"\n\
             [token_service]\nurl = \"https://localhost:{grpc}\"\nkey_file = \"{}\"\ntls = {{ ca_file = \"{}\" }}\n",
            free_port(),
            file("key"),
            file("ca.crt"),
        );
        let mut facade = start(path, "facade", &facade, port, &options).await;
        let ready = format!("{base}/readyz");
        facade
            .until("readiness", || async { http().get(&ready).send().await.is_ok_and(|it| it.status().is_success()) })
            .await;
        Self { dir, grpc, base, _processes: [service, facade], _issuer: issuer }
    }

    fn file(&self, name: &str, content: &str) -> String {
        let file = self.dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        file.display().to_string()
    }

    /// Runs the example; gives whether it exited 0, and what it printed.
    async fn call(&self, key: &str, ca: &str, args: &[&str]) -> (bool, Value) {
        let file = |dir: &Path, name: &str| dir.join(name).display().to_string();
        let (key, ca) = (file(self.dir.path(), key), file(self.dir.path(), ca));
        let address = format!("localhost:{}", self.grpc);
        let all = [&["--address", &address, "--ca-file", &ca, "--key-file", &key], args].concat();
        let (done, printed, _) = attempt(CALLER, &all).await;
        (done, printed)
    }
}

#[tokio::test]
async fn a_python_service_registers_verifies_and_revokes_over_tls() {
    let halves = Halves::start().await;
    let (done, registered) = halves.call("key", "ca.crt", &["register", "--redirect-uri", CALLBACK]).await;
    assert!(done, "{registered}");

    // The person signs in and agrees, in the name of the client that the other service has registered.
    let client = Client {
        base: halves.base.clone(),
        id: registered["client_id"].as_str().unwrap().to_owned(),
        secret: None,
        registration: registered["registration_access_token"].as_str().unwrap().to_owned(),
        http: http(),
    };
    let tokens = client.pair().await;
    assert!(client.is_accepted(&tokens.access).await);

    let resource = format!("{}/mcp", halves.base);
    let token = halves.file("token", &format!("{}\n", tokens.access));
    let verify = ["verify", "--resource", &resource, "--token-file", &token];
    for key in ["key", "verify-key"] {
        let (done, allowed) = halves.call(key, "ca.crt", &verify).await;
        assert!(done, "{allowed}");
        assert_eq!((&allowed["allowed"], &allowed["username"]), (&true.into(), &"owner".into()), "{allowed}");
        assert_eq!(allowed["client_id"], client.id.as_str());
        assert_eq!(allowed["scope"], tokens.scope.as_str());
    }
    let (done, lacks) = halves.call("key", "ca.crt", &[&verify[..], &["--scope", "admin"]].concat()).await;
    assert_eq!((done, &lacks["reason"]), (false, &"INSUFFICIENT_SCOPE".into()), "{lacks}");
    let elsewhere = ["verify", "--resource", "https://elsewhere.example/mcp", "--token-file", &token];
    let (done, elsewhere) = halves.call("key", "ca.crt", &elsewhere).await;
    assert_eq!((done, &elsewhere["reason"]), (false, &"WRONG_RESOURCE".into()), "{elsewhere}");

    let revoke = ["revoke", "--client-id", &client.id, "--token-file", &token];
    let (done, forbidden) = halves.call("verify-key", "ca.crt", &revoke).await;
    assert_eq!((done, &forbidden["status"]), (false, &"PERMISSION_DENIED".into()), "{forbidden}");
    let (done, revoked) = halves.call("key", "ca.crt", &revoke).await;
    assert!(done, "{revoked}");
    let (done, denied) = halves.call("key", "ca.crt", &verify).await;
    assert_eq!((done, &denied["reason"]), (false, &"INACTIVE".into()), "{denied}");
    // The grant is gone everywhere: at the gate and at the token endpoint.
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::BAD_REQUEST);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while client.is_accepted(&tokens.access).await {
        assert!(tokio::time::Instant::now() < deadline, "the gate goes on to let the token in");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_python_service_hears_why_it_is_refused() {
    let halves = Halves::start().await;
    let register = ["register", "--redirect-uri", CALLBACK];
    let (done, answer) = halves.call("wrong-key", "ca.crt", &register).await;
    assert_eq!((done, &answer["status"]), (false, &"UNAUTHENTICATED".into()), "{answer}");
    // Whoever answers with a certificate of an unknown issuer is not told the key.
    let (done, answer) = halves.call("key", "stranger.crt", &register).await;
    assert_eq!((done, &answer["status"]), (false, &"UNAVAILABLE".into()), "{answer}");
    let (done, answer) =
        halves.call("key", "ca.crt", &["register", "--redirect-uri", "http://evil.example/callback"]).await;
    assert!(!done);
    assert_eq!(answer["error"], "invalid_redirect_uri", "{answer}");
}
