//! Calls that were let in and may become, or are, response streams: so that a revocation can cut them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use grantd_proto::v1::TokenAllowed;
use tokio_util::sync::CancellationToken;

use crate::cache::Allowed;

type Open = HashMap<u64, (Arc<Allowed>, CancellationToken)>;

#[derive(Clone, Default)]
pub(crate) struct Streams {
    open: Arc<Mutex<Open>>,
    next: Arc<AtomicU64>,
}

/// A call that was let in; it is forgotten when this is dropped.
pub(crate) struct Registered {
    streams: Streams,
    id: u64,
    /// Whose it is.
    pub(crate) allowed: Arc<Allowed>,
    /// Cancelled when the stream must end.
    pub(crate) cut: CancellationToken,
}

impl Streams {
    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        // A panic while it was held leaves a whole map.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn register(&self, allowed: Arc<Allowed>) -> Registered {
        let (id, cut) = (self.next.fetch_add(1, Ordering::Relaxed), CancellationToken::new());
        self.open().insert(id, (allowed.clone(), cut.clone()));
        Registered { streams: self.clone(), id, allowed, cut }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.open().len()
    }

    /// Cuts those that it concerns; how many that were.
    pub(crate) fn cut(&self, concerns: impl Fn(&TokenAllowed) -> bool) -> u64 {
        let mut cuts = 0;
        for (allowed, cut) in self.open().values() {
            if concerns(allowed) {
                cut.cancel();
                cuts += 1;
            }
        }
        cuts
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.streams.open().remove(&self.id);
    }
}
