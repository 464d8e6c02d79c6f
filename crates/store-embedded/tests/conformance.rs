//! The suite of every store, on a file with a driven clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use grantd_store::{Store, Timestamp};
use grantd_store_embedded::{Clock, EmbeddedStore};
use grantd_store_testkit::Harness;
use tempfile::TempDir;

#[derive(Debug)]
struct Driven(AtomicU64);

impl Clock for Driven {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// One file, one process: further handles are clones.
struct File {
    store: EmbeddedStore,
    clock: Arc<Driven>,
    _folder: TempDir,
}

#[async_trait::async_trait]
impl Harness for File {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn advance(&self, by: Duration) {
        self.clock.0.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
async fn file() -> File {
    let folder = TempDir::new().unwrap();
    let clock = Arc::new(Driven(AtomicU64::new(1_700_000_000_000)));
    let store = EmbeddedStore::open(folder.path().join("grantd.redb"), clock.clone()).unwrap();
    File { store, clock, _folder: folder }
}

grantd_store_testkit::conformance!(file);
