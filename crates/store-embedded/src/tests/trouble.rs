//! A disk that is full, read-only, gone, or fails to sync, for a while.

use super::{
    model::{self, Model},
    platter::{Chance, Fault, Platter},
    power::{for_each_seed, open},
    *,
};
use crate::writer::Thread;

const FAULTS: [Fault; 4] = [Fault::Full, Fault::ReadOnly, Fault::Sync, Fault::Gone];

/// How many histories run when nothing else is said.
const HISTORIES: u64 = 150;

fn there(store: &EmbeddedStore, keys: std::ops::Range<u64>) -> Result<Vec<bool>, StoreError> {
    let keys: Vec<_> = keys.map(|nth| Key::raw(format!("oauth:test:{{{nth}}}"))).collect();
    let snapshot = futures::executor::block_on(store.get(&keys))?;
    Ok(snapshot.entries.iter().map(Option::is_some).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_write_is_an_error_to_its_group_reads_go_on_and_writing_begins_again() {
    for fault in [Fault::Full, Fault::ReadOnly, Fault::Sync] {
        let platter = Platter::holding(model::empty());
        let database = Database::open("the platter".into(), Disk::new(platter.clone(), None), Duration::ZERO);
        let clock = Arc::new(Driven(AtomicU64::new(1_000_000)));
        let store = EmbeddedStore::start(database.unwrap(), clock, Settings::default()).unwrap();
        let mut watch = store.watch().await.unwrap();
        // A value that needs new space each time.
        let large = |nth| {
            let mut batch = put(nth, None);
            batch.puts[0].value = vec![nth as u8; 200_000].into();
            batch
        };
        store.commit(put(0, None)).await.unwrap();

        platter.fault(Some(fault));
        for round in 0..3 {
            for answer in join_all((10..30).map(|nth| store.commit(large(10 * round + nth)))).await {
                assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{fault:?}: {answer:?}");
            }
            assert!(there(&store, 0..1).unwrap()[0], "{fault:?}: reads go on");
            store.ping().await.unwrap();
        }

        platter.fault(None);
        store.commit(large(1)).await.unwrap();
        assert_eq!(there(&store, 0..2).unwrap(), [true, true], "{fault:?}");
        for expected in ["0", "1"] {
            let heard = watch.next().await.unwrap().unwrap();
            assert_eq!(heard, Announcement::RevokedGrant(expected.into()), "nothing of what failed was announced");
        }
        // A group whose sync failed may be there, as any whose answer was lost; the others are not.
        if fault != Fault::Sync {
            assert_eq!(there(&store, 10..60).unwrap(), [false; 50], "{fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_was_away_is_found_again_by_reading_alone() {
    let platter = Platter::holding(model::empty());
    let database = Database::open("the platter".into(), Disk::new(platter.clone(), None), Duration::ZERO);
    let clock = Arc::new(Driven(AtomicU64::new(1_000_000)));
    let store = EmbeddedStore::start(database.unwrap(), clock, Settings::default()).unwrap();
    store.commit(put(0, None)).await.unwrap();
    platter.fault(Some(Fault::Gone));
    store.commit(put(1, None)).await.unwrap_err();
    assert!(matches!(there(&store, 0..1), Err(StoreError::Unavailable(_))), "what cannot be read is no answer");
    platter.fault(None);
    let patience = Instant::now() + Duration::from_secs(20);
    while there(&store, 0..1).is_err() && Instant::now() < patience {
        tokio::task::yield_now().await;
    }
    assert!(there(&store, 0..1).unwrap()[0]);
    store.commit(put(2, None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_full_the_file_is_not_read_again_for_every_write() {
    let platter = Platter::holding(model::empty());
    // A pause that outlasts the test.
    let database = Database::open("the platter".into(), Disk::new(platter.clone(), None), Duration::from_secs(3600));
    let clock = Arc::new(Driven(AtomicU64::new(1_000_000)));
    let store = EmbeddedStore::start(database.unwrap(), clock, Settings::default()).unwrap();
    platter.fault(Some(Fault::Sync));
    store.commit(put(1, None)).await.unwrap_err();
    let syncs = platter.syncs();
    for nth in 2..50 {
        let why = store.commit(put(nth, None)).await.unwrap_err();
        assert!(matches!(&why, StoreError::Unavailable(why) if why.contains("storage")), "{why}");
    }
    assert_eq!(platter.syncs(), syncs, "nothing was tried");
    store.ping().await.unwrap();
}

#[test]
fn a_panic_in_the_database_harms_nobody_and_who_reads_the_old_one_cannot_write() {
    let platter = Platter::holding(model::empty());
    let database = open(&platter).unwrap();
    let clock = Arc::new(Driven(AtomicU64::new(1_000)));
    let thread = Thread::alone(database.clone(), clock);
    let mut chance = Chance(1);
    let mut is = Model::default();
    let mut writes = |thread: &Thread| {
        for _ in 0..10 {
            let changes = [model::change(&mut chance, 1_000)];
            assert!(model::write(thread, &changes));
            is = std::mem::take(&mut is).after(&changes, 1_000);
        }
        is.clone()
    };
    writes(&thread);
    let reading = database.read_once(|_| {
        let failed = database.write(|_| -> Result<(bool, ()), _> { panic!("a bug, says the test") });
        assert!(matches!(&failed, Err(StoreError::Corrupt(why)) if why.contains("a bug")), "{failed:?}");
        writes(&thread);
        Ok(())
    });
    reading.unwrap();
    // The old one was closed only now, long after the new one wrote.
    let is = writes(&thread);
    assert_eq!(Model::of(&database).unwrap(), is);
    let panics = database.read(|_| -> Result<(), _> { panic!("another, says the test") });
    assert!(matches!(panics, Err(StoreError::Corrupt(_))), "{panics:?}");
    assert_eq!(Model::of(&database).unwrap(), is);
    drop((thread, database));
    assert_eq!(Model::of(&open(&platter).unwrap()).unwrap(), is);
}

/// Faults that come and go, and power that fails at last.
#[test]
fn trouble_loses_nothing_that_was_acknowledged() {
    let empty = model::empty();
    for_each_seed("GRANTD_TEST_TROUBLES", HISTORIES, |mut chance| {
        let chance = &mut chance;
        let platter = Platter::holding(empty.clone());
        let clock = Arc::new(Driven(AtomicU64::new(1_000)));
        let database = open(&platter).unwrap();
        let thread = Thread::alone(database.clone(), clock);
        // A group that failed may have been written: what may be there.
        let mut may_be = vec![Model::default()];
        for _ in 0..10 + chance.below(20) {
            let fault = chance.one_in(2).then(|| FAULTS[chance.below(4)]);
            platter.fault(fault);
            let changes: Vec<_> = (0..1 + chance.below(6)).map(|_| model::change(chance, 1_000)).collect();
            let then: Vec<_> = may_be.iter().cloned().map(|model| model.after(&changes, 1_000)).collect();
            let acknowledged = model::write(&thread, &changes);
            assert!(acknowledged || fault.is_some(), "it recovers by itself");
            if acknowledged {
                may_be = then;
            } else {
                may_be.extend(then.into_iter().filter(|model| !may_be.contains(model)).collect::<Vec<_>>());
            }
            match Model::of(&database) {
                Ok(is) => {
                    is.check();
                    assert!(may_be.contains(&is), "{fault:?}");
                    if acknowledged {
                        may_be = vec![is];
                    }
                }
                Err(cause) => assert!(matches!(cause, StoreError::Unavailable(_)), "{cause}"),
            }
        }
        let (image, how) = platter.cut(chance);
        drop((thread, database));
        let is = Model::of(&open(&Platter::holding(image)).unwrap()).unwrap();
        is.check();
        assert!(may_be.contains(&is), "survived: {how}");
    });
}
