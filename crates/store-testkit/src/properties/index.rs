//! Indexes: ordered, paged, expiring sets of names.

use std::time::Duration;

use futures::future::try_join_all;
use grantd_store::{Index, Store};

use crate::{
    Failure, Harness, Verdict,
    check::{ensure, now},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Every member, by pages of `limit`; each page keeps the rules of paging.
async fn all(store: &dyn Store, index: &Index, limit: usize) -> Result<Vec<String>, Failure> {
    let mut members: Vec<String> = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..10_000 {
        let page = store.index_list(index, after.as_deref(), limit).await?;
        ensure!(page.members.len() <= limit, "a page of {} members where {limit} is the limit", page.members.len());
        for member in page.members {
            let ascending =
                members.last().is_none_or(|last| *last < member) && after.as_ref().is_none_or(|after| *after < member);
            ensure!(ascending, "{member:?} came after {:?}, page after {after:?}", members.last());
            members.push(member);
        }
        match page.next {
            None => return Ok(members),
            next => {
                ensure!(next > after, "the page after {after:?} goes on at {next:?}");
                after = next;
            }
        }
    }
    Err(Failure("the pages do not end".into()))
}

async fn lists(store: &dyn Store, index: &Index, expected: &[&str], why: &str) -> Verdict {
    for limit in [100, 1, 2] {
        let members = all(store, index, limit).await?;
        ensure!(members == expected, "{why}: {members:?} is not {expected:?} (limit {limit})");
    }
    Ok(())
}

/// Members come in ascending order of their bytes, once each, however they were added.
pub async fn an_index_lists_in_order(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let index = Index::clients();
    lists(&*store, &index, &[], "an empty index").await?;
    for member in ["b", "ab", "a", "é", "B", "a b", "a", "aa", "10", "9", "~", "a:b", "b"] {
        store.index_add(&index, member, None).await?;
    }
    let expected = ["10", "9", "B", "a", "a b", "a:b", "aa", "ab", "b", "~", "é"];
    lists(&*store, &index, &expected, "members in the order of their bytes").await
}

/// What is removed is gone; removing what is not there is fine.
pub async fn an_index_forgets_what_is_removed(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let index = Index::grants_of_subject("s");
    let at = Some(now(&*store).await?.plus(MINUTE));
    for (member, expires_at) in [("a", None), ("b", at), ("c", None)] {
        store.index_add(&index, member, expires_at).await?;
    }
    for member in ["b", "a", "never"] {
        store.index_remove(&index, member).await?;
    }
    lists(&*store, &index, &["c"], "two of three were removed").await?;
    store.index_add(&index, "a", None).await?;
    store.index_remove(&index, "c").await?;
    lists(&*store, &index, &["a"], "one came back").await?;
    store.index_remove(&index, "a").await?;
    lists(&*store, &index, &[], "all were removed").await
}

/// A member is listed until the moment it expires, and not at that moment.
pub async fn an_index_member_expires(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let index = Index::grants();
    let begin = now(&*store).await?;
    store.index_add(&index, "stays", None).await?;
    store.index_add(&index, "brief", Some(begin.plus(MINUTE))).await?;
    store.index_add(&index, "longer", Some(begin.plus(10 * MINUTE))).await?;
    harness.advance(MINUTE / 2);
    lists(&*store, &index, &["brief", "longer", "stays"], "all are alive").await?;
    harness.advance(MINUTE / 2);
    lists(&*store, &index, &["longer", "stays"], "the time of one has come").await?;
    harness.advance(1000 * MINUTE);
    lists(&*store, &index, &["stays"], "only one stays").await
}

/// Adding a member again replaces its expiry.
pub async fn an_index_member_is_renewed(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let index = Index::grants();
    let begin = now(&*store).await?;
    let (early, late) = (Some(begin.plus(MINUTE)), Some(begin.plus(10 * MINUTE)));
    for (member, first, second) in
        [("later", early, late), ("never", early, None), ("first", None, early), ("sooner", late, early)]
    {
        store.index_add(&index, member, first).await?;
        store.index_add(&index, member, second).await?;
    }
    lists(&*store, &index, &["first", "later", "never", "sooner"], "all are alive").await?;
    harness.advance(MINUTE);
    lists(&*store, &index, &["later", "never"], "two were renewed").await?;
    store.index_add(&index, "first", None).await?;
    harness.advance(9 * MINUTE);
    lists(&*store, &index, &["first", "never"], "an expired one came back").await
}

/// Pages join to the whole; `next` is `None` on the last page; what comes and goes between pages disturbs nothing else.
pub async fn an_index_is_listed_in_pages(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let index = Index::users();
    let members: Vec<_> = (0..25).map(|n| format!("m{n:02}")).collect();
    for member in members.iter().rev() {
        store.index_add(&index, member, None).await?;
    }
    for limit in [1, 7, 24, 25, 26, 1000] {
        let listed = all(&*store, &index, limit).await?;
        ensure!(listed == members, "by pages of {limit}: {listed:?}");
    }
    let page = store.index_list(&index, None, 25).await?;
    ensure!(page.next.is_none(), "all fit, but it goes on after {:?}", page.next);
    let page = store.index_list(&index, None, 10).await?;
    ensure!(page.members.iter().eq(members.iter().take(10)), "the first ten: {page:?}");
    store.index_remove(&index, "m09").await?;
    store.index_remove(&index, "m15").await?;
    store.index_add(&index, "m00a", None).await?;
    store.index_add(&index, "m12a", None).await?;
    let page = store.index_list(&index, page.next.as_deref(), 4).await?;
    let expected = ["m10", "m11", "m12", "m12a"];
    ensure!(page.members == expected, "{:?} is not {expected:?}", page.members);
    let page = store.index_list(&index, Some("m13zzz"), 2).await?;
    ensure!(page.members == ["m14", "m16"], "after a name that is no member: {page:?}");
    let page = store.index_list(&index, Some("z"), 2).await?;
    ensure!(page.members.is_empty() && page.next.is_none(), "after the end: {page:?}");
    let none = store.index_list(&index, None, 0).await;
    ensure!(none.is_err(), "a limit of zero was answered {none:?}");
    Ok(())
}

/// Many expired members between live ones neither show, nor end the listing, nor are answered for ever.
pub async fn an_index_pages_past_expired_members(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let index = Index::grants();
    let at = Some(now(&*store).await?.plus(MINUTE));
    let adding = (0..600).map(|n| {
        let (store, index) = (&store, &index);
        async move { store.index_add(index, &format!("m{n:04}"), if n % 200 == 199 { None } else { at }).await }
    });
    try_join_all(adding).await?;
    harness.advance(MINUTE);
    lists(&*store, &index, &["m0199", "m0399", "m0599"], "the live ones").await
}

/// Indexes of one kind and of several do not mix.
pub async fn indexes_are_apart(harness: &impl Harness) -> Verdict {
    let store = harness.open().await;
    let indexes = [
        Index::clients(),
        Index::users(),
        Index::grants(),
        Index::grants_of_subject("x"),
        Index::grants_of_subject("y"),
        Index::grants_of_subject("x:expiry"),
        Index::grants_of_client("x"),
    ];
    for (nth, index) in indexes.iter().enumerate() {
        store.index_add(index, &format!("m{nth}"), None).await?;
    }
    for (nth, index) in indexes.iter().enumerate() {
        lists(&*store, index, &[&format!("m{nth}")], index.as_str()).await?;
    }
    Ok(())
}
