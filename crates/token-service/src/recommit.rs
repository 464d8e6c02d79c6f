//! Revocations outlive a store that fails over.
//!
//! A replica that is promoted may lack the last commits of its primary, and with them revocations that were acknowledged.
//! Everything else that is lost so is mended when its owner comes back (see `grantd_core::ratchet`); a revocation has no
//! owner who would.
//!
//! 1. Each revocation that this process commits is remembered for a minute, longer than an asynchronous replica lags.
//! 2. When the store's announcements break off, it may have failed over: everything remembered is revoked again. What is
//!    still revoked is only announced again, which a gate that missed it needs anyway.
//!
//! Left to others: how a store finds out that something may have been missed.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use grantd_core::{Announce, Change};
use grantd_oauth_types::GrantId;
use tokio::time::Instant;

use crate::{Service, tokens::own_request_id};

/// How long a revocation is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How many are; a revocation of everything is remembered as far as this goes.
const MOST: usize = 100_000;
/// Between attempts to hear announcements again.
const PAUSE: Duration = Duration::from_secs(1);

/// The revocations of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// When each was last committed. Each once: what is committed again is noted again, and must not multiply.
    last: HashMap<GrantId, Instant>,
    /// Oldest first.
    order: VecDeque<(Instant, GrantId)>,
}

impl Recent {
    /// Remembers what a committed change revoked.
    pub(crate) fn note(&self, change: &[GrantId]) {
        if change.is_empty() {
            return;
        }
        let now = Instant::now();
        // A panic while it was held leaves a whole list.
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Remembered { last, order } = &mut *recent;
        for id in change {
            last.insert(*id, now);
            order.push_back((now, *id));
        }
        while order.len() > MOST || order.front().is_some_and(|(at, _)| now.duration_since(*at) > REMEMBERED) {
            let Some((at, id)) = order.pop_front() else { break };
            if last.get(&id) == Some(&at) {
                last.remove(&id);
            }
        }
    }

    fn remembered(&self) -> Vec<GrantId> {
        let now = Instant::now();
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.last.iter().filter(|(_, at)| now.duration_since(**at) <= REMEMBERED).map(|(id, _)| *id).collect()
    }
}

/// The grants that a change revokes.
pub(crate) fn revoked(change: &Change) -> Vec<GrantId> {
    let id = |announce: &Announce| match announce {
        Announce::Revoked(id) => Some(*id),
        Announce::Superseded(_) => None,
    };
    change.announce.iter().filter_map(id).collect()
}

impl Service {
    /// Listens until the service closes.
    pub(crate) async fn recommit_after_gaps(self) {
        let closing = self.0.closing.clone();
        let _ = closing
            .run_until_cancelled(async move {
                loop {
                    if let Ok(mut announcements) = self.0.store.watch().await {
                        while let Some(heard) = announcements.next().await {
                            if heard.is_err() {
                                self.recommit().await;
                            }
                        }
                    }
                    tokio::time::sleep(PAUSE).await;
                    self.recommit().await;
                }
            })
            .await;
    }

    /// Revokes again what was revoked within the last minute.
    async fn recommit(&self) {
        for id in self.0.recent.remembered() {
            // Until it is done: a store that just failed over may need a moment.
            while let Err(status) = self.recommit_one(id).await {
                if status.code() != tonic::Code::Unavailable {
                    // Waiting will not help, and the others must not wait for it. Its cause was logged.
                    break;
                }
                tracing::debug!(code = ?status.code(), "a revocation could not be committed again yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn recommit_one(&self, id: GrantId) -> Result<(), tonic::Status> {
        let request_id = own_request_id()?;
        let draw = crate::transaction::draw(&request_id)?;
        self.revoke_one(id, &draw).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_committed_again_is_remembered_once() {
        let (recent, ids) = (Recent::default(), [1, 2].map(|id| GrantId::new([id; 16])));
        recent.note(&ids);
        for _ in 0..10 {
            // As every gap does.
            for id in recent.remembered() {
                recent.note(&[id]);
            }
        }
        let mut remembered = recent.remembered();
        remembered.sort_unstable();
        assert_eq!(remembered, ids);
    }

    #[tokio::test(start_paused = true)]
    async fn a_revocation_is_remembered_for_a_while_from_its_last_commit() {
        let (recent, id) = (Recent::default(), GrantId::new([1; 16]));
        recent.note(&[id]);
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(recent.remembered(), [id]);
        recent.note(&[id]);
        tokio::time::advance(REMEMBERED).await;
        recent.note(&[GrantId::new([2; 16])]);
        assert!(recent.remembered().contains(&id));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(recent.remembered(), [GrantId::new([2; 16])]);
    }
}
