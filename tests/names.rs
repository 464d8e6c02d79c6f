//! A nameserver of the machine is silent. Every lookup then takes some seconds, which is longer than one attempt to connect may
//! take; and yet Redis, the token service and upstreams are found, at start and whenever they have to be found again.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use reqwest::StatusCode;
use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinHandle,
    time::Instant,
};

use crate::harness::{Client, Deployment, Options, client::pair};

/// Nobody else has it, nor may have.
const HOST: &str = "inside.grantd.test";

/// Port 53 of a loopback address of the test's own. Needs root.
async fn own_port_53() -> UdpSocket {
    let [.., c, d] = std::process::id().to_be_bytes();
    for b in 53..=255 {
        if let Ok(socket) = UdpSocket::bind(SocketAddr::from(([127, b, c, d.max(1)], 53))).await {
            return socket;
        }
    }
    panic!("no port 53 is free");
}

/// The answer to a question (RFC 1035, 4.1): this machine, and that there is nothing else.
fn answer(question: &[u8]) -> Vec<u8> {
    // Header, name (it ends with an empty label), type, class. What follows is an extension that may be ignored.
    let end = 12 + question[12..].iter().position(|&byte| byte == 0).unwrap() + 5;
    let asks_for_ipv4 = question[end - 4..end - 2] == [0, 1];
    let name = &question[12..end - 5];
    let is_ours = name.starts_with(&[6]) && name.ends_with(b"\x06grantd\x04test");
    let (code, answers) = if is_ours { (0, u8::from(asks_for_ipv4)) } else { (3, 0) };
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(&question[12..end]);
    if answers == 1 {
        // The name as in the question, A, IN, good for 0 s, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    answer
}

/// A resolv.conf with a nameserver that is silent before a good one.
struct Nameservers {
    file: PathBuf,
    server: JoinHandle<()>,
    _silent: UdpSocket,
    _dir: tempfile::TempDir,
}

impl Nameservers {
    /// Each lookup waits for so long. `None` where nobody may have a resolv.conf of their own.
    async fn start(seconds: u8) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root, for a resolv.conf of its own");
            return None;
        }
        // Bound, so that nobody says that nothing is there; but never read.
        let (silent, good) = (own_port_53().await, own_port_53().await);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("resolv.conf");
        let address = |socket: &UdpSocket| socket.local_addr().unwrap().ip();
        let (first, second) = (address(&silent), address(&good));
        let text = format!("nameserver {first}\nnameserver {second}\noptions timeout:{seconds} attempts:1\n");
        std::fs::write(&file, text).unwrap();
        let server = tokio::spawn(async move {
            let mut question = [0; 512];
            loop {
                let (length, from) = good.recv_from(&mut question).await.unwrap();
                good.send_to(&answer(&question[..length]), from).await.unwrap();
            }
        });
        Some(Self { file, server, _silent: silent, _dir: dir })
    }

    fn files(&self) -> Vec<(PathBuf, &'static str)> {
        vec![(self.file.clone(), "/etc/resolv.conf")]
    }
}

impl Drop for Nameservers {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tokio::test]
async fn a_silent_nameserver_keeps_nobody_from_an_upstream() {
    // Longer than connecting may take.
    let Some(nameservers) = Nameservers::start(6).await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{HOST}:{}/mcp", listener.local_addr().unwrap().port());
    let app = axum::Router::new().fallback(async || "found");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let options = Options { files: nameservers.files(), upstream, ..Options::default() };
    let deployment = Deployment::embedded(options).await;
    let client = Client::register(deployment.issuer()).await;
    let tokens = client.pair().await;
    let since = Instant::now();
    let answer = client.call(&tokens.access).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.text().await.unwrap(), "found");
    assert!(since.elapsed() >= Duration::from_secs(6), "the first nameserver was asked");
}

#[tokio::test]
async fn a_silent_nameserver_keeps_nobody_from_redis_and_the_token_service() {
    // Longer than an attempt to connect to Redis may take, as the resolver's own 5 s are.
    let Some(nameservers) = Nameservers::start(3).await else { return };
    let options = Options { files: nameservers.files(), host: Some(HOST), ..Options::default() };
    let mut deployment = Deployment::distributed(options).await;
    let client = Client::register(deployment.issuer()).await;
    let tokens = client.pair().await;
    assert!(deployment.logs().contains("store.slow_lookup"), "the first nameserver was asked: {}", deployment.logs());

    // A new connection to Redis, and a new one to the token service.
    for away in ["Redis", "the token service"] {
        if away == "Redis" {
            deployment.redis.as_mut().unwrap().stop().await;
            assert_eq!(client.refresh("gone").await.status(), StatusCode::SERVICE_UNAVAILABLE);
            deployment.redis.as_mut().unwrap().start_again().await;
        } else {
            deployment.processes[0].kill().await;
            deployment.restart_token_service().await;
        }
        // Not by /readyz, whose answer of the moment before would do.
        let there = || async { client.refresh("gone").await.status() == StatusCode::BAD_REQUEST };
        deployment.processes.last_mut().unwrap().until(away, there).await;
    }
    pair(client.refresh(&tokens.refresh).await).await;
}
