//! Running grantd, in either shape.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{PASSWORD, Process, Redis, free_port, http};

const SERVICE_KEY: &str = "service-key-of-the-tests-0123456789";

/// What a deployment is started with.
#[derive(Default, Clone)]
pub(crate) struct Options {
    /// Where the protected MCP server is; empty: nothing listens there, so a call that is let through answers 502.
    pub(crate) upstream: String,
    /// Lines of TOML, beside what the harness needs.
    pub(crate) config: String,
    /// More environment.
    pub(crate) env: Vec<(String, String)>,
    /// The path of the public URL, such as `/base`.
    pub(crate) path: String,
    /// The public URL, where a proxy is in front of the embedded shape; the harness makes one otherwise.
    pub(crate) public_url: String,
    /// Whether the halves know each other otherwise than by a service key.
    pub(crate) keyless: bool,
    /// What grantd finds in places such as /etc/hosts. Needs root: each process gets a mount namespace of its own.
    pub(crate) files: Vec<(PathBuf, &'static str)>,
    /// The name by which Redis and the token service are called, beside their address.
    pub(crate) host: Option<&'static str>,
}

/// One grantd: on the embedded store, or one token service and two facades on Redis.
pub(crate) struct Deployment {
    /// The public URL: the issuer.
    pub(crate) issuer: String,
    /// Where each facade answers; the first is the issuer's.
    pub(crate) facades: Vec<String>,
    pub(crate) processes: Vec<Process>,
    pub(crate) redis: Option<Redis>,
    pub(crate) dir: tempfile::TempDir,
    options: Options,
}

impl Deployment {
    /// All in one on the embedded store.
    pub(crate) async fn embedded(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let origin = format!("http://localhost:{port}");
        let issuer = if options.public_url.is_empty() {
            format!("{origin}{}", options.path)
        } else {
            options.public_url.clone()
        };
        let config = config(&options, &issuer, "");
        let process = start(dir.path(), "serve", &config, port, &options).await;
        let mut deployment =
            Self { facades: vec![origin], issuer, processes: vec![process], redis: None, dir, options };
        deployment.ready().await;
        deployment
    }

    /// One token service and two facades on a Redis of their own.
    pub(crate) async fn distributed(options: Options) -> Self {
        let redis = Redis::start().await;
        let dir = tempfile::tempdir().unwrap();
        let (grpc, ports) = (free_port(), [free_port(), free_port()]);
        let issuer = format!("http://localhost:{}{}", ports[0], options.path);
        let host = options.host.unwrap_or("127.0.0.1");
        let extra = format!(
            "[store]\nurl = \"redis://{host}:{}\"\n\
             [token_service]\nlisten = \"127.0.0.1:{grpc}\"\nurl = \"http://{host}:{grpc}\"\ninsecure_plaintext = {}\n",
            redis.port,
            options.host.is_some()
        );
        let config = config(&options, &issuer, &extra);
        let mut processes = Vec::new();
        let mut service = start(dir.path(), "token-service", &config, 0, &options).await;
        service
            .until("a listener", || async { tokio::net::TcpStream::connect(("127.0.0.1", grpc)).await.is_ok() })
            .await;
        processes.push(service);
        for port in ports {
            processes.push(start(dir.path(), "facade", &config, port, &options).await);
        }
        let facades = ports.iter().map(|port| format!("http://localhost:{port}")).collect();
        let mut deployment = Self { issuer, facades, processes, redis: Some(redis), dir, options };
        deployment.ready().await;
        deployment
    }

