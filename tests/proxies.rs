//! Behind the proxies whose configuration is in `examples/proxies`: TLS, the official TypeScript client, streams that are passed on as
//! they come, whom grantd takes a client for, and that nothing but grantd answers.
//!
//! The files are taken as they stand; only addresses, names and the paths of certificates are put in.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::{
    harness::{
        Deployment, Options, PASSWORD, Process, free_port,
        programs::{Upstream, attempt_with},
    },
    tls::{authority, issue},
};

const NAME: &str = "mcp.example.com";
const LISTENER: &str = "127.0.0.1:8080";

/// grantd behind a proxy that runs.
struct Behind {
    issuer: String,
    authorities: PathBuf,
    deployment: Deployment,
    _upstream: Upstream,
    _dir: tempfile::TempDir,
    _proxy: Process,
}

impl Behind {
    /// `render` writes the proxy's configuration to a folder, and gives the command; it is told the proxy's port and that of grantd.
    async fn start(name: &str, render: impl Fn(&Path, u16, u16) -> Command) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let issuer = authority();
        std::fs::write(dir.path().join("ca.crt"), issuer.pem()).unwrap();
        issue(dir.path(), "proxy", "localhost", &issuer);
        let upstream = Upstream::typescript().await;
        let port = free_port();
        let public = format!("https://localhost:{port}");
        let options = Options {
            upstream: upstream.url.clone(),
            config: "[http]\ntrusted_proxies = [\"127.0.0.1\"]".to_owned(),
            public_url: public.clone(),
            ..Options::default()
        };
        let deployment = Deployment::embedded(options).await;
        let listener = url::Url::parse(&deployment.facades[0]).unwrap().port().unwrap();
        let mut proxy = Process::start(name, &mut render(dir.path(), port, listener));
        proxy.until("a listener", || async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
        let authorities = dir.path().join("ca.crt");
        Self { issuer: public, authorities, deployment, _upstream: upstream, _dir: dir, _proxy: proxy }
    }

    async fn run(&self, program: &str, args: &[&str]) -> Value {
        let env = [("NODE_EXTRA_CA_CERTS", self.authorities.to_str().unwrap())];
        let (done, printed, log) = attempt_with(program, args, &env).await;
        assert!(done, "{program}: {printed}\n{log}");
        printed
    }

    /// What every proxy must let through.
    async fn holds(self) {
        let resource = format!("{}/mcp", self.issuer);
        let state = self._dir.path().join("state.json");
        let who =
            ["--url", &resource, "--user", "owner", "--password", PASSWORD, "--state-file", state.to_str().unwrap()];

        // Notifications on the stream of a call; and one on the standalone stream, which a proxy that gathers would hold back.
        let counted = [&who[..], &["--tool", "countdown", "--args", r#"{"n": 3, "delay_ms": 50}"#]].concat();
        let counted = self.run("clients/typescript-v2.mjs", &counted).await;
        assert_eq!(counted["authorizations"], 1, "{counted}");
        assert_eq!(counted["progress"].as_array().unwrap().len(), 3, "{counted}");
        let listen = ["--listen", "--tool", "publish_article", "--args", r#"{"title": "News"}"#, "--expire-access"];
        let published = self.run("clients/typescript-v2.mjs", &[&who[..], &listen].concat()).await;
        assert_eq!(published["notifications"].as_array().unwrap().len(), 1, "{published}");
        assert_eq!((&published["authorizations"], &published["refreshes"]), (&0.into(), &1.into()), "{published}");

        let answers = self
            .run("clients/proxy-probe.mjs", &["--issuer", &self.issuer, "--user", "owner", "--password", PASSWORD])
            .await;
        assert_eq!(answers["long_state"], 8000, "{answers}");
        for (name, status, kind) in [
            ("registered", 201, "application/json"),
            ("metadata", 200, "application/json"),
            ("challenge", 401, "application/json"),
            ("large_body", 401, "application/json"),
            ("long_url", 200, "text/html"),
            ("unknown", 404, "application/json"),
        ] {
            let answer = &answers[name];
            assert_eq!(answer["status"], status, "{name}: {answer}");
            assert!(answer["type"].as_str().unwrap_or_default().starts_with(kind), "{name}: {answer}");
        }
        let challenge = answers["challenge"]["challenge"].as_str().unwrap();
        let metadata = format!("resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\"", self.issuer);
        assert!(challenge.contains(&metadata), "{challenge}");

        // The proxy's word counts, and not that of who came to it.
        let logs = self.deployment.logs();
        assert!(logs.contains("\"remote_address\":\"127.0.0.1\"") && !logs.contains("203.0.113.7"), "{logs}");
    }
}

/// The file of the example, with each of `changes` put in; every one must be there.
fn example(name: &str, changes: &[(&str, &str)]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/proxies").join(name);
    let mut text = std::fs::read_to_string(&file).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{} has no {from:?}", file.display());
        text = text.replace(from, to);
    }
    text
}

#[tokio::test]
async fn nginx() {
    let behind = Behind::start("nginx", |dir, port, grantd| {
        let path = |name: &str| dir.join(name).display().to_string();
        let site = example(
            "nginx.conf",
            &[
                ("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl")),
                (&format!("server_name {NAME}"), "server_name localhost"),
                (&format!("/etc/nginx/tls/{NAME}.crt"), &path("proxy.crt")),
                (&format!("/etc/nginx/tls/{NAME}.key"), &path("proxy.key")),
                (&format!("server {LISTENER}"), &format!("server 127.0.0.1:{grantd}")),
            ],
        );
        std::fs::write(dir.join("site.conf"), site).unwrap();
        let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {};\n", path(kind)))
            .collect();
        // `user` matters to root alone, and others are told that it does.
        let root = rustix::process::geteuid().is_root();
        let user = if root { "user root;" } else { "" };
        // One process, so that none is left when it is killed with the test.
        let process = "daemon off;\nmaster_process off;";
        // The test's MCP server asks nginx not to buffer; others do not.
        let own = "proxy_ignore_headers X-Accel-Buffering;";
        let main = format!(
            "{user}\n{process}\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{own}\n{folders}include {};\n}}\n",
            path("nginx.pid"),
            path("site.conf")
        );
        std::fs::write(dir.join("nginx.conf"), main).unwrap();
        let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let mut command = Command::new(program);
        command.arg("-e").arg("stderr").arg("-c").arg(dir.join("nginx.conf"));
        command
    })
    .await;
    behind.holds().await;
}

#[tokio::test]
async fn caddy() {
    let behind = Behind::start("caddy", |dir, port, grantd| {
        let path = |name: &str| dir.join(name).display().to_string();
        // A certificate of the test's own instead of one from a public authority, and no port but this.
        let site = format!("localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {} {}", path("proxy.crt"), path("proxy.key"));
        let file = example(
            "Caddyfile",
            &[
                (&format!("\n{NAME} {{"), &format!("\n{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n\n{site}")),
                (&format!("reverse_proxy {LISTENER}"), &format!("reverse_proxy 127.0.0.1:{grantd}")),
            ],
        );
        std::fs::write(dir.join("Caddyfile"), file).unwrap();
        let mut command = Command::new("caddy");
        command.arg("run").arg("--adapter").arg("caddyfile").arg("--config").arg(dir.join("Caddyfile"));
        command.env("HOME", dir).env("XDG_DATA_HOME", dir).env("XDG_CONFIG_HOME", dir);
        command
    })
    .await;
    behind.holds().await;
}
