//! The file between processes: killed ones, second ones, and who may read it.
//!
//! The children are this test binary again, run for the one test `child` with a task in the environment.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use grantd_store::{Batch, CommitId, CommitOutcome, Key, Put, Store as _};
use grantd_store_embedded::{EmbeddedStore, OpenError, SystemClock};
use tempfile::TempDir;

const TASK: &str = "GRANTD_TEST_CHILD_TASK";
const FILE: &str = "GRANTD_TEST_CHILD_FILE";
const WRITERS: u32 = 8;

fn child(task: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_child", "--nocapture"])
        .env(TASK, task)
        .env(FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn keys(writer: u32) -> [Key; 2] {
    ["one", "two"].map(|name| Key::raw(format!("oauth:test:{{{writer}}}:{name}")))
}

fn batch(writer: u32, number: u64) -> Batch {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&writer.to_be_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    let value = Bytes::from(number.to_string());
    let puts = keys(writer).map(|key| Put { key, value: value.clone(), expires_at: None }).into();
    Batch { id: CommitId(id), preconditions: vec![], puts, deletes: vec![], announce: vec![] }
}

async fn number(store: &EmbeddedStore, writer: u32) -> u64 {
    let entries = store.get(&keys(writer)).await.unwrap().entries;
    let values = entries
        .into_iter()
        .map(|entry| entry.map_or(0, |entry| String::from_utf8_lossy(&entry.value).parse().unwrap()));
    let values: [u64; 2] = values.collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(values[0], values[1], "a commit is all or nothing");
    values[0]
}

/// Counts up in its own two records, and says so on stdout after each acknowledged commit.
async fn count_up(store: EmbeddedStore, writer: u32) {
    let mut next = number(&store, writer).await;
    loop {
        next += 1;
        assert_eq!(store.commit(batch(writer, next)).await.unwrap(), CommitOutcome::Committed);
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "ack {writer} {next}").unwrap();
        stdout.flush().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_child() {
    let (Ok(task), Ok(path)) = (std::env::var(TASK), std::env::var(FILE)) else { return };
    let opened = EmbeddedStore::open(path, Arc::new(SystemClock));
    match task.as_str() {
        "open" => println!("opened: {}", opened.map_or_else(|error| error.to_string(), |_| "yes".into())),
        _ => {
            let store = opened.unwrap();
            let writers = (0..WRITERS).map(|writer| count_up(store.clone(), writer));
            futures::future::join_all(writers).await;
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("grantd.redb");
    let mut acknowledged: BTreeMap<u32, u64> = BTreeMap::new();
    for round in 0..5 {
        let mut child = child("count", &path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acks = 0;
        let mut note = |line: String| {
            let words: Vec<_> = line.split_whitespace().collect();
            let ["ack", writer, number] = words[..] else { return false };
            let (Ok(writer), Ok(number)) = (writer.parse(), number.parse::<u64>()) else { return false };
            let before = acknowledged.insert(writer, number).unwrap_or(0);
            assert_eq!(number, before + 1, "writer {writer} goes on where it was");
            true
        };
        while acks < 50 + 37 * round {
            acks += usize::from(note(lines.next().unwrap().unwrap()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died; the last line may be cut.
        let rest: Vec<_> = lines.map_while(Result::ok).collect();
        let whole = rest.len().saturating_sub(1);
        rest.into_iter().take(whole).for_each(|line| {
            note(line);
        });

        let store = EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap();
        for (writer, acknowledged) in &mut acknowledged {
            let found = number(&store, *writer).await;
            assert!(found >= *acknowledged, "round {round}: writer {writer} lost {acknowledged}, there is {found}");
            // Committed, but killed before it could say so.
            *acknowledged = found;
        }
    }
    assert_eq!(acknowledged.len() as u32, WRITERS);
}

#[test]
fn a_second_process_is_told_what_to_do() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("grantd.redb");
    let open = || {
        let output = child("open", &path).wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find_map(|line| line.split_once("opened: ").map(|(_, answer)| answer.to_owned())).unwrap()
    };
    let store = EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap();
    let expected = format!("another grantd is using {}; stop it or pass another --data-dir", path.display());
    assert_eq!(open(), expected);
    let second = EmbeddedStore::open(&path, Arc::new(SystemClock));
    assert!(matches!(second, Err(OpenError::InUse(_))), "in this process likewise: {second:?}");
    drop(store);
    assert_eq!(open(), "yes");
}

#[test]
fn only_the_owner_may_read() {
    let folder = TempDir::new().unwrap();
    let (above, path) = (folder.path().join("a"), folder.path().join("a/b/grantd.redb"));
    let store = EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&above), 0o700);
    // A folder that was there is left as it is.
    std::fs::set_permissions(path.parent().unwrap(), std::fs::Permissions::from_mode(0o750)).unwrap();
    drop(store);
    drop(EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap());
    assert_eq!(mode(path.parent().unwrap()), 0o750);
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "not a database at all\n".repeat(1000);
    std::fs::write(&path, &text).unwrap();
    let error = EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap_err();
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}
