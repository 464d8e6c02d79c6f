//! A primary that dies or hangs under a stream of commits: nothing but `Unavailable`, back by itself, and watchers hear
//! again what every primary announces.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests, which say what they measured")]

mod support;

use std::time::Duration;

use grantd_store::Store as _;
use grantd_store_redis::{ClockOffset, RedisConfig, RedisStore};
use support::{
    PATIENCE,
    cluster::Cluster,
    sentinel::Watched,
    traffic::{Traffic, commits_are_heard, grants, until_a_gap, until_it_commits, until_it_watches},
};
use tokio::time::Instant;

async fn connect(mut config: RedisConfig) -> RedisStore {
    config.deadline = Duration::from_millis(500);
    config.connect_timeout = Duration::from_millis(500);
    RedisStore::connect(config, ClockOffset::default()).await.unwrap()
}

/// Commits from one handle and watches on three, so that on a Cluster each listens at another node.
struct Observed {
    committing: RedisStore,
    watching: Vec<RedisStore>,
    grants: Vec<String>,
}

impl Observed {
    async fn begin(config: RedisConfig) -> Self {
        let mut watching = Vec::new();
        for _ in 0..3 {
            watching.push(connect(config.clone()).await);
        }
        Self { committing: connect(config).await, watching, grants: grants(12) }
    }

    /// Breaks something that costs calls, and waits until everything is as it was.
    async fn survives(&self, what: &str, breaks: impl FnOnce()) {
        let mut watches = Vec::new();
        for store in &self.watching {
            watches.push(until_it_watches(store).await);
        }
        let traffic = Traffic::start(&self.committing, self.grants.clone());
        traffic.goes_on(200).await;
        breaks();
        let begin = Instant::now();
        while traffic.failed() == 0 {
            assert!(begin.elapsed() < PATIENCE, "nothing is broken");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        until_it_commits(&self.committing, &self.grants).await;
        let committed = begin.elapsed();
        for (store, watch) in self.watching.iter().zip(&mut watches) {
            until_a_gap(watch).await;
            commits_are_heard(&self.committing, &mut until_it_watches(store).await, &self.grants).await;
        }
        let heard = begin.elapsed();
        traffic.goes_on(200).await;
        let (commits, failed) = traffic.stop().await;
        eprintln!(
            "{what}: commits after {committed:?}, heard by all after {heard:?}; {commits} committed, {failed} not"
        );
        assert!(heard < PATIENCE, "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_behind_sentinel_is_killed() {
    let mut watched = Watched::start(2, 3, &[], "");
    let observed = Observed::begin(watched.config()).await;
    let first = watched.primary().port;
    let place = watched.servers.iter().position(|server| server.port == first).unwrap();
    observed.survives("Sentinel, a primary killed", || watched.servers[place].stop()).await;
    assert_ne!(watched.primary().port, first);

    // Those Sentinels go that were named first; the last one knows the way.
    watched.sentinels[0].stop();
    watched.sentinels[1].stop();
    observed
        .survives("Sentinel, cut off with one Sentinel left", || {
            for kind in ["pubsub", "normal"] {
                watched.primary().cli(&["CLIENT", "KILL", "TYPE", kind]);
            }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_of_a_cluster_is_killed() {
    let mut cluster = Cluster::start(true, &[]);
    let observed = Observed::begin(cluster.config()).await;
    observed.survives("Cluster, a primary killed", || cluster.nodes[0].stop()).await;
    cluster.nodes[0].start_again();
    cluster.settled();
    observed.survives("Cluster, another killed", || cluster.nodes[1].stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_of_a_cluster_hangs() {
    let cluster = Cluster::start(true, &[]);
    let observed = Observed::begin(cluster.config()).await;
    observed.survives("Cluster, a primary hanging", || cluster.nodes[2].hang()).await;
    cluster.nodes[2].go_on();
    cluster.settled();
    for store in &observed.watching {
        commits_are_heard(&observed.committing, &mut until_it_watches(store).await, &observed.grants).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_of_a_cluster_hands_over() {
    let cluster = Cluster::start(true, &[]);
    let observed = Observed::begin(cluster.config()).await;
    let traffic = Traffic::start(&observed.committing, observed.grants.clone());
    traffic.goes_on(200).await;
    let replica = &cluster.nodes[cluster.primaries];
    replica.order(&["CLUSTER", "FAILOVER"]);
    support::until("the replica is promoted", || replica.tells(&["INFO", "replication"], "role:master"));
    traffic.goes_on(500).await;
    let (commits, failed) = traffic.stop().await;
    eprintln!("Cluster, a primary handing over: {commits} committed, {failed} not");
    until_it_commits(&observed.committing, &observed.grants).await;
    for store in &observed.watching {
        commits_are_heard(&observed.committing, &mut until_it_watches(store).await, &observed.grants).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_seed_of_several_is_dead_at_the_start() {
    let mut gone = support::Server::start(&[]);
    gone.stop();
    let (cluster, watched) = (Cluster::start(false, &[]), Watched::start(0, 1, &[], ""));
    let (node, sentinel) = (cluster.nodes[1].port, watched.sentinels[0].port);
    for url in [
        format!("redis-cluster://127.0.0.1:{}?node=127.0.0.1:{node}", gone.port),
        format!("redis-cluster://127.0.0.1:{node}?node=127.0.0.1:{}", gone.port),
        format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName=main&node=127.0.0.1:{sentinel}", gone.port),
        format!("redis-sentinel://127.0.0.1:{sentinel}?sentinelServiceName=main&node=127.0.0.1:{}", gone.port),
    ] {
        let store = connect(RedisConfig::new(url)).await;
        store.ping().await.unwrap();
        commits_are_heard(&store, &mut store.watch().await.unwrap(), &grants(12)).await;
    }
}
