//! The file between processes: killed ones, second ones, one that may not write more, and who may read it.
//!
//! The children are this test binary again, run for the one test `the_child` with a task in the environment.
//! `GRANTD_TEST_KILLS=200` kills more often.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and a child speaks to its parent on stdout"
)]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use grantd_store::{Batch, CommitId, CommitOutcome, Index, Key, Put, Store as _, StoreError, Timestamp};
use grantd_store_embedded::{EmbeddedStore, OpenError, SystemClock};
use tempfile::TempDir;

const TASK: &str = "GRANTD_TEST_CHILD_TASK";
const FILE: &str = "GRANTD_TEST_CHILD_FILE";
const WRITERS: u32 = 8;

fn child(task: &str, path: &Path) -> Child {
    start(&mut Command::new(std::env::current_exe().unwrap()), task, path)
}

fn start(command: &mut Command, task: &str, path: &Path) -> Child {
    command
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

/// Counts up in its own two records, and says so on stdout after each acknowledged commit. Each number is put into an
/// index before, as grants are.
async fn count_up(store: EmbeddedStore, writer: u32) {
    let mut next = number(&store, writer).await;
    loop {
        next += 1;
        let until = Some(Timestamp(u64::MAX - next));
        store.index_add(&Index::grants_of_client(&writer.to_string()), &format!("{next:09}"), until).await.unwrap();
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
        "fill" => fill_up(opened.unwrap()).await,
        _ => {
            let store = opened.unwrap();
            let writers = (0..WRITERS).map(|writer| count_up(store.clone(), writer));
            futures::future::join_all(writers).await;
        }
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let kills = std::env::var("GRANTD_TEST_KILLS").map_or(20, |kills| kills.parse::<u64>().unwrap());
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("grantd.redb");
    let mut acknowledged: BTreeMap<u32, u64> = BTreeMap::new();
    let mut unheard = 0;
    for round in 0..kills {
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
        // Where this is 0, it is killed while it starts: while it makes the file, checks it, or not yet.
        let enough = (round * 37) % 101;
        while acks < enough {
            acks += u64::from(note(lines.next().unwrap().unwrap()));
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
            let index = Index::grants_of_client(&writer.to_string());
            let after = found.checked_sub(1).map(|before| format!("{before:09}"));
            let listed = store.index_list(&index, after.as_deref(), 9).await.unwrap().members;
            assert!(listed.contains(&format!("{found:09}")), "round {round}: an index entry came before its commit");
            // Committed, but killed before it could say so.
            unheard += found - *acknowledged;
            *acknowledged = found;
        }
    }
    assert_eq!(acknowledged.len() as u32, WRITERS);
    let all: u64 = acknowledged.values().sum();
    println!("{kills} kills, {all} commits, {unheard} of them committed and not heard of, none lost");
}

/// Commits until it may not write more, reads meanwhile, and goes on as soon as it may.
async fn fill_up(store: EmbeddedStore) {
    let large = |number| {
        let mut batch = batch(0, number);
        for put in &mut batch.puts {
            // More than the file has to spare.
            put.key = Key::raw(format!("{}:{number}", put.key));
            put.value = Bytes::from(vec![number as u8; 100_000]);
        }
        batch
    };
    let (mut number, mut refused) = (1, 0_u32);
    loop {
        match store.commit(large(number)).await {
            Ok(outcome) => {
                assert_eq!(outcome, CommitOutcome::Committed);
                if refused > 0 {
                    break;
                }
                number += 1;
            }
            Err(StoreError::Unavailable(why)) => {
                refused += 1;
                if refused == 20 {
                    println!("full: {why}");
                }
                let committed: Vec<_> = (1..number).flat_map(|number| large(number).puts).collect();
                let keys: Vec<_> = committed.iter().map(|put| put.key.clone()).collect();
                let entries = store.get(&keys).await.expect("reads go on").entries;
                for (put, entry) in committed.iter().zip(entries) {
                    assert_eq!(entry.unwrap().value, put.value, "nothing acknowledged is lost");
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    println!("recovered: {number} commits");
}

/// A limit on the size of files stands for a full disk: it needs no rights, and the system enforces it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_writes_only_and_only_while_it_is_full() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("grantd.redb");
    let mut shell = Command::new("sh");
    // In blocks of 512 bytes. Without the trap the signal would end the process, before any error.
    shell.args(["-c", "trap '' XFSZ; ulimit -S -f 4096; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    let mut child = start(&mut shell, "fill", &path);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut wait_for = |word: &str| {
        let found = lines.by_ref().map_while(Result::ok).find(|line| line.contains(word));
        found.unwrap_or_else(|| panic!("it never said {word:?}"))
    };
    let why = wait_for("full: ");
    assert!(why.contains("File too large"), "{why}");
    let space = Command::new("prlimit").args(["--pid", &child.id().to_string(), "--fsize=unlimited:"]).status();
    assert!(space.unwrap().success());
    wait_for("recovered: ");
    assert!(child.wait().unwrap().success());
    EmbeddedStore::open(&path, Arc::new(SystemClock)).unwrap();
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
