//! What only a Cluster has: announcements that pass from node to node, slots that move, primaries that differ.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use grantd_store::{Key, Store as _, StoreError};
use grantd_store_redis::{ClockOffset, ConnectError, RedisStore};
use support::{
    Server,
    cluster::Cluster,
    traffic::{Listening, Traffic, batch, commits_are_heard, grants, until_a_gap, until_it_watches},
    until,
};
use tokio::time::{Instant, sleep};

async fn connect(cluster: &Cluster) -> RedisStore {
    RedisStore::connect(cluster.config(), ClockOffset::default()).await.unwrap()
}

fn listeners(node: &Server) -> u32 {
    node.cli(&["PUBSUB", "NUMSUB", "oauth:announcements"]).lines().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_at_any_node_hears_every_primary() {
    let cluster = Cluster::start(false, &[]);
    let mut stores = Vec::new();
    while !cluster.nodes.iter().all(|node| listeners(node) > 0) {
        assert!(stores.len() < 20, "the listeners are all at one node");
        stores.push(connect(&cluster).await);
    }
    let grants = grants(12);
    for store in &stores {
        commits_are_heard(&stores[0], &mut store.watch().await.unwrap(), &grants).await;
    }
    // And they did go through every primary.
    assert!(cluster.nodes.iter().all(|node| node.cli(&["DBSIZE"]) != "0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_of_many_slots_keeps_its_order() {
    let cluster = Cluster::start(false, &[]);
    let store = connect(&cluster).await;
    let grants = grants(30);
    for (number, grant) in (1..).zip(&grants) {
        store.commit(batch(grant, number)).await.unwrap();
    }
    let keys: Vec<_> = grants.iter().map(|grant| Key::raw(format!("oauth:test:{{{grant}}}:one"))).collect();
    let read = store.get(&keys).await.unwrap().entries;
    let values: Vec<_> =
        read.into_iter().map(|entry| String::from_utf8(entry.unwrap().value.into()).unwrap()).collect();
    assert_eq!(values, (1..=30).map(|number: u64| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move_while_they_are_used() {
    let cluster = Cluster::start(false, &[]);
    let (store, other) = (connect(&cluster).await, connect(&cluster).await);
    let grants = grants(6);
    let listening = Listening::to(other.watch().await.unwrap());
    let traffic = Traffic::start(&store, grants.clone());
    traffic.goes_on(50).await;
    for grant in &grants {
        let slot = cluster.nodes[0].cli(&["CLUSTER", "KEYSLOT", grant]);
        let place = cluster.place_of(&slot);
        let (from, to) = (&cluster.nodes[place], &cluster.nodes[(place + 1) % 3]);
        cluster.move_slot(&slot, from, to);
        traffic.goes_on(50).await;
        // And back.
        cluster.move_slot(&slot, to, from);
        traffic.goes_on(50).await;
    }
    let (commits, failed) = traffic.stop().await;
    assert_eq!(failed, 0, "of {commits}");
    // Without a gap since the beginning.
    let mut watch = listening.stop().await;
    commits_are_heard(&store, &mut watch, &grants).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_stays_between_two_nodes_is_unavailable_and_no_other() {
    let cluster = Cluster::start(false, &[]);
    let mut config = cluster.config();
    config.deadline = Duration::from_millis(500);
    let store = RedisStore::connect(config, ClockOffset::default()).await.unwrap();
    let slot = cluster.nodes[0].cli(&["CLUSTER", "KEYSLOT", "g1"]);
    let range = slot.parse::<usize>().unwrap() * 3 / 16384;
    let (from, to) = (&cluster.nodes[range], &cluster.nodes[(range + 1) % 3]);
    to.order(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from.id()]);
    from.order(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to.id()]);
    let begin = Instant::now();
    let error = store.commit(batch("g1", 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    store.commit(batch("g2", 1)).await.unwrap();
    for node in [to, from] {
        node.order(&["CLUSTER", "SETSLOT", &slot, "NODE", &to.id()]);
    }
    store.commit(batch("g1", 2)).await.unwrap();
}

/// Two nodes that lose each other, while everybody else sees both: announcements of one do not arrive at the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_pass_on_announcements_is_noticed() {
    let cluster = Cluster::start(false, &["--cluster-require-full-coverage", "no"]);
    let store = connect(&cluster).await;
    let mut watch = store.watch().await.unwrap();
    let home = cluster.nodes.iter().position(|node| listeners(node) > 0).unwrap();
    let (home, silent) = (&cluster.nodes[home], &cluster.nodes[(home + 1) % 3]);
    silent.order(&["CLUSTER", "FORGET", &home.id()]);
    let begin = Instant::now();
    until_a_gap(&mut watch).await;
    eprintln!("a silent node was noticed after {:?}", begin.elapsed());
    silent.meet(home);
    until("they know each other again", || silent.tells(&["CLUSTER", "INFO"], "cluster_known_nodes:3"));
    commits_are_heard(&store, &mut until_it_watches(&store).await, &grants(12)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_primary_is_listened_to() {
    let cluster = Cluster::start(true, &[]);
    let store = connect(&cluster).await;
    let mut watch = store.watch().await.unwrap();
    // Nothing is lost by this, and no call of this store says that anything has changed.
    let replica = &cluster.nodes[cluster.primaries];
    replica.order(&["CLUSTER", "FAILOVER"]);
    until_a_gap(&mut watch).await;
    let mut watch = until_it_watches(&store).await;
    let begin = Instant::now();
    while !replica.cli(&["CLIENT", "LIST"]).contains("cmd=publish") {
        assert!(begin.elapsed() < support::PATIENCE, "no heartbeat goes through the new primary");
        sleep(Duration::from_millis(50)).await;
    }
    commits_are_heard(&store, &mut watch, &grants(12)).await;
}

#[tokio::test]
async fn every_primary_is_looked_at() {
    let cluster = Cluster::start(false, &[]);
    for node in &cluster.nodes {
        node.order(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
        let error = RedisStore::connect(cluster.config(), ClockOffset::default()).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Evicts(policy) if policy == "allkeys-lru"), "{error}");
        node.order(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    }
    connect(&cluster).await.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_handle_takes_the_connections_with_it() {
    let cluster = Cluster::start(false, &[]);
    let ours =
        |node: &Server| node.cli(&["CLIENT", "LIST"]).lines().filter(|line| !line.contains("cmd=client")).count();
    let store = connect(&cluster).await;
    // Of calls, the one that listens, and those by which each asks for the slots.
    assert!(cluster.nodes.iter().all(|node| ours(node) > 4));
    drop(store);
    until("no connection is left", || cluster.nodes.iter().all(|node| ours(node) == 0));
}
