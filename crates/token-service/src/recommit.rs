//! What was taken back stays taken back when a store fails over.
//!
//! A replica that is promoted may lack the last commits of its primary, and with them what was acknowledged: revocations,
//! the removal of clients and people, new passwords. Everything else that is lost so is mended when its owner comes back
//! (see `grantd_core::ratchet`); these have no owner who would.
//!
//! 1. Each of them that this process commits is remembered for a minute, longer than an asynchronous replica lags.
//! 2. When the store's announcements break off, it may have failed over: everything remembered is done again. A grant that
//!    is still revoked is only announced again, which a gate that missed it needs anyway.
//!
//! Left to others: how a store finds out that something may have been missed.

use std::{
    collections::{HashMap, VecDeque},
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use grantd_core::{Announce, Change, RecordKey, records::User};
use grantd_oauth_types::{ClientId, GrantId};
use grantd_proto::v1;
use opentelemetry::{global, metrics::Counter};
use tokio::time::Instant;

use crate::{Service, tokens::own_request_id};

static GAPS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("grantd")
        .u64_counter("grantd.store.announcement.gaps")
        .with_description("How often announcements of the store broke off, or could not be listened to")
        .build()
});

/// How long a revocation is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How many are; a revocation of everything is remembered as far as this goes.
const MOST: usize = 100_000;
/// Between attempts to hear announcements again.
const PAUSE: Duration = Duration::from_secs(1);

/// What is not to come back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TakenBack {
    /// A grant, revoked.
    Grant(GrantId),
    /// A client, removed.
    Client(ClientId),
    /// A person, removed.
    Person {
        /// The key of the record.
        username: String,
        /// Who it was: the name may have a new owner since.
        subject: String,
    },
    /// All passwords of a person before this one.
    Password {
        /// The key of the record.
        username: String,
        /// Who it is.
        subject: String,
        /// What the record had afterwards.
        epoch: u64,
        /// What the record had afterwards.
        password_hash: String,
    },
}

/// What was taken back in the last minute.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    /// The last note of each. Each counts once: what is committed again is noted again, and must not multiply.
    last: HashMap<TakenBack, u64>,
    /// Oldest first.
    notes: VecDeque<(u64, Instant, TakenBack)>,
    next: u64,
}

impl Recent {
    /// Remembers what was committed.
    pub(crate) fn note(&self, taken_back: &[TakenBack]) {
        if taken_back.is_empty() {
            return;
        }
        let now = Instant::now();
        // A panic while it was held leaves a whole list.
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Remembered { last, notes, next } = &mut *recent;
        for one in taken_back {
            last.insert(one.clone(), *next);
            notes.push_back((*next, now, one.clone()));
            *next = next.wrapping_add(1);
        }
        while notes.len() > MOST || notes.front().is_some_and(|(_, at, _)| now.duration_since(*at) > REMEMBERED) {
            let Some((n, _, one)) = notes.pop_front() else { break };
            if last.get(&one) == Some(&n) {
                last.remove(&one);
            }
        }
    }

    /// In the order in which it happened.
    fn remembered(&self) -> Vec<TakenBack> {
        let now = Instant::now();
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = |(n, at, one): &&(u64, Instant, TakenBack)| {
            now.duration_since(*at) <= REMEMBERED && recent.last.get(one) == Some(n)
        };
        recent.notes.iter().filter(stands).map(|(_, _, one)| one.clone()).collect()
    }
}

/// The grants that a change revokes.
pub(crate) fn revoked(change: &Change) -> Vec<TakenBack> {
    let id = |announce: &Announce| match announce {
        Announce::Revoked(id) => Some(TakenBack::Grant(*id)),
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

    /// Does again what was done within the last minute.
    async fn recommit(&self) {
        GAPS.add(1, &[]);
        for one in self.0.recent.remembered() {
            // Until it is done: a store that just failed over may need a moment.
            while let Err(status) = self.recommit_one(&one).await {
                if status.code() != tonic::Code::Unavailable {
                    // Waiting will not help, and the others must not wait for it. Its cause was logged.
                    break;
                }
                tracing::debug!(code = ?status.code(), "a revocation could not be committed again yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn recommit_one(&self, one: &TakenBack) -> Result<(), tonic::Status> {
        let request_id = own_request_id()?;
        match one {
            TakenBack::Grant(id) => {
                let draw = crate::transaction::draw(&request_id)?;
                self.revoke_one(*id, &draw).await.map(drop)
            }
            TakenBack::Client(id) => {
                let client_id = id.as_str().to_owned();
                self.do_delete_client(&v1::DeleteClientRequest { request_id, client_id, ..Default::default() }).await
            }
            TakenBack::Person { username, subject } => {
                let key = RecordKey::User(username.clone());
                let user = self.load(vec![key.clone()]).await?.record::<User>(&key)?;
                if user.is_none_or(|user| user.subject != *subject) {
                    return Ok(());
                }
                self.do_delete_user(&v1::DeleteUserRequest { request_id, username: username.clone() }).await
            }
            TakenBack::Password { username, subject, epoch, password_hash } => {
                self.restore_password(&request_id, username, subject, *epoch, password_hash).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(n: u8) -> TakenBack {
        TakenBack::Grant(GrantId::new([n; 16]))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_committed_again_is_remembered_once() {
        let (recent, both) = (Recent::default(), [grant(1), grant(2)]);
        recent.note(&both);
        for _ in 0..10 {
            // As every gap does.
            for one in recent.remembered() {
                recent.note(&[one]);
            }
        }
        assert_eq!(recent.remembered(), both);
    }

    #[tokio::test(start_paused = true)]
    async fn a_revocation_is_remembered_for_a_while_from_its_last_commit() {
        let (recent, one) = (Recent::default(), grant(1));
        recent.note(std::slice::from_ref(&one));
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(recent.remembered(), std::slice::from_ref(&one));
        recent.note(std::slice::from_ref(&one));
        tokio::time::advance(REMEMBERED).await;
        recent.note(&[grant(2)]);
        assert!(recent.remembered().contains(&one));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(recent.remembered(), [grant(2)]);
    }
}