    /// Both shapes, one after the other, for a test of behaviour they share.
    pub(crate) async fn each<F: Future<Output = ()>>(options: Options, test: impl Fn(Self) -> F) {
        eprintln!("== on the embedded store");
        test(Self::embedded(options.clone()).await).await;
        eprintln!("== token service and two facades on Redis");
        test(Self::distributed(options).await).await;
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The resource identifier.
    pub(crate) fn resource(&self) -> String {
        format!("{}/mcp", self.issuer)
    }

    /// The last facade: another process than the first where there are two.
    pub(crate) fn other(&self) -> &str {
        self.facades.last().unwrap()
    }

    /// Everything all processes have logged.
    pub(crate) fn logs(&self) -> String {
        self.processes.iter().map(Process::output).collect()
    }

    async fn ready(&mut self) {
        let process = self.processes.last_mut().unwrap();
        for facade in &self.facades {
            let url = format!("{facade}/readyz");
            process
                .until("readiness", || async {
                    http().get(&url).send().await.is_ok_and(|answer| answer.status().is_success())
                })
                .await;
        }
    }
}

/// The configuration of one process: `extra` is for its role.
pub(crate) fn config(options: &Options, issuer: &str, extra: &str) -> String {
    let upstream = if options.upstream.is_empty() {
        format!("http://127.0.0.1:{}/mcp", free_port())
    } else {
        options.upstream.clone()
    };
    // A test's own resources replace the usual one.
    let resource = if options.config.contains("[[resource]]") {
        String::new()
    } else {
        format!(
            "[[resource]]\npaths = [\"/mcp\"]\nupstream = \"{upstream}\"\nscopes = [\"read:articles\", \"write:articles\"]\n\
             default_scopes = [\"read:articles\", \"write:articles\"]\n\
             [scopes]\n\"read:articles\" = \"Read your articles\"\n\"write:articles\" = \"Write and publish articles\"\n"
        )
    };
    format!("public_url = \"{issuer}\"\n{extra}{}\n{resource}", options.config.replace("UPSTREAM", &upstream))
}

/// Starts one process of a deployment.
pub(crate) async fn start(dir: &Path, role: &str, config: &str, port: u16, options: &Options) -> Process {
    let name = if port == 0 { role.to_owned() } else { format!("{role}-{port}") };
    let file = dir.join(format!("{name}.toml"));
    tokio::fs::write(&file, config).await.unwrap();
    let binary = env!("CARGO_BIN_EXE_grantd");
    let mut command = Command::new(if options.files.is_empty() { binary } else { "unshare" });
    if !options.files.is_empty() {
        let mounts = "for place in $0; do mount --bind \"$1\" $place || exit; shift; done; exec \"$@\"";
        let (files, places): (Vec<_>, Vec<_>) = options.files.iter().cloned().unzip();
        command.args(["--mount", "sh", "-c", mounts, &places.join(" ")]).args(files).arg(binary);
    }
    command.arg(role).arg("--config").arg(&file).arg("--data-dir").arg(dir.join(role));
    if port != 0 {
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
    }
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GRANTD_OWNER_PASSWORD", PASSWORD)
        .envs((!options.keyless).then_some(("GRANTD_SERVICE_KEY", SERVICE_KEY)))
        .envs(options.env.iter().cloned());
    Process::start(&name, &mut command)
}

impl Deployment {
    /// Starts the one process of the embedded shape again, on the same data.
    pub(crate) async fn restart_embedded(&mut self) {
        let port = url::Url::parse(&self.issuer).unwrap().port().unwrap();
        self.restart("serve", port).await;
        self.ready().await;
    }

    /// Kills every process, and starts all again.
    pub(crate) async fn restart_all(&mut self) {
        for process in &mut self.processes {
            process.kill().await;
        }
        if self.redis.is_none() {
            return self.restart_embedded().await;
        }
        self.restart_token_service().await;
        self.processes[0].until_output("the token service is ready").await;
        for (process, facade) in self.processes.iter_mut().skip(1).zip(&self.facades) {
            let port = url::Url::parse(facade).unwrap().port().unwrap();
            let file = self.dir.path().join(format!("facade-{port}.toml"));
            let config = tokio::fs::read_to_string(file).await.unwrap();
            *process = start(self.dir.path(), "facade", &config, port, &self.options).await;
        }
        self.ready().await;
    }

    /// Starts the token service again.
    pub(crate) async fn restart_token_service(&mut self) {
        self.restart("token-service", 0).await;
    }

    async fn restart(&mut self, role: &str, port: u16) {
        let name = if port == 0 { role.to_owned() } else { format!("{role}-{port}") };
        let config = tokio::fs::read_to_string(self.dir.path().join(format!("{name}.toml"))).await.unwrap();
        self.processes[0] = start(self.dir.path(), role, &config, port, &self.options).await;
    }
}
