//! Announcements: of what was committed, to every watcher, in order.

use grantd_store::Announcement;

use crate::{
    Harness, Verdict,
    check::{Watch, batch, id, key},
};

fn grant(id: &str) -> Announcement {
    Announcement::RevokedGrant(id.to_owned())
}

/// A watcher hears every kind, in the order of the batch and of the commits to one slot, with names as they were given.
pub async fn a_watcher_hears_what_was_committed(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let mut watch = Watch::begin(&*store).await?;
    let every = [
        grant("g1"),
        Announcement::RevokedSubject("a person: é\n\0 \"x\"".to_owned()),
        Announcement::RevokedClient("https://example.com/client?a=b c".to_owned()),
        Announcement::SupersededGrant(String::new()),
        Announcement::ChangedGrant("a grant".to_owned()),
        grant("g1"),
    ];
    let first = every.iter().fold(batch().put(&key("a", "one"), "1"), |batch, one| batch.announce(one.clone()));
    first.committed(&*store, "a commit that announces").await?;
    watch.hears(&every, "one commit").await?;
    let many: Vec<_> = (0..30).map(|n| grant(&n.to_string())).collect();
    for (nth, one) in many.iter().enumerate() {
        batch().put(&key("a", &format!("x{nth}")), "1").announce(one.clone()).committed(&*store, "one of many").await?;
    }
    watch.hears(&many, "one commit after the other").await
}

/// Two watchers on two handles hear what a third commits.
pub async fn a_watcher_of_another_handle_hears_it_too(harness: &impl Harness) -> Verdict {
    let (one, two, three) = (harness.open().await, harness.open().await, harness.open().await);
    let mut watches = [Watch::begin(&*one).await?, Watch::begin(&*two).await?, Watch::begin(&*two).await?];
    batch().put(&key("a", "one"), "1").announce(grant("g")).committed(&*three, "a third handle").await?;
    for watch in &mut watches {
        watch.hears(&[grant("g")], "another handle committed").await?;
    }
    drop(three);
    batch().put(&key("a", "one"), "2").announce(grant("h")).committed(&*one, "the first handle").await?;
    for watch in &mut watches {
        watch.hears(&[grant("h")], "after a handle was dropped").await?;
    }
    Ok(())
}

/// What was not committed is not announced.
pub async fn a_watcher_hears_nothing_of_a_conflict(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let mut watch = Watch::begin(&*store).await?;
    let (one, other) = (key("a", "one"), key("b", "other"));
    batch().put(&one, "1").committed(&*store, "writing").await?;
    batch().absent(&one).put(&one, "2").announce(grant("conflict")).conflicts(&*store, "it is there").await?;
    batch().version(&one, id()).announce(grant("conflict")).conflicts(&*store, "another version").await?;
    batch().put(&one, "3").put(&other, "3").announce(grant("misuse")).is_misuse(&*store, "two slots").await?;
    batch().put(&one, "4").announce(grant("marker")).committed(&*store, "writing").await?;
    watch.hears(&[grant("marker")], "only one was committed").await
}

/// A batch found to be written already announces again: the first attempt may have died before it did.
pub async fn a_watcher_hears_a_resend_again(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let mut watch = Watch::begin(&*store).await?;
    let key = key("a", "one");
    let commit = batch().absent(&key).put(&key, "1").announce(grant("g"));
    for attempt in ["the first attempt", "a resend", "another resend"] {
        commit.committed(&*store, attempt).await?;
        watch.hears(&[grant("g")], attempt).await?;
    }
    Ok(())
}

/// A watch begins when it is asked for.
pub async fn a_watcher_hears_nothing_from_before(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    // An earlier watcher shows when the first announcement has arrived; until then it may reach a new one too.
    let mut earlier = Watch::begin(&*store).await?;
    batch().put(&key("a", "one"), "1").announce(grant("before")).committed(&*store, "before").await?;
    earlier.hears(&[grant("before")], "it was watching").await?;
    let mut watch = Watch::begin(&*store).await?;
    batch().put(&key("a", "one"), "2").announce(grant("after")).committed(&*store, "after").await?;
    watch.hears(&[grant("after")], "the watch began in between").await?;
    earlier.hears(&[grant("after")], "it was watching").await
}

/// A batch may do nothing but announce.
pub async fn announcements_alone_are_a_batch(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let mut watch = Watch::begin(&*store).await?;
    batch().announce(grant("alone")).committed(&*store, "no keys at all").await?;
    watch.hears(&[grant("alone")], "no keys at all").await
}
