//! Reading and writing: what was put is what is read.

use bytes::Bytes;
use grantd_store::{Key, Put};

use crate::{
    Harness, Verdict,
    check::{batch, ensure, holds, is_gone, key, read},
};

/// Nothing is read where nothing was put, with the store's time all the same.
pub async fn an_absent_record_is_none(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    is_gone(&*store, &key("a", "nothing"), "an empty store").await?;
    let snapshot = store.get(&[]).await?;
    ensure!(snapshot.entries.is_empty(), "no key was asked for, {} entries came", snapshot.entries.len());
    ensure!(snapshot.now.0 > 0, "the store does not know the time");
    Ok(())
}

/// A record bears the id of the commit that wrote it last.
pub async fn the_version_is_the_id_of_the_commit(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (one, two) = (key("a", "one"), key("a", "two"));
    let first = batch().put(&one, "1").put(&two, "2").committed(&*store, "a first write").await?;
    for key in [&one, &two] {
        let entry = read(&*store, key).await?;
        ensure!(entry.as_ref().is_some_and(|entry| entry.version == first), "{key}: {entry:?} is not of {first:?}");
    }
    let second = batch().version(&one, first).put(&one, "3").committed(&*store, "a second write").await?;
    let (one, two) = (read(&*store, &one).await?, read(&*store, &two).await?);
    ensure!(one.as_ref().is_some_and(|entry| entry.version == second), "{one:?} is not of {second:?}");
    ensure!(two.as_ref().is_some_and(|entry| entry.version == first), "{two:?} is not of {first:?} any more");
    Ok(())
}

/// Many keys of many slots, some absent and some asked for twice, come in the order of the question.
pub async fn many_keys_keep_their_order(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let mut keys = Vec::new();
    for slot in 0..8 {
        let mut writing = batch();
        for name in 0..5 {
            let key = key(&format!("slot{slot}"), &format!("name{name}"));
            if name != 3 {
                writing = writing.put(&key, key.as_str());
            }
            keys.push(key);
        }
        writing.committed(&*store, "writing").await?;
    }
    // Neighbours in the question are of different slots.
    keys.sort_by_key(|key| key.as_str().chars().rev().collect::<String>());
    keys.extend(keys.clone().into_iter().take(3));
    let snapshot = store.get(&keys).await?;
    ensure!(snapshot.entries.len() == keys.len(), "{} keys, {} entries", keys.len(), snapshot.entries.len());
    for (key, entry) in keys.iter().zip(snapshot.entries) {
        let value = entry.map(|entry| entry.value);
        let wanted = (!key.as_str().ends_with("name3")).then(|| Bytes::copy_from_slice(key.as_str().as_bytes()));
        ensure!(value == wanted, "{key} was answered {value:?}");
    }
    Ok(())
}

/// Values are bytes: empty, with NUL, newlines, spaces, and what is not UTF-8.
pub async fn values_are_any_bytes(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let every: Vec<u8> = (0..=255).collect();
    let values: [&[u8]; 8] = [b"", b"\0", b"a\0b\0", b"\r\n\n", b" - - ", b"\xff\xfe\x80", b"nil", &every];
    for (nth, value) in values.into_iter().enumerate() {
        for expires_at in [None, Some(crate::check::now(&*store).await?.plus(std::time::Duration::from_secs(3600)))] {
            let key = key("a", &format!("bytes{nth}"));
            let mut writing = batch();
            writing.0.puts.push(Put { key: key.clone(), value: Bytes::copy_from_slice(value), expires_at });
            let version = writing.committed(&*store, "writing").await?;
            let entry = read(&*store, &key).await?;
            ensure!(
                entry.as_ref().is_some_and(|entry| entry.value == value
                    && entry.version == version
                    && entry.expires_at == expires_at),
                "{value:?} until {expires_at:?} was read as {entry:?}"
            );
        }
    }
    Ok(())
}

/// A value of 1 MiB, and several in one commit.
pub async fn a_large_value_is_kept(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let large: Bytes = (0..1024 * 1024_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let keys: Vec<_> = (0..3).map(|n| key("a", &format!("large{n}"))).collect();
    let mut writing = batch();
    for key in &keys {
        writing.0.puts.push(Put { key: key.clone(), value: large.clone(), expires_at: None });
    }
    writing.committed(&*store, "writing").await?;
    for entry in store.get(&keys).await?.entries {
        ensure!(entry.is_some_and(|entry| entry.value == large), "a large value is not what was put");
    }
    Ok(())
}

/// Keys are text: without braces, with blanks, newlines, braces in odd places, other scripts, and long ones.
pub async fn keys_are_any_text(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let long = format!("oauth:test:{{{}}}", "x".repeat(2000));
    let names = ["plain", "two words", "a\nb", "a\0b", "{}", "}{", "{a", "a{b}c{d}", "clé:{ключ}:鍵", "*?[x]", &long];
    for name in names {
        batch().put(&Key::raw(name), name).committed(&*store, "writing").await?;
    }
    for name in names {
        holds(&*store, &Key::raw(name), name, "every key has its own record").await?;
    }
    batch().delete(&Key::raw("a\0b")).committed(&*store, "deleting").await?;
    is_gone(&*store, &Key::raw("a\0b"), "it was deleted").await?;
    holds(&*store, &Key::raw("a\nb"), "a\nb", "another key was deleted").await
}

/// Two handles, one set of records.
pub async fn a_second_handle_sees_the_same_records(harness: &impl Harness) -> Verdict {
    let (one, two) = (harness.open().await, harness.open().await);
    let key = key("a", "shared");
    let version = batch().absent(&key).put(&key, "by one").committed(&*one, "the first handle").await?;
    holds(&*two, &key, "by one", "the second handle").await?;
    batch().absent(&key).put(&key, "by two").conflicts(&*two, "the record is there").await?;
    batch().version(&key, version).put(&key, "by two").committed(&*two, "the second handle").await?;
    holds(&*one, &key, "by two", "the first handle").await
}

/// The store answers.
pub async fn a_ping_is_answered(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    store.ping().await?;
    Ok(())
}
