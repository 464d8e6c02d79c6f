//! What may stand in the place of a store: each is refused with what it is and what to do, and is left as it is.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use grantd_store::{Batch, CommitId, CommitOutcome, Key, Put, Store as _};
use grantd_store_embedded::{EmbeddedStore, OpenError, SystemClock};
use tempfile::TempDir;

fn key(nth: u64) -> Key {
    Key::raw(format!("oauth:test:{{{nth}}}"))
}

/// A store with something in it, closed.
async fn store(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("grantd.redb");
    let store = EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap();
    for nth in 0..100 {
        let puts = vec![Put { key: key(nth), value: Bytes::from(vec![7; 3_000]), expires_at: None }];
        let mut id = [1; 16];
        id[..8].copy_from_slice(&nth.to_be_bytes());
        let batch = Batch { id: CommitId(id), preconditions: vec![], puts, deletes: vec![], announce: vec![] };
        assert_eq!(store.commit(batch).await.unwrap(), CommitOutcome::Committed);
    }
    path
}

/// Is refused, twice alike, with a text that has these words; the file is as it was.
fn is_refused(path: &Path, words: &str) -> OpenError {
    let before = fs::read(path).ok();
    let texts = [(); 2].map(|()| {
        let error = EmbeddedStore::open(path, Arc::new(SystemClock)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words) && text.contains(&*path.to_string_lossy()), "{text}");
        assert!(text.contains("Put a backup in its place, or move it away"), "{text}");
        (error, text)
    });
    assert_eq!(texts[0].1, texts[1].1);
    assert!(fs::read(path).ok() == before, "it was left as it is");
    let [(error, _), _] = texts;
    error
}

#[tokio::test]
async fn a_truncated_file_is_damaged() {
    let folder = TempDir::new().unwrap();
    let path = store(&folder).await;
    let whole = fs::read(&path).unwrap();
    for len in [whole.len() - 1, whole.len() - 4096, whole.len() / 2, 8192, 4096, 511, 320, 9] {
        fs::write(&path, &whole[..len]).unwrap();
        let error = is_refused(&path, "is damaged");
        assert!(matches!(error, OpenError::Damaged { .. }), "{len}: {error}");
    }
    fs::write(&path, &whole).unwrap();
    let store = EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap();
    assert!(store.get(&[key(99)]).await.unwrap().entries[0].is_some(), "put back, it opens");
}

#[tokio::test]
async fn flipped_bytes_in_the_middle_are_damage() {
    let folder = TempDir::new().unwrap();
    let path = store(&folder).await;
    let mut bytes = fs::read(&path).unwrap();
    // In a value, which no structure would miss.
    let middle =
        bytes.windows(64).enumerate().filter(|(_, window)| window.iter().all(|byte| *byte == 7)).map(|(at, _)| at);
    let found: Vec<_> = middle.collect();
    let at = found[found.len() / 2];
    bytes[at..at + 8].fill(8);
    fs::write(&path, &bytes).unwrap();
    // In the middle of the file may lie a page that is not in use any more.
    match EmbeddedStore::open(&path, Arc::new(SystemClock)) {
        Err(_) => assert!(matches!(is_refused(&path, "is damaged"), OpenError::Damaged { .. })),
        Ok(store) => {
            for nth in 0..100 {
                let entry = store.get(&[key(nth)]).await.unwrap().entries.remove(0);
                assert!(entry.unwrap().value.iter().all(|byte| *byte == 7));
            }
        }
    }
    // All of them, of which most are in use.
    for at in found {
        bytes[at] = 8;
    }
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(is_refused(&path, "is damaged"), OpenError::Damaged { .. }));
}

#[tokio::test]
async fn a_zeroed_header_is_no_store() {
    let folder = TempDir::new().unwrap();
    let path = store(&folder).await;
    let mut bytes = fs::read(&path).unwrap();
    bytes[..4096].fill(0);
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(is_refused(&path, "is no grantd store"), OpenError::NotAStore { .. }));
    bytes.fill(0);
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(is_refused(&path, "is no grantd store"), OpenError::NotAStore { .. }));
}

#[test]
fn what_is_no_store_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("empty.redb");
    fs::write(&path, "").unwrap();
    is_refused(&path, "it is empty");

    let path = folder.path().join("notes.txt");
    fs::write(&path, "not a database at all\n".repeat(1000)).unwrap();
    is_refused(&path, "is no grantd store");
    fs::write(&path, "short").unwrap();
    is_refused(&path, "is no grantd store");

    let path = folder.path().join("folder.redb");
    fs::create_dir(&path).unwrap();
    is_refused(&path, "it is a folder");
    assert!(path.is_dir());

    is_refused(Path::new("/dev/null"), "it is no regular file");
}

#[cfg(unix)]
#[test]
fn a_link_to_nothing_is_not_followed_to_a_new_store() {
    let folder = TempDir::new().unwrap();
    let (path, target) = (folder.path().join("grantd.redb"), folder.path().join("elsewhere.redb"));
    std::os::unix::fs::symlink(&target, &path).unwrap();
    let error = EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap_err();
    assert!(error.to_string().contains("a link to a file that is not there"), "{error}");
    assert!(!target.exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn the_database_of_another_program_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("other.redb");
    // Without any table, with tables of its own, with a table that is called as one of ours.
    drop(redb::Database::create(&path).unwrap());
    is_refused(&path, "another program");
    for name in ["songs", "meta"] {
        let database = redb::Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let table = redb::TableDefinition::<u32, &str>::new(name);
        transaction.open_table(table).unwrap().insert(1, "one").unwrap();
        transaction.commit().unwrap();
        drop(database);
        is_refused(&path, "another program");
    }
}

#[test]
fn a_store_that_lacks_a_table_is_damaged() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("grantd.redb");
    drop(EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap());
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let expiry = redb::TableDefinition::<(u64, &str), ()>::new("record_expiry");
    assert!(transaction.delete_table(expiry).unwrap());
    transaction.commit().unwrap();
    drop(database);
    assert!(matches!(is_refused(&path, "record_expiry"), OpenError::Damaged { .. }));
}

#[tokio::test]
async fn a_file_that_is_moved_away_is_not_begun_anew_while_it_is_in_use() {
    let folder = TempDir::new().unwrap();
    let path = store(&folder).await;
    let moved = folder.path().join("moved.redb");
    let running = EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap();
    fs::rename(&path, &moved).unwrap();
    assert!(running.get(&[key(1)]).await.unwrap().entries[0].is_some());
    assert!(!path.exists());
    assert!(matches!(EmbeddedStore::open(&moved, Arc::new(SystemClock)), Err(OpenError::InUse(_))));
}
