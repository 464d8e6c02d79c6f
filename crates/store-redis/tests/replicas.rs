//! Commits that wait for replicas.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use grantd_store::{CommitId, CommitOutcome, Key, Precondition, Store as _, StoreError};
use grantd_store_redis::{ClockOffset, RedisConfig, RedisStore};
use support::{
    Server,
    cluster::Cluster,
    traffic::{Traffic, batch, grants},
    until,
};

async fn connect(mut config: RedisConfig, wait_replicas: u8) -> RedisStore {
    config.wait_replicas = wait_replicas;
    config.wait_timeout = Duration::from_secs(1);
    RedisStore::connect(config, ClockOffset::default()).await.unwrap()
}

fn unknown(outcome: Result<CommitOutcome, StoreError>) {
    let Err(StoreError::Unavailable(why)) = outcome else { panic!("{outcome:?}") };
    assert!(why.starts_with("outcome unknown"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_answered_when_the_replica_has_it() {
    let primary = Server::start(&["--repl-diskless-sync-delay", "0"]);
    let replica = Server::start(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
    until("it follows, and says so", || {
        let told = primary.cli(&["INFO", "replication"]);
        replica.tells(&["INFO", "replication"], "master_link_status:up")
            && told.lines().any(|line| line.contains("state=online") && line.trim().ends_with("lag=0"))
    });
    let (one, two) = (connect(primary.config(), 1).await, connect(primary.config(), 2).await);
    for number in 1..50 {
        primary.cli(&["SCRIPT", "FLUSH"]);
        assert_eq!(one.commit(batch("g", number)).await.unwrap(), CommitOutcome::Committed);
        let value = replica.cli(&["GET", "oauth:test:{g}:one"]);
        assert!(value.ends_with(&format!(" {number}")), "{value}");
    }
    // Two are asked for, where there is one. It is there all the same, and the resend is no different.
    for _ in 0..2 {
        unknown(two.commit(batch("g", 50)).await);
    }
    assert_eq!(one.commit(batch("g", 50)).await.unwrap(), CommitOutcome::Committed);

    replica.hang();
    unknown(one.commit(batch("g", 51)).await);
    let entry = one.get(&[Key::raw("oauth:test:{g}:one")]).await.unwrap().entries.remove(0).unwrap();
    assert_eq!(&entry.value[..], b"51");
    // Nothing was written, so there is nothing to wait for.
    let mut conflict = batch("g", 52);
    conflict.preconditions.push(Precondition::Version(Key::raw("oauth:test:{g}:one"), CommitId([9; 16])));
    assert_eq!(one.commit(conflict).await.unwrap(), CommitOutcome::Conflict);
    replica.go_on();
    assert_eq!(one.commit(batch("g", 51)).await.unwrap(), CommitOutcome::Committed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_the_replica_of_the_slot_is_waited_for() {
    let cluster = Cluster::start(true, &[]);
    let store = connect(cluster.config(), 1).await;
    let grants = grants(12);
    let traffic = Traffic::start(&store, grants.clone());
    traffic.goes_on(200).await;
    let (_, failed) = traffic.stop().await;
    assert_eq!(failed, 0);
    // Without keys, too: it goes to the same node as what waits.
    let mut announcing = batch("g", 1);
    announcing.puts.clear();
    for _ in 0..20 {
        assert_eq!(store.commit(announcing.clone()).await.unwrap(), CommitOutcome::Committed);
    }
    // The replica of the first primary hangs: its slots wait in vain, those of the others do not.
    cluster.nodes[cluster.primaries].hang();
    let mut failed = 0;
    for grant in &grants {
        let slot: usize = cluster.nodes[0].cli(&["CLUSTER", "KEYSLOT", grant]).parse().unwrap();
        let outcome = store.commit(batch(grant, 1_000_000)).await;
        if slot < 16384 / 3 {
            unknown(outcome);
            failed += 1;
        } else {
            assert_eq!(outcome.unwrap(), CommitOutcome::Committed);
        }
    }
    assert!(failed > 0, "some grant is there");
    cluster.nodes[cluster.primaries].go_on();
}
