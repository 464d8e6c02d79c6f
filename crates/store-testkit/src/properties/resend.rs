//! Resends: a commit whose reply was lost is sent again with the same id.
//!
//! A batch counts as written already when its first put is there, alive, and bears the batch's id. An expired first put
//! is absent here as everywhere, whether or not the backend has collected it: the batch is then judged anew.

use std::time::Duration;

use crate::{
    Harness, Verdict,
    check::{batch, ensure, holds, is_gone, key, now, read},
};

const MINUTE: Duration = Duration::from_secs(60);

/// The same batch again is `Committed`, also from another handle, and the records are as they were.
pub async fn a_resent_commit_is_committed_once(harness: &impl Harness) -> Verdict {
    let (store, other) = (harness.open().await, harness.open().await);
    let (new, head) = (key("a", "new"), key("a", "head"));
    let version = batch().put(&head, "1").committed(&*store, "writing").await?;
    let commit = batch().absent(&new).version(&head, version).put(&new, "x").put(&head, "2");
    commit.committed(&*store, "the first attempt").await?;
    for store in [&store, &other, &store] {
        commit.committed(&**store, "a resend").await?;
    }
    for (key, value) in [(&new, "x"), (&head, "2")] {
        holds(&*store, key, value, "it was put once").await?;
        let entry = read(&*store, key).await?;
        ensure!(entry.as_ref().is_some_and(|entry| entry.version == commit.id()), "{entry:?} is of another commit");
    }
    Ok(())
}

/// A resend leaves alone what others did to the batch's further keys.
pub async fn a_resent_commit_does_not_undo_what_came_after(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (head, changed, deleted) = (key("a", "head"), key("a", "changed"), key("a", "deleted"));
    let commit = batch().absent(&head).put(&head, "1").put(&changed, "1").put(&deleted, "1");
    let version = commit.committed(&*store, "the first attempt").await?;
    batch().version(&changed, version).put(&changed, "2").delete(&deleted).committed(&*store, "another commit").await?;
    commit.committed(&*store, "the resend").await?;
    holds(&*store, &changed, "2", "another commit wrote it").await?;
    is_gone(&*store, &deleted, "another commit deleted it").await
}

/// A resend does not delete what was put again since.
pub async fn a_resent_commit_deletes_nothing_new(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (head, old) = (key("a", "head"), key("a", "old"));
    let first = batch().put(&head, "1").put(&old, "old").committed(&*store, "writing").await?;
    let commit = batch().version(&head, first).put(&head, "2").delete(&old);
    commit.committed(&*store, "the first attempt").await?;
    commit.committed(&*store, "a resend after its deletes").await?;
    is_gone(&*store, &old, "it was deleted").await?;
    batch().absent(&old).put(&old, "back").committed(&*store, "it comes back").await?;
    commit.committed(&*store, "a resend").await?;
    holds(&*store, &old, "back", "it came back after the delete").await
}

/// When another commit has overwritten the first put, the preconditions speak, and they do not hold any more.
pub async fn a_resend_after_its_first_put_was_overwritten_conflicts(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (created, changed) = (key("a", "created"), key("a", "changed"));
    let before = batch().put(&changed, "0").committed(&*store, "writing").await?;
    let creates = batch().absent(&created).put(&created, "1");
    let changes = batch().version(&changed, before).put(&changed, "1");
    let first = creates.committed(&*store, "the first attempt").await?;
    let second = changes.committed(&*store, "the first attempt").await?;
    batch().version(&created, first).put(&created, "2").committed(&*store, "another commit").await?;
    batch().version(&changed, second).put(&changed, "2").committed(&*store, "another commit").await?;
    creates.conflicts(&*store, "its first put was overwritten").await?;
    changes.conflicts(&*store, "its first put was overwritten").await?;
    holds(&*store, &created, "2", "another commit wrote it").await?;
    holds(&*store, &changed, "2", "another commit wrote it").await
}

/// When another commit has deleted the first put, a batch that rested on a version conflicts.
pub async fn a_resend_after_its_first_put_was_deleted_conflicts(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let head = key("a", "head");
    let before = batch().put(&head, "0").committed(&*store, "writing").await?;
    let commit = batch().version(&head, before).put(&head, "1");
    let version = commit.committed(&*store, "the first attempt").await?;
    batch().version(&head, version).delete(&head).committed(&*store, "another commit").await?;
    commit.conflicts(&*store, "its first put was deleted").await?;
    is_gone(&*store, &head, "another commit deleted it").await
}

/// An expired first put proves nothing: the batch is judged by its preconditions, and revives nothing.
pub async fn a_resend_after_its_first_put_expired_is_a_new_commit(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (created, changed) = (key("a", "created"), key("a", "changed"));
    let at = Some(now(&*store).await?.plus(MINUTE));
    let before = batch().put(&changed, "0").committed(&*store, "writing").await?;
    let creates = batch().absent(&created).put_until(&created, "1", at);
    let changes = batch().version(&changed, before).put_until(&changed, "1", at);
    creates.committed(&*store, "the first attempt").await?;
    changes.committed(&*store, "the first attempt").await?;
    harness.advance(MINUTE);
    creates.committed(&*store, "what it needs absent has expired").await?;
    changes.conflicts(&*store, "the version it rests on is gone").await?;
    is_gone(&*store, &created, "its time has passed").await?;
    is_gone(&*store, &changed, "its time has passed").await
}

/// A batch of deletes leaves no trace of itself: resent, its preconditions decide.
pub async fn a_resend_of_deletes_is_judged_by_its_preconditions(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let key = key("a", "one");
    let version = batch().put(&key, "1").committed(&*store, "writing").await?;
    let deletes = batch().version(&key, version).delete(&key);
    deletes.committed(&*store, "the first attempt").await?;
    deletes.conflicts(&*store, "what it rests on is gone").await?;
    let blind = batch().delete(&key);
    blind.committed(&*store, "nothing to rest on").await?;
    blind.committed(&*store, "nothing to rest on").await?;
    is_gone(&*store, &key, "it was deleted").await
}
