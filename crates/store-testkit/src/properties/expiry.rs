//! Expiry: judged by the record's time against the store's clock, everywhere alike.

use std::time::Duration;

use grantd_store::Timestamp;

use crate::{
    Harness, Verdict,
    check::{batch, ensure, holds, is_gone, key, now, read},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A record is read until the moment it expires, and not at that moment.
pub async fn an_expired_record_is_not_read(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (brief, lasting) = (key("a", "brief"), key("a", "lasting"));
    let at = now(&*store).await?.plus(MINUTE);
    batch().put_until(&brief, "brief", Some(at)).put(&lasting, "lasting").committed(&*store, "writing").await?;
    let entry = read(&*store, &brief).await?;
    ensure!(entry.as_ref().is_some_and(|entry| entry.expires_at == Some(at)), "{entry:?} does not expire at {at}");
    harness.advance(MINUTE / 2);
    holds(&*store, &brief, "brief", "half its time is left").await?;
    harness.advance(MINUTE / 2);
    is_gone(&*store, &brief, "its time has come").await?;
    harness.advance(1000 * MINUTE);
    is_gone(&*store, &brief, "its time has passed").await?;
    let entry = read(&*store, &lasting).await?;
    ensure!(entry.as_ref().is_some_and(|entry| entry.expires_at.is_none()), "{entry:?} should stay for ever");
    Ok(())
}

/// `Absent` holds for an expired record, at the very moment too, and the new record is a full one.
pub async fn an_expired_record_counts_as_absent(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let key = key("a", "brief");
    let at = now(&*store).await?.plus(MINUTE);
    batch().put_until(&key, "old", Some(at)).committed(&*store, "writing").await?;
    batch().absent(&key).put(&key, "early").conflicts(&*store, "the record is alive").await?;
    harness.advance(MINUTE);
    batch().absent(&key).put(&key, "new").committed(&*store, "the record has expired").await?;
    harness.advance(1000 * MINUTE);
    holds(&*store, &key, "new", "the new record does not expire").await
}

/// `Version` does not hold for an expired record, at the very moment too.
pub async fn an_expired_record_has_no_version(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (key, other) = (key("a", "brief"), key("a", "other"));
    let at = now(&*store).await?.plus(MINUTE);
    let version = batch().put_until(&key, "old", Some(at)).committed(&*store, "writing").await?;
    batch().version(&key, version).put(&other, "early").committed(&*store, "the record is alive").await?;
    harness.advance(MINUTE);
    batch().version(&key, version).put(&other, "late").conflicts(&*store, "the record has expired").await?;
    holds(&*store, &other, "early", "nothing was written").await
}

/// A put replaces the expiry with the value: a later one, none, a first one.
pub async fn a_new_expiry_replaces_the_old(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (later, never, first) = (key("a", "later"), key("a", "never"), key("a", "first"));
    let begin = now(&*store).await?;
    let (early, late) = (Some(begin.plus(MINUTE)), Some(begin.plus(10 * MINUTE)));
    batch()
        .put_until(&later, "x", early)
        .put_until(&never, "x", early)
        .put(&first, "x")
        .committed(&*store, "writing")
        .await?;
    batch()
        .put_until(&later, "y", late)
        .put(&never, "y")
        .put_until(&first, "y", early)
        .committed(&*store, "writing again")
        .await?;
    harness.advance(2 * MINUTE);
    holds(&*store, &later, "y", "it was renewed").await?;
    holds(&*store, &never, "y", "it was made to stay").await?;
    is_gone(&*store, &first, "it was made to expire").await?;
    harness.advance(8 * MINUTE);
    is_gone(&*store, &later, "its new time has come").await?;
    holds(&*store, &never, "y", "it was made to stay").await
}

/// A put that is late does no harm, and takes the place of what was there.
pub async fn what_expires_in_the_past_is_never_seen(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (key, zero) = (key("a", "late"), key("a", "zero"));
    harness.advance(MINUTE);
    let past = Timestamp(now(&*store).await?.0 - 1);
    batch().put(&key, "there").committed(&*store, "writing").await?;
    batch()
        .put_until(&key, "late", Some(past))
        .put_until(&zero, "late", Some(Timestamp(0)))
        .committed(&*store, "writing too late")
        .await?;
    is_gone(&*store, &key, "it expired before it was written").await?;
    is_gone(&*store, &zero, "it expired before it was written").await?;
    batch().absent(&key).put(&key, "new").committed(&*store, "there is nothing").await?;
    Ok(())
}

/// `Timestamp` saturates; the end of time is an expiry like any other.
pub async fn the_last_moment_of_time_is_a_valid_expiry(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    for at in [Timestamp(u64::MAX), Timestamp(u64::MAX - 1), Timestamp(1 << 53), Timestamp::from_secs(253_402_300_799)]
    {
        let key = key("a", &at.0.to_string());
        batch().put_until(&key, "x", Some(at)).committed(&*store, "writing").await?;
        let entry = read(&*store, &key).await?;
        ensure!(entry.as_ref().is_some_and(|entry| entry.expires_at == Some(at)), "{entry:?} does not expire at {at}");
        batch().absent(&key).put(&key, "y").conflicts(&*store, "the record is alive").await?;
    }
    Ok(())
}

/// Time moves with the clock, never back, and alike for two handles.
pub async fn now_follows_the_clock(harness: &impl Harness) -> Verdict {
    let (one, two) = (harness.open().await, harness.open().await);
    let mut before = now(&*one).await?;
    for by in [Duration::from_millis(1), MINUTE, 1000 * MINUTE] {
        harness.advance(by);
        for store in [&one, &two, &one] {
            let after = now(&**store).await?;
            ensure!(after >= before, "time went back from {before} to {after}");
            before = after;
        }
    }
    let start = now(&*one).await?;
    harness.advance(60 * MINUTE);
    let passed = now(&*two).await?.since(start);
    ensure!((60 * MINUTE..61 * MINUTE).contains(&passed), "an hour took {passed:?}");
    Ok(())
}
