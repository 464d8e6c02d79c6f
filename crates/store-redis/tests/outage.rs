//! Redis gone, hanging, restarted, or only one connection cut: quick errors, nothing done twice, and back by itself.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use grantd_store::{Announcement, Batch, CommitId, CommitOutcome, Index, Key, Precondition, Put, Store, StoreError};
use grantd_store_redis::{ClockOffset, RedisConfig, RedisStore};
use support::{Server, traffic::next_heard};
use tokio::time::{Instant, timeout};

const DEADLINE: Duration = Duration::from_millis(500);
/// A bound on patience for what comes back by itself.
const PATIENCE: Duration = Duration::from_secs(20);

fn key() -> Key {
    Key::raw("oauth:test:{g}:one")
}

fn batch(id: u8) -> Batch {
    Batch {
        id: CommitId([id; 16]),
        preconditions: vec![],
        puts: vec![Put { key: key(), value: Bytes::from(id.to_string()), expires_at: None }],
        deletes: vec![],
        announce: vec![Announcement::RevokedGrant(id.to_string())],
    }
}

async fn connect(server: &Server) -> RedisStore {
    let mut config = server.config();
    config.deadline = DEADLINE;
    RedisStore::connect(config, ClockOffset::default()).await.unwrap()
}

/// Every call is `Unavailable`, within the deadline and a margin for a busy machine.
async fn all_fail_quickly(store: &RedisStore, within: Duration) {
    let (keys, index) = ([key()], Index::users());
    let begin = Instant::now();
    let (get, commit, add, remove, list, ping) = tokio::join!(
        store.get(&keys),
        store.commit(batch(9)),
        store.index_add(&index, "a", None),
        store.index_remove(&index, "a"),
        store.index_list(&index, None, 5),
        store.ping(),
    );
    let took = begin.elapsed();
    for error in [get.err(), commit.err(), add.err(), remove.err(), list.err(), ping.err()] {
        assert!(matches!(error, Some(StoreError::Unavailable(_))), "{error:?}");
    }
    assert!(took < within, "it took {took:?}");
}

