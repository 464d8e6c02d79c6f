//! A nameserver of the machine is silent. Every lookup then takes some seconds, which is longer than one attempt to connect may
//! take; and yet Redis and the token service are found, at start and whenever they have to be found again.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::StatusCode;
use tokio::net::UdpSocket;

use crate::harness::{Client, Deployment, Options, client::pair, http};

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

#[tokio::test]
async fn a_silent_nameserver_keeps_nobody_from_redis_and_the_token_service() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root, for a resolv.conf of its own");
        return;
    }
    // Bound, so that nobody says that nothing is there; but never read.
    let (silent, good) = (own_port_53().await, own_port_53().await);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resolv.conf");
    let address = |socket: &UdpSocket| socket.local_addr().unwrap().ip();
    // Longer than an attempt to connect to Redis may take, as the resolver's own 5 s are.
    let text =
        format!("nameserver {}\nnameserver {}\noptions timeout:3 attempts:1\n", address(&silent), address(&good));
    std::fs::write(&file, text).unwrap();
    let server = tokio::spawn(async move {
        let mut question = [0; 512];
        loop {
            let (length, from) = good.recv_from(&mut question).await.unwrap();
            good.send_to(&answer(&question[..length]), from).await.unwrap();
        }
    });

    let options = Options { files: vec![(file, "/etc/resolv.conf")], host: Some(HOST), ..Options::default() };
    let mut deployment = Deployment::distributed(options).await;
    let client = Client::register(deployment.issuer()).await;
    let tokens = client.pair().await;
    assert!(deployment.logs().contains("store.slow_lookup"), "the first nameserver was asked: {}", deployment.logs());

    // A new connection to Redis, and a new one to the token service.
    let url = format!("{}/readyz", client.base);
    for away in ["Redis", "the token service"] {
        if away == "Redis" {
            deployment.redis.as_mut().unwrap().stop().await;
            assert_eq!(client.refresh("gone").await.status(), StatusCode::SERVICE_UNAVAILABLE);
            deployment.redis.as_mut().unwrap().start_again().await;
        } else {
            deployment.processes[0].kill().await;
            deployment.restart_token_service().await;
        }
        let ready = || async { http().get(&url).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK) };
        deployment.processes.last_mut().unwrap().until(away, ready).await;
    }
    pair(client.refresh(&tokens.refresh).await).await;
    server.abort();
}
