//! Many at once: preconditions and writes are one step.

use std::sync::Arc;

use futures::future::{join_all, try_join_all};
use grantd_store::{CommitOutcome, Store};

use crate::{
    Failure, Harness, Verdict,
    check::{batch, ensure, holds, key, read},
};

/// Runs a future as a task of its own, so that the runtime's threads share the work.
async fn spawned<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work).await.map_err(|error| Failure(format!("a task of the suite died: {error}")))?
}

/// Of many that rest on one version, exactly one commits; likewise for one absence.
pub async fn one_of_many_writers_wins(harness: &impl Harness) -> Verdict {
    let handles = [harness.open().await, harness.open().await];
    for round in 0..5 {
        let (head, fresh) = (key(&format!("g{round}"), "head"), key(&format!("g{round}"), "fresh"));
        let version = batch().put(&head, "start").committed(&*handles[0], "writing").await?;
        for absence in [true, false] {
            let attempts = handles.iter().cycle().take(24).cloned().enumerate().map(|(nth, store)| {
                let writing = if absence { batch().absent(&fresh) } else { batch().version(&head, version) };
                let target = if absence { &fresh } else { &head };
                let value = format!("{nth}");
                let writing = writing.put(target, &value);
                spawned(async move { Ok((value, writing.outcome(&*store).await?)) })
            });
            let outcomes = try_join_all(attempts).await?;
            let winners: Vec<_> = outcomes.iter().filter(|(_, outcome)| *outcome == CommitOutcome::Committed).collect();
            ensure!(winners.len() == 1, "{} of 24 writers won: {winners:?}", winners.len());
            for (value, _) in winners {
                holds(&*handles[1], if absence { &fresh } else { &head }, value, "the winner's value").await?;
            }
        }
    }
    Ok(())
}

async fn increment(store: Arc<dyn Store>, times: u32) -> Result<(), Failure> {
    let key = key("counter", "n");
    for _ in 0..times {
        loop {
            let Some(entry) = read(&*store, &key).await? else { return Err(Failure("the counter is gone".into())) };
            let count: u32 = String::from_utf8_lossy(&entry.value).parse().unwrap_or(u32::MAX);
            let next = count.saturating_add(1).to_string();
            let outcome = batch().version(&key, entry.version).put(&key, &next).outcome(&*store).await?;
            if outcome == CommitOutcome::Committed {
                break;
            }
        }
    }
    Ok(())
}

/// A counter incremented by read and commit, by many at once, counts them all.
pub async fn no_increment_is_lost(harness: &impl Harness) -> Verdict {
    let handles = [harness.open().await, harness.open().await];
    batch().put(&key("counter", "n"), "0").committed(&*handles[0], "writing").await?;
    let writers = handles.iter().cycle().take(6).cloned().map(|store| spawned(increment(store, 10)));
    try_join_all(writers).await?;
    holds(&*handles[0], &key("counter", "n"), "60", "six writers, ten increments each").await
}

/// One batch sent many times at once is committed, for every sender.
pub async fn concurrent_resends_all_succeed(harness: &impl Harness) -> Verdict {
    let handles = [harness.open().await, harness.open().await];
    let (new, head) = (key("a", "new"), key("a", "head"));
    let version = batch().put(&head, "1").committed(&*handles[0], "writing").await?;
    let commit = batch().absent(&new).version(&head, version).put(&new, "x").put(&head, "2");
    let attempts = handles.iter().cycle().take(16).cloned().map(|store| {
        let commit = commit.clone();
        spawned(async move { commit.committed(&*store, "one of many senders").await })
    });
    for outcome in join_all(attempts).await {
        outcome?;
    }
    holds(&*handles[0], &head, "2", "it was put").await
}

/// Keys of one slot are read at one moment: never one record of a commit without the other.
pub async fn readers_never_see_half_a_commit(harness: &impl Harness) -> Verdict {
    let (store, reader) = (harness.open().await, harness.open().await);
    let keys = [key("a", "one"), key("a", "two"), key("a", "three")];
    let write = |round: u32| {
        let value = round.to_string();
        keys.iter().fold(batch(), |writing, key| writing.put(key, &value))
    };
    write(0).committed(&*store, "writing").await?;
    let writer = {
        let writes: Vec<_> = (1..60).map(write).collect();
        spawned(async move {
            for write in writes {
                write.committed(&*store, "writing").await?;
                // A store in memory may never wait by itself.
                tokio::task::yield_now().await;
            }
            Ok(())
        })
    };
    let keys = keys.clone();
    let reading = spawned(async move {
        for _ in 0..200 {
            let entries = reader.get(&keys).await?.entries;
            let versions: Vec<_> = entries.iter().flatten().map(|entry| entry.version).collect();
            let alike = versions.len() == 3 && versions.windows(2).all(|pair| pair.first() == pair.last());
            ensure!(alike, "records of several commits were read together: {entries:?}");
        }
        Ok(())
    });
    futures::try_join!(writer, reading)?;
    Ok(())
}
