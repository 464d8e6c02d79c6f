//! What needs more than the public surface: the writer's settings, the tables, and a disk that fails.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;
use grantd_store::Put;
use tempfile::TempDir;

use super::*;

mod backup;
mod damage;
mod group;
mod model;
mod platter;
mod power;
mod trouble;

#[derive(Debug, Default)]
struct Driven(AtomicU64);

impl Clock for Driven {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

fn open_with(folder: &TempDir, settings: Settings) -> (EmbeddedStore, Arc<Driven>) {
    let clock = Arc::new(Driven(AtomicU64::new(1_000_000)));
    let path = folder.path().join("grantd.redb");
    (EmbeddedStore::start(file::open(&path).unwrap(), clock.clone(), settings).unwrap(), clock)
}

fn put(nth: u64, expires_at: Option<Timestamp>) -> Batch {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&nth.to_be_bytes());
    Batch {
        id: CommitId(id),
        preconditions: vec![],
        puts: vec![Put { key: Key::raw(format!("oauth:test:{{{nth}}}")), value: Bytes::from_static(b"x"), expires_at }],
        deletes: vec![],
        announce: vec![Announcement::RevokedGrant(nth.to_string())],
    }
}

fn rows(store: &EmbeddedStore) -> (u64, u64, u64, u64) {
    use redb::ReadableTableMetadata as _;
    store
        .read(|transaction| {
            Ok((
                transaction.open_table(schema::RECORDS)?.len()?,
                transaction.open_table(schema::RECORD_EXPIRY)?.len()?,
                transaction.open_table(schema::MEMBERS)?.len()?,
                transaction.open_table(schema::MEMBER_EXPIRY)?.len()?,
            ))
        })
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writer_sweeps_by_itself_and_only_what_has_expired() {
    let folder = TempDir::new().unwrap();
    let settings = Settings { sweep_every: Duration::from_millis(5), ..Settings::default() };
    let (store, clock) = open_with(&folder, settings);
    let at = Timestamp(2_000_000);
    // More than one pass can take.
    let writes = (0..1200).map(|nth| {
        let store = store.clone();
        async move {
            store.commit(put(nth, (nth % 2 == 0).then_some(at))).await.unwrap();
            store.index_add(&Index::grants(), &nth.to_string(), (nth % 2 == 0).then_some(at)).await.unwrap();
        }
    });
    futures::stream::iter(writes).buffer_unordered(500).collect::<()>().await;
    assert_eq!(rows(&store), (1200, 600, 1200, 600));
    clock.0.store(at.0 - 1, Ordering::SeqCst);
    assert_eq!(store.sweep().await.unwrap(), 0);
    assert_eq!(rows(&store), (1200, 600, 1200, 600));
    clock.0.store(at.0, Ordering::SeqCst);
    let patience = Instant::now() + Duration::from_secs(20);
    while store.stats().swept < 1200 && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(rows(&store), (600, 0, 600, 0));
    assert_eq!(store.stats().swept, 1200);
}

#[tokio::test]
async fn a_sweep_leaves_what_was_renewed_or_made_again() {
    let folder = TempDir::new().unwrap();
    let (store, clock) = open_with(&folder, Settings::default());
    let index = Index::grants();
    let (early, late) = (Some(Timestamp(2_000_000)), Some(Timestamp(3_000_000)));
    for (nth, again) in [(1, late), (2, None), (3, early)] {
        store.commit(put(nth, early)).await.unwrap();
        store.index_add(&index, &nth.to_string(), early).await.unwrap();
        if nth == 2 {
            let gone = Batch { puts: vec![], deletes: vec![put(nth, None).puts[0].key.clone()], ..put(20, None) };
            store.commit(gone).await.unwrap();
            store.index_remove(&index, &nth.to_string()).await.unwrap();
        }
        // Another commit to the same key.
        store.commit(Batch { id: CommitId([9; 16]), ..put(nth, again) }).await.unwrap();
        store.index_add(&index, &nth.to_string(), again).await.unwrap();
    }
    assert_eq!(rows(&store), (3, 2, 3, 2));
    clock.0.store(2_000_000, Ordering::SeqCst);
    assert_eq!(store.sweep().await.unwrap(), 2);
    assert_eq!(rows(&store), (2, 1, 2, 1));
    assert_eq!(store.index_list(&index, None, 9).await.unwrap().members, ["1", "2"]);
    clock.0.store(3_000_000, Ordering::SeqCst);
    assert_eq!(store.sweep().await.unwrap(), 2);
    assert_eq!(rows(&store), (1, 0, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_unavailable_at_once_and_the_rest_is_written() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open_with(&folder, Settings { queue: 4, group: 2, ..Settings::default() });
    let answers = join_all((0..200).map(|nth| store.commit(put(nth, None)))).await;
    let refused = answers
        .iter()
        .filter(|answer| matches!(answer, Err(StoreError::Unavailable(why)) if why.contains("full")))
        .count();
    let committed = answers.iter().filter(|answer| matches!(answer, Ok(CommitOutcome::Committed))).count();
    assert!(refused > 0 && committed >= 4, "{refused} refused, {committed} committed");
    assert_eq!(refused + committed, 200);
    assert_eq!(rows(&store).0, committed as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_last_handle_finishes_the_queue_and_frees_the_file() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open_with(&folder, Settings::default());
    let second = store.clone();
    let mut watch = second.watch().await.unwrap();
    // Each is queued at its first poll; nobody waits for the answers.
    for nth in 0..300 {
        let mut commit = store.commit(put(nth, None));
        let _ = futures::poll!(&mut commit);
    }
    drop(store);
    second.ping().await.unwrap();
    drop(second);
    for nth in 0..300 {
        assert_eq!(watch.next().await.unwrap().unwrap(), Announcement::RevokedGrant(nth.to_string()));
    }
    assert!(watch.next().await.is_none(), "the store is gone");
    let (store, _) = open_with(&folder, Settings::default());
    assert_eq!(rows(&store).0, 300);
}

#[tokio::test]
async fn a_watcher_that_lags_is_told() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open_with(&folder, Settings::default());
    let mut watch = store.watch().await.unwrap();
    for _ in 0..=ANNOUNCEMENTS {
        store.0.announcements.send(Announcement::RevokedGrant("g".into())).unwrap();
    }
    assert!(matches!(watch.next().await, Some(Err(StoreError::Unavailable(_)))));
    assert!(matches!(watch.next().await, Some(Ok(_))), "and it goes on");
}

#[test]
fn a_newer_format_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("grantd.redb");
    drop(EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap());
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(schema::META).unwrap().insert(schema::FORMAT_KEY, schema::FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("newer grantd"), "{error}");
}
