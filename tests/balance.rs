//! Several token services behind one facade: one of them dies, drains or hangs under load, and no client notices.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinHandle;

use crate::{
    binary::ran,
    harness::{Client, Options, client::pair, fleet::Fleet},
};

/// Clients that refresh and call without a pause, each with a grant of its own; any error fails the test.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    async fn on(issuer: &str, clients: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let client = Client::register(issuer).await;
        let mut started = Vec::new();
        for _ in 0..clients {
            let (client, stop, done) = (client.clone(), stop.clone(), done.clone());
            let mut tokens = client.pair().await;
            started.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    tokens = pair(client.refresh(&tokens.refresh).await).await;
                    // 502: it was let through, and nothing listens behind.
                    assert_eq!(client.call(&tokens.access).await.status(), 502);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { stop, done, clients: started }
    }

    /// Waits for this many more rounds.
    async fn rounds(&self, more: usize) {
        let goal = self.done.load(Ordering::Relaxed) + more;
        let reached = async {
            while self.done.load(Ordering::Relaxed) < goal {
                assert!(!self.clients.iter().any(JoinHandle::is_finished), "a client has failed");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached).await.expect("it goes on");
    }

    async fn ends_well(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_service_dies_under_load_and_nobody_notices() {
    let mut fleet = Fleet::start(Options::default(), 2).await;
    let load = Load::on(&fleet.issuer, 4).await;
    load.rounds(20).await;
    for at in [0, 1] {
        fleet.services[at].process.kill().await;
        load.rounds(40).await;
        fleet.restart(at).await;
        // Used again, or killing the other would be noticed.
        fleet.facade.process.until_output_times("token_service.back", at + 1).await;
        load.rounds(20).await;
    }
    load.ends_well().await;
    assert!(fleet.facade.ask("readyz").await.unwrap().0 == 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_service_drains_under_load_and_revocations_still_come() {
    let options = Options { config: "[gate]\ncache_max_age = \"1m\"\n".into(), ..Options::default() };
    let mut fleet = Fleet::start(options, 2).await;
    let load = Load::on(&fleet.issuer, 4).await;
    let client = Client::register(&fleet.issuer).await;
    load.rounds(10).await;
    for (stops, stays) in [(0, 1), (1, 0)] {
        fleet.services[stops].process.signal("TERM").await;
        assert!(fleet.services[stops].process.wait().await.success());
        load.rounds(20).await;
        let lost = fleet.facade.process.output().matches("gate.watch_lost").count();
        fleet.facade.process.until_output_times("gate.watch_back", lost).await;
        // The gate hears of it from the one that stays, long before the answer it keeps is too old.
        let tokens = client.pair().await;
        assert!(client.is_accepted(&tokens.access).await);
        let data = fleet.data_of(stays);
        let warm = async || client.is_accepted(&tokens.access).await;
        ran(&["grant", "revoke", "--client", &client.id], &data).await;
        let forgotten = async { while warm().await {} };
        tokio::time::timeout(Duration::from_secs(30), forgotten).await.expect("the revocation is heard of");
        fleet.restart(stops).await;
        fleet.facade.process.until_output_times("token_service.back", stops + 1).await;
    }
    load.ends_well().await;
}
