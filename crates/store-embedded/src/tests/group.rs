//! Many commits share few syncs, which is what they cost.

use super::{model, platter::Platter, *};
use grantd_store::Precondition;

#[tokio::test(flavor = "multi_thread")]
async fn many_commits_share_few_syncs() {
    let platter = Platter::holding(model::empty());
    let database = Database::open("the platter".into(), Disk::new(platter.clone(), None), Duration::ZERO);
    let clock = Arc::new(Driven(AtomicU64::new(1_000_000)));
    let store = EmbeddedStore::start(database.unwrap(), clock, Settings::default()).unwrap();
    let before = platter.syncs();
    // The first group waits for the disk until all the others have queued up.
    platter.gate(true);
    let mut commits: Vec<_> = (0..600).map(|nth| store.commit(put(nth, None))).collect();
    for commit in &mut commits {
        assert!(futures::poll!(commit).is_pending());
    }
    platter.gate(false);
    for answer in join_all(commits).await {
        assert_eq!(answer.unwrap(), CommitOutcome::Committed);
    }
    let (stats, syncs) = (store.stats(), platter.syncs() - before);
    assert_eq!(stats.changes, 600);
    // The one that waited, and 256 in each of the others.
    assert!(stats.transactions <= 4, "{stats:?}");
    // Each syncs once, and once more where it makes the file grow.
    assert!(syncs <= 2 * stats.transactions, "{syncs} syncs, {stats:?}");

    // What changes nothing costs none: a resend, a conflict.
    let mut conflicts = put(1000, None);
    conflicts.preconditions.push(Precondition::Absent(Key::raw("oauth:test:{1}")));
    conflicts.puts[0].key = Key::raw("oauth:other:{1}");
    assert_eq!(store.commit(put(7, None)).await.unwrap(), CommitOutcome::Committed);
    assert_eq!(store.commit(conflicts).await.unwrap(), CommitOutcome::Conflict);
    assert_eq!(platter.syncs() - before, syncs);
    assert_eq!(store.stats().transactions, stats.transactions);
}