async fn until_it_works(store: &RedisStore) {
    let begin = Instant::now();
    while let Err(error) = store.ping().await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(begin.elapsed() < PATIENCE, "it does not come back: {error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_it_watches(store: &RedisStore) -> futures::stream::BoxStream<'static, Result<Announcement, StoreError>> {
    let begin = Instant::now();
    loop {
        match store.watch().await {
            Ok(watch) => return watch,
            Err(error) => assert!(begin.elapsed() < PATIENCE, "it does not listen again: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_redis_is_unavailable_at_once_and_works_again_when_it_is_back() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = connect(&server).await;
    let mut watch = store.watch().await.unwrap();
    store.commit(batch(1)).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap(), Announcement::RevokedGrant("1".into()));
    for round in 0..2_u8 {
        server.stop();
        all_fail_quickly(&store, DEADLINE * 2).await;
        // By now every connection knows.
        tokio::time::sleep(DEADLINE).await;
        all_fail_quickly(&store, DEADLINE / 2).await;
        let gap = timeout(PATIENCE, watch.next()).await.expect("a watcher is told").unwrap();
        assert!(matches!(gap, Err(StoreError::Unavailable(_))), "{gap:?}");
        assert!(store.watch().await.is_err(), "nobody begins to watch in a gap");

        server.start_again();
        until_it_works(&store).await;
        let entry = store.get(&[key()]).await.unwrap().entries.remove(0).unwrap();
        assert_eq!(entry.version, CommitId([1 + 2 * round; 16]), "what was sent in the outage was not sent after it");
        let mut fresh = until_it_watches(&store).await;
        for id in [2 + 2 * round, 3 + 2 * round] {
            store.commit(batch(id)).await.unwrap();
            assert_eq!(next_heard(&mut fresh).await, Announcement::RevokedGrant(id.to_string()));
        }
        // The old watch says once more that something may be missing, and goes on.
        let again = timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
        assert!(again.is_err(), "{again:?}");
        for id in [2 + 2 * round, 3 + 2 * round] {
            assert_eq!(next_heard(&mut watch).await, Announcement::RevokedGrant(id.to_string()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_redis_costs_a_deadline_and_a_resend_is_safe() {
    let server = Server::start(&[]);
    let store = connect(&server).await;
    store.commit(batch(1)).await.unwrap();
    server.hang();
    let mut commit = batch(2);
    commit.preconditions.push(Precondition::Version(key(), CommitId([1; 16])));
    let begin = Instant::now();
    let lost = store.commit(commit.clone()).await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    assert!(begin.elapsed() < DEADLINE * 3, "{:?}", begin.elapsed());
    // Longer than an unanswered connection is kept.
    let begin = Instant::now();
    while begin.elapsed() < DEADLINE * 6 {
        let asked = Instant::now();
        assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
        assert!(asked.elapsed() < DEADLINE * 3, "{:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.go_on();
    until_it_works(&store).await;
    // It may have reached Redis or not; sent again it is committed, once.
    assert_eq!(store.commit(commit.clone()).await.unwrap(), CommitOutcome::Committed);
    assert_eq!(store.commit(commit).await.unwrap(), CommitOutcome::Committed);
    let entry = store.get(&[key()]).await.unwrap().entries.remove(0).unwrap();
    assert_eq!((&entry.value[..], entry.version), (&b"2"[..], CommitId([2; 16])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_come_back() {
    let server = Server::start(&[]);
    let store = connect(&server).await;
    for id in 1..4_u8 {
        let mut watch = until_it_watches(&store).await;
        server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        for _ in 0..2 {
            let gap = timeout(PATIENCE, watch.next()).await.expect("a watcher is told").unwrap();
            assert!(matches!(gap, Err(StoreError::Unavailable(_))), "{gap:?}");
        }
        until_it_works(&store).await;
        drop(until_it_watches(&store).await);
        let begin = Instant::now();
        while let Err(error) = store.commit(batch(id)).await {
            assert!(begin.elapsed() < PATIENCE, "{error}");
        }
        assert_eq!(next_heard(&mut watch).await, Announcement::RevokedGrant(id.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listening_connection_that_dies_silently_is_noticed() {
    let server = Server::start(&[]);
    let store = connect(&server).await;
    let mut watch = store.watch().await.unwrap();
    server.hang();
    let gap = timeout(PATIENCE, watch.next()).await.expect("silence is noticed").unwrap();
    assert!(gap.is_err(), "{gap:?}");
    server.go_on();
    drop(until_it_watches(&store).await);
    store.commit(batch(1)).await.unwrap();
    loop {
        match timeout(PATIENCE, watch.next()).await.expect("the stream goes on").unwrap() {
            Ok(heard) => return assert_eq!(heard, Announcement::RevokedGrant("1".into())),
            Err(error) => assert!(matches!(error, StoreError::Unavailable(_))),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_handle_takes_the_connections_with_it() {
    let server = Server::start(&[]);
    let connections = || server.cli(&["CLIENT", "LIST"]).lines().count();
    let store = connect(&server).await;
    let second = store.clone();
    assert_eq!(connections(), 4 + 1 + 1, "four for calls, one that listens, and redis-cli");
    drop(store);
    second.ping().await.unwrap();
    drop(second);
    let begin = Instant::now();
    while connections() > 1 {
        assert!(begin.elapsed() < PATIENCE, "connections are left open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A network that loses a peer: the connections of before stay open and carry nothing any more, new ones work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_die_without_a_word_are_replaced() {
    let server = Server::start(&[]);
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, redis) = (proxy.local_addr().unwrap().port(), ("127.0.0.1", server.port));
    let (lose, lost) = tokio::sync::watch::channel(0_u32);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = proxy.accept().await {
            let mut lost = lost.clone();
            lost.mark_unchanged();
            tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(redis).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    // Held open, for longer than the test takes.
                    _ = lost.changed() => tokio::time::sleep(PATIENCE * 4).await,
                }
            });
        }
    });
    let mut config = RedisConfig::new(format!("redis://127.0.0.1:{port}"));
    config.deadline = DEADLINE;
    let store = RedisStore::connect(config, ClockOffset::default()).await.unwrap();
    for round in 1..3_u8 {
        let mut watch = until_it_watches(&store).await;
        lose.send(round.into()).unwrap();
        // Each of the four connections is asked, and each is noticed.
        all_fail_quickly(&store, DEADLINE * 3).await;
        until_it_works(&store).await;
        let begin = Instant::now();
        let mut good = 0;
        while good < 8 {
            good = if store.ping().await.is_ok() { good + 1 } else { 0 };
            assert!(begin.elapsed() < PATIENCE, "some connection is still dead");
        }
        // Lost, and back: what is announced after that is heard.
        while {
            let gap = timeout(PATIENCE, watch.next()).await.expect("a watcher is told").unwrap().unwrap_err();
            !gap.to_string().contains("before the connection was back")
        } {}
        assert_eq!(store.commit(batch(round)).await.unwrap(), CommitOutcome::Committed);
        assert_eq!(next_heard(&mut watch).await, Announcement::RevokedGrant(round.to_string()));
    }
}
