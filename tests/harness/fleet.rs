//! Several token services on one Redis, and a facade that knows all their addresses: each with its operations listener.

use super::{
    Options, Process, Redis, deployment,
    deployment::{config, start},
    free_port, http,
};

/// A process and where it is.
pub(crate) struct Member {
    pub(crate) process: Process,
    /// Where gRPC or HTTP is served.
    pub(crate) port: u16,
    /// Where the operator asks.
    pub(crate) operations: String,
    name: String,
    config: String,
}

pub(crate) struct Fleet {
    pub(crate) issuer: String,
    pub(crate) services: Vec<Member>,
    pub(crate) facade: Member,
    pub(crate) redis: Redis,
    pub(crate) dir: tempfile::TempDir,
    options: Options,
}

impl Fleet {
    pub(crate) async fn start(options: Options, services: usize) -> Self {
        let redis = Redis::start().await;
        let dir = tempfile::tempdir().unwrap();
        let ports: Vec<_> = (0..services).map(|_| free_port()).collect();
        let web = free_port();
        let issuer = format!("http://localhost:{web}");
        let store = format!("[store]\nurl = \"{}\"\n", redis.url());
        let mut members = Vec::new();
        for (at, port) in ports.iter().enumerate() {
            let extra = format!("{store}[token_service]\nlisten = \"127.0.0.1:{port}\"\n");
            let name = format!("service-{at}");
            let mut member = member(dir.path(), name, "token-service", *port, &issuer, &extra, &options).await;
            // One after the other: the first makes the owner.
            member.ready().await;
            members.push(member);
        }
        let urls: Vec<_> = ports.iter().map(|port| format!("\"http://127.0.0.1:{port}\"")).collect();
        let extra = format!("[token_service]\nurl = [{}]\n", urls.join(", "));
        let mut facade = member(dir.path(), "facade".to_owned(), "facade", web, &issuer, &extra, &options).await;
        facade.ready().await;
        Self { issuer, services: members, facade, redis, dir, options }
    }

    /// The data directory of a token service: where its operator talks to it.
    pub(crate) fn data_of(&self, at: usize) -> String {
        self.dir.path().join(&self.services[at].name).join("token-service").to_str().unwrap().to_owned()
    }

    /// Starts a token service again, at its address.
    pub(crate) async fn restart(&mut self, at: usize) {
        let member = &mut self.services[at];
        let folder = self.dir.path().join(&member.name);
        member.process = start(&folder, "token-service", &member.config, 0, &self.options).await;
        member.ready().await;
    }
}

async fn member(
    dir: &std::path::Path,
    name: String,
    role: &str,
    port: u16,
    issuer: &str,
    extra: &str,
    options: &Options,
) -> Member {
    let folder = dir.join(&name);
    tokio::fs::create_dir(&folder).await.unwrap();
    let operations = free_port();
    let extra = format!("{extra}[operations]\nlisten = \"127.0.0.1:{operations}\"\n");
    let config = config(options, issuer, &extra);
    let listen = if role == "facade" { port } else { 0 };
    let process = deployment::start(&folder, role, &config, listen, options).await;
    Member { process, port, operations: format!("http://127.0.0.1:{operations}"), name, config }
}

impl Member {
    /// The status and body of a page of its operations listener; `None` where nothing listens.
    pub(crate) async fn ask(&self, page: &str) -> Option<(u16, String)> {
        let answer = http().get(format!("{}/{page}", self.operations)).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// Waits until its readiness has this status.
    pub(crate) async fn until_ready_is(&mut self, status: u16) {
        let url = format!("{}/readyz", self.operations);
        let is = || async { http().get(&url).send().await.is_ok_and(|answer| answer.status().as_u16() == status) };
        self.process.until(&format!("readiness {status}"), is).await;
    }

    async fn ready(&mut self) {
        self.until_ready_is(200).await;
    }
}
