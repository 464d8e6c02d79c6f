//! A backup is one moment, whatever goes on meanwhile.

use std::sync::atomic::AtomicBool;

use super::{model::Model, *};

/// A batch that leaves its number in two records and an expiry.
fn numbered(writer: u64, number: u64) -> Batch {
    let key = |name: &str| Key::raw(format!("oauth:test:{{{writer}}}:{name}"));
    let value = Bytes::from(number.to_string());
    let until = Some(Timestamp(2_000_000 + number));
    let puts = vec![
        Put { key: key("one"), value: value.clone(), expires_at: None },
        Put { key: key("two"), value, expires_at: until },
    ];
    let mut id = [0; 16];
    id[..8].copy_from_slice(&writer.to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    Batch { id: CommitId(id), preconditions: vec![], puts, deletes: vec![], announce: vec![] }
}

async fn number(store: &EmbeddedStore, writer: u64, name: &str) -> u64 {
    let entries = store.get(&[Key::raw(format!("oauth:test:{{{writer}}}:{name}"))]).await.unwrap().entries;
    entries[0].as_ref().map_or(0, |entry| String::from_utf8_lossy(&entry.value).parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_is_one_moment() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open_with(&folder, Settings::default());
    for nth in 100..400 {
        let _ = futures::poll!(store.commit(put(nth, None)));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (store, stop) = (store.clone(), stop.clone());
            tokio::spawn(async move {
                let mut number = 0;
                while !stop.load(Ordering::SeqCst) {
                    number += 1;
                    // One after the other, so 0 is never behind 1 in any moment that was.
                    store.commit(numbered(2 * writer, number)).await.unwrap();
                    store.commit(numbered(2 * writer + 1, number)).await.unwrap();
                }
            })
        })
        .collect();
    for nth in 0..8 {
        let before = [number(&store, 1, "one").await, number(&store, 3, "one").await];
        let (from, to) = (store.clone(), folder.path().join(format!("backup-{nth}.redb")));
        let target = to.clone();
        let backup = tokio::task::spawn_blocking(move || from.backup(&target)).await.unwrap().unwrap();
        let copy = EmbeddedStore::open(&to, Arc::new(Driven(AtomicU64::new(1_000_000)))).unwrap();
        let model = Model::of(&copy.0.database).unwrap();
        model.check();
        assert_eq!(model.records() as u64, backup.records);
        for writer in [0, 2] {
            let (first, second) = (number(&copy, writer, "one").await, number(&copy, writer + 1, "one").await);
            assert!(first == second || first == second + 1, "{first} and {second} never were together");
            assert_eq!(number(&copy, writer, "two").await, first, "a commit is all or nothing");
            assert!(second >= before[writer as usize / 2], "what was acknowledged before it began is in it");
        }
        // It is a store like any other.
        copy.commit(put(1, None)).await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    join_all(writers).await.into_iter().for_each(|joined| joined.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_the_same_as_the_store() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open_with(&folder, Settings::default());
    for nth in 0..300 {
        store.commit(put(nth, (nth % 3 == 0).then_some(Timestamp(2_000_000 + nth)))).await.unwrap();
        store.index_add(&Index::grants(), &nth.to_string(), (nth % 2 == 0).then_some(Timestamp(9))).await.unwrap();
    }
    let to = folder.path().join("backup.redb");
    assert_eq!(store.backup(&to).unwrap(), Backup { records: 300, members: 300 });
    let copy = EmbeddedStore::open(&to, Arc::new(SystemClock)).unwrap();
    assert_eq!(Model::of(&copy.0.database).unwrap(), Model::of(&store.0.database).unwrap());
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let (store, _) = open_with(&folder, Settings::default());
    let names = || {
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    let to = folder.path().join("backup.redb");
    std::fs::write(&to, "mine").unwrap();
    let error = store.backup(&to).unwrap_err();
    assert!(matches!(error, BackupError::Exists(_)) && error.to_string().contains("backup.redb"), "{error}");
    assert_eq!(std::fs::read(&to).unwrap(), b"mine");
    assert!(matches!(store.backup(&folder.path().join("grantd.redb")), Err(BackupError::Exists(_))), "not onto itself");
    let nowhere = store.backup(&folder.path().join("no such folder/backup.redb")).unwrap_err();
    assert!(matches!(nowhere, BackupError::Target { .. }), "{nowhere}");
    assert_eq!(names(), ["backup.redb", "grantd.redb"]);
    store.backup(&folder.path().join("second.redb")).unwrap();
    assert_eq!(names(), ["backup.redb", "grantd.redb", "second.redb"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join("second.redb")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
