//! Commits: all or nothing, under preconditions.

use crate::{
    Harness, Verdict,
    check::{batch, holds, id, is_gone, key},
};

/// `Absent` holds for what is not there, and for nothing else.
pub async fn absent_holds_only_for_absent_records(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let key = key("a", "one");
    let version = batch().absent(&key).put(&key, "1").committed(&*store, "there is nothing").await?;
    batch().absent(&key).put(&key, "2").conflicts(&*store, "there is a record").await?;
    holds(&*store, &key, "1", "nothing was written").await?;
    batch().version(&key, version).delete(&key).committed(&*store, "deleting").await?;
    batch().absent(&key).put(&key, "3").committed(&*store, "it was deleted").await?;
    batch().version(&key, version).put(&key, "4").conflicts(&*store, "another record has taken its place").await?;
    holds(&*store, &key, "3", "nothing was written").await
}

/// Whichever precondition fails, first, middle or last, and however: nothing at all is written.
pub async fn one_failing_precondition_stops_everything(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (there, gone, doomed, fresh) = (key("a", "there"), key("a", "gone"), key("a", "doomed"), key("a", "fresh"));
    let version = batch().put(&there, "old").put(&doomed, "alive").committed(&*store, "writing").await?;
    for position in 0..3 {
        for kind in 0..3 {
            let mut writing = batch().put(&fresh, "new").put(&there, "new").delete(&doomed);
            for nth in 0..3 {
                writing = match (nth == position, kind) {
                    (false, _) if nth == 0 => writing.absent(&gone),
                    (false, _) => writing.version(&there, version),
                    (true, 0) => writing.absent(&there),
                    (true, 1) => writing.version(&there, id()),
                    (true, _) => writing.version(&gone, version),
                };
            }
            let why = format!("precondition {position} fails, kind {kind}");
            writing.conflicts(&*store, &why).await?;
            is_gone(&*store, &fresh, &why).await?;
            holds(&*store, &there, "old", &why).await?;
            holds(&*store, &doomed, "alive", &why).await?;
        }
    }
    Ok(())
}

/// Puts and deletes of one batch take effect together; deleting what is not there is fine.
pub async fn puts_and_deletes_happen_together(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (head, old, new, never) = (key("g", "head"), key("g", "old"), key("g", "new"), key("g", "never"));
    let first = batch().put(&head, "1").put(&old, "old").committed(&*store, "issuing").await?;
    batch()
        .version(&head, first)
        .put(&head, "2")
        .put(&new, "new")
        .delete(&old)
        .delete(&never)
        .committed(&*store, "rotating")
        .await?;
    holds(&*store, &head, "2", "put").await?;
    holds(&*store, &new, "new", "put").await?;
    is_gone(&*store, &old, "deleted").await?;
    is_gone(&*store, &never, "it never was").await
}

/// A key that a batch both deletes and puts ends up put, so that the batch can be found again when it is resent.
pub async fn a_key_deleted_and_put_is_put(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let key = key("a", "both");
    batch().put(&key, "1").committed(&*store, "writing").await?;
    batch().put(&key, "2").delete(&key).committed(&*store, "deleting and writing").await?;
    holds(&*store, &key, "2", "it was put").await
}

/// A batch may consist of deletes.
pub async fn deletes_need_no_puts(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (one, two) = (key("a", "one"), key("a", "two"));
    let version = batch().put(&one, "1").put(&two, "2").committed(&*store, "writing").await?;
    batch().version(&one, id()).delete(&one).conflicts(&*store, "another version").await?;
    holds(&*store, &one, "1", "nothing was deleted").await?;
    batch().version(&one, version).delete(&one).committed(&*store, "this version").await?;
    is_gone(&*store, &one, "it was deleted").await?;
    batch().delete(&two).delete(&one).committed(&*store, "no preconditions").await?;
    is_gone(&*store, &two, "it was deleted").await
}

/// Without preconditions a batch is written over whatever is there.
pub async fn no_preconditions_always_hold(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let key = key("a", "one");
    for value in ["1", "2", "3"] {
        batch().put(&key, value).committed(&*store, "writing").await?;
        holds(&*store, &key, value, "it was put").await?;
    }
    Ok(())
}

/// Keys of two slots in one batch are refused, wherever they stand, and nothing is written.
pub async fn two_slots_in_a_batch_are_misuse(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let (here, there) = (key("a", "here"), key("b", "there"));
    batch().put(&here, "1").put(&there, "1").is_misuse(&*store, "two puts").await?;
    batch().put(&here, "1").delete(&there).is_misuse(&*store, "a put and a delete").await?;
    batch().delete(&here).delete(&there).is_misuse(&*store, "two deletes").await?;
    batch().put(&here, "1").absent(&there).is_misuse(&*store, "a put and a precondition").await?;
    batch().absent(&here).version(&there, id()).is_misuse(&*store, "two preconditions").await?;
    is_gone(&*store, &here, "nothing was written").await?;
    is_gone(&*store, &there, "nothing was written").await
}
