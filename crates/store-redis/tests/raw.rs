//! What an operator sees with `redis-cli`, and what the store makes of what it did not write.

mod support;

use std::time::Duration;

use bytes::Bytes;
use grantd_store::{Batch, CommitId, CommitOutcome, Index, Key, Precondition, Put, Store as _, StoreError, Timestamp};
use support::Server;

fn key(name: &str) -> Key {
    Key::raw(format!("oauth:test:{{g}}:{name}"))
}

fn batch(id: u8) -> Batch {
    Batch { id: CommitId([id; 16]), preconditions: vec![], puts: vec![], deletes: vec![], announce: vec![] }
}

fn put(name: &str, value: &'static str, expires_at: Option<Timestamp>) -> Put {
    Put { key: key(name), value: Bytes::from_static(value.as_bytes()), expires_at }
}

#[tokio::test]
async fn keys_values_and_times_to_live() {
    let server = Server::start(&[]);
    let store = server.store().await;
    let now = store.get(&[]).await.unwrap().now;
    let at = now.plus(Duration::from_secs(600));
    let puts = vec![
        put("stays", r#"{"a": "b c"}"#, None),
        put("brief", "x", Some(at)),
        put("late", "x", Some(Timestamp(now.0 - 1))),
        put("far", "x", Some(Timestamp(u64::MAX))),
    ];
    store.commit(Batch { puts, ..batch(0) }).await.unwrap();
    assert_eq!(server.cli(&["GET", "oauth:test:{g}:stays"]), r#"AAAAAAAAAAAAAAAAAAAAAA - {"a": "b c"}"#);
    assert_eq!(server.cli(&["GET", "oauth:test:{g}:brief"]), format!("AAAAAAAAAAAAAAAAAAAAAA {} x", at.0));
    assert_eq!(server.cli(&["TTL", "oauth:test:{g}:stays"]), "-1");
    let ttl = |key: &str| server.cli(&["PTTL", key]).parse::<i64>().unwrap();
    assert!((590_000..=600_000).contains(&ttl("oauth:test:{g}:brief")));
    assert!(ttl("oauth:test:{g}:late") <= 1);
    assert!(ttl("oauth:test:{g}:far") > 1 << 49);

    // A put without an expiry takes the old one's TTL away; a delete leaves nothing.
    let puts = vec![put("brief", "y", None)];
    store.commit(Batch { puts, deletes: vec![key("stays"), key("late"), key("far")], ..batch(1) }).await.unwrap();
    assert_eq!(server.cli(&["KEYS", "*"]), "oauth:test:{g}:brief");
    assert_eq!(ttl("oauth:test:{g}:brief"), -1);
}

#[tokio::test]
async fn indexes_do_not_outlive_their_members() {
    let server = Server::start(&[]);
    let store = server.store().await;
    let now = store.get(&[]).await.unwrap().now;
    let (soon, late) = (now.plus(Duration::from_secs(60)), now.plus(Duration::from_secs(600)));
    let index = Index::grants_of_client("c");
    let keys = ["oauth:index:grants-of-client:{c}", "oauth:index-expiry:grants-of-client:{c}"];
    let ttls = || keys.map(|key| server.cli(&["TTL", key]).parse::<i64>().unwrap());
    for (member, at) in [("a", late), ("b", soon)] {
        store.index_add(&index, member, Some(at)).await.unwrap();
        assert!(ttls().iter().all(|ttl| (590..=600).contains(ttl)), "{:?}", ttls());
    }
    store.index_add(&index, "c", None).await.unwrap();
    assert_eq!(ttls(), [-1, -1]);
    store.index_remove(&index, "c").await.unwrap();
    store.index_add(&index, "b", Some(late)).await.unwrap();
    assert!(ttls().iter().all(|ttl| (590..=600).contains(ttl)), "{:?}", ttls());
    assert_eq!(server.cli(&["ZRANGE", keys[0], "0", "-1"]), "a\nb");
    for member in ["a", "b"] {
        store.index_remove(&index, member).await.unwrap();
    }
    assert_eq!(server.cli(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn an_addition_sweeps_what_has_expired() {
    let server = Server::start(&[]);
    let offset = grantd_store_redis::ClockOffset::default();
    let store = grantd_store_redis::RedisStore::connect(server.config(), offset.clone()).await.unwrap();
    let at = Some(store.get(&[]).await.unwrap().now.plus(Duration::from_secs(60)));
    for n in 0..150 {
        store.index_add(&Index::grants(), &n.to_string(), at).await.unwrap();
    }
    store.index_add(&Index::grants(), "stays", None).await.unwrap();
    offset.advance(Duration::from_secs(60));
    let sizes =
        || ["oauth:index:grants", "oauth:index-expiry:{oauth:index:grants}"].map(|key| server.cli(&["ZCARD", key]));
    assert_eq!(sizes(), ["151", "151"]);
    store.index_add(&Index::grants(), "stays", None).await.unwrap();
    assert_eq!(sizes(), ["51", "51"]);
    store.index_add(&Index::grants(), "stays", None).await.unwrap();
    assert_eq!(sizes(), ["1", "1"]);
}

#[tokio::test]
async fn scripts_that_redis_forgot_are_sent_again() {
    let server = Server::start(&[]);
    let store = server.store().await;
    for round in 0..3 {
        server.cli(&["SCRIPT", "FLUSH"]);
        let puts = vec![put("one", "x", None)];
        assert_eq!(store.commit(Batch { puts, ..batch(round) }).await.unwrap(), CommitOutcome::Committed);
        server.cli(&["SCRIPT", "FLUSH"]);
        assert!(store.get(&[key("one")]).await.unwrap().entries[0].is_some());
        store.index_add(&Index::users(), "a", None).await.unwrap();
        assert_eq!(store.index_list(&Index::users(), None, 5).await.unwrap().members, ["a"]);
        store.index_remove(&Index::users(), "a").await.unwrap();
    }
    // All but the commit script since the last flush, each once: calls go by digest.
    let cached = server.cli(&["INFO", "memory"]);
    assert!(cached.lines().any(|line| line.trim() == "number_of_cached_scripts:4"), "{cached}");
}

#[tokio::test]
async fn what_is_no_record_is_corrupt_and_stops_the_batch() {
    let server = Server::start(&[]);
    let store = server.store().await;
    server.cli(&["SET", "oauth:test:{g}:damaged", "no record"]);
    server.cli(&["SET", "oauth:test:{g}:cut", "AAAAAAAAAAAAAAAAAAAAAA 17x secret"]);
    server.cli(&["RPUSH", "oauth:test:{g}:list", "x"]);
    for name in ["damaged", "cut", "list"] {
        let read = store.get(&[key(name)]).await;
        assert!(matches!(read, Err(StoreError::Corrupt(_))), "{name}: {read:?}");
        for precondition in [Precondition::Absent(key(name)), Precondition::Version(key(name), CommitId([0; 16]))] {
            let puts = vec![put("new", "x", None)];
            let preconditions = vec![Precondition::Absent(key("new")), precondition];
            let commit = store.commit(Batch { preconditions, puts, deletes: vec![key("damaged")], ..batch(1) }).await;
            let Err(StoreError::Corrupt(why)) = commit else { panic!("{name}: {commit:?}") };
            assert!(!why.contains("secret") && !why.contains("{g}"), "{why}");
        }
        assert_eq!(server.cli(&["EXISTS", "oauth:test:{g}:new", "oauth:test:{g}:damaged"]), "1");
    }
}
