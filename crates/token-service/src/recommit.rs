//! What was taken back stays taken back when a store fails over.
//!
//! A replica that is promoted may lack the last commits of its primary, and with them what was acknowledged: revocations,
//! the removal of clients and people, new passwords, a person's address and groups. Everything else that is lost so is mended
//! when its owner comes back (see `grantd_core::ratchet`); these have no owner who would.
//!
//! 1. Each of them that this process commits is remembered for a quarter of an hour: a store may be away for a while before it
//!    has failed over, and what was committed a minute before that is surely on every replica.
//! 2. When the store's announcements break off, or a connection to it had to be made anew, it may have failed over: what was
//!    remembered is done again, back to a minute before the store was last known to be whole. A grant that is still revoked is
//!    only announced again, which a gate that missed it needs anyway.
//! 3. One task listens, another does it. So what is announced again meanwhile is heard, however much it is, and several gaps
//!    in a row are one.
//!
//! Left to others: how a store finds out that something may have been missed.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use grantd_core::{
    Announce, Change, RecordKey,
    records::{Client, User},
};
use grantd_oauth_types::{ClientId, GrantId};
use grantd_proto::v1;
use opentelemetry::{global, metrics::Counter};
use tokio::{sync::Notify, time::Instant};

use crate::{Service, events::OURSELVES, tokens::own_request_id};

static GAPS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("grantd")
        .u64_counter("grantd.store.announcement.gaps")
        .with_description("How often announcements of the store broke off, or could not be listened to")
        .build()
});

/// How long before a gap something must have been committed to be surely on every replica.
const SETTLED: Duration = Duration::from_secs(60);
/// How long a revocation is remembered: a store may be away for so long, and with [`SETTLED`], before it has failed over.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// So long after a gap the store counts as whole again.
const WHOLE: Duration = Duration::from_secs(10 * 60);
/// How many are; a revocation of everything is remembered as far as this goes.
const MOST: usize = 100_000;
/// Between attempts to hear announcements again.
const PAUSE: Duration = Duration::from_secs(1);

/// What is not to come back.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum TakenBack {
    /// A grant, revoked.
    Grant(GrantId),
    /// A client, removed.
    Client {
        /// The key of the record.
        id: ClientId,
        /// What its record had last. One of a later epoch has come back since, and stays.
        epoch: u64,
    },
    /// A person, removed.
    Person {
        /// The key of the record.
        username: String,
        /// Who it was: the name may have a new owner since.
        subject: String,
    },
    /// A person's address and groups before this change.
    Profile(Profile),
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

/// A person's address and groups, as they were committed last.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Profile {
    /// The key of the record.
    pub(crate) username: String,
    /// Who it is.
    pub(crate) subject: String,
    /// What the record had afterwards.
    pub(crate) revision: u64,
    /// What the record had afterwards.
    pub(crate) email: String,
    /// What the record had afterwards.
    pub(crate) groups: Vec<String>,
}

impl fmt::Debug for TakenBack {
    /// Without the hash of the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(id) => f.debug_tuple("Grant").field(id).finish(),
            Self::Client { id, epoch } => f.debug_struct("Client").field("id", id).field("epoch", epoch).finish(),
            Self::Person { username, subject } => {
                f.debug_struct("Person").field("username", username).field("subject", subject).finish()
            }
            // Of a person's own data no more than whose it is.
            Self::Profile(Profile { username, subject, revision, email: _, groups: _ }) => f
                .debug_struct("Profile")
                .field("username", username)
                .field("subject", subject)
                .field("revision", revision)
                .finish_non_exhaustive(),
            Self::Password { username, subject, epoch, password_hash: _ } => f
                .debug_struct("Password")
                .field("username", username)
                .field("subject", subject)
                .field("epoch", epoch)
                .finish_non_exhaustive(),
        }
    }
}

/// What was taken back in the last quarter of an hour ([`REMEMBERED`]).
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

    /// What was done from [`SETTLED`] before this moment on, in the order in which it happened.
    fn unsettled(&self, whole: Instant) -> Vec<TakenBack> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = |(n, at, one): &&(u64, Instant, TakenBack)| {
            whole.saturating_duration_since(*at) <= SETTLED && recent.last.get(one) == Some(n)
        };
        recent.notes.iter().filter(stands).map(|(_, _, one)| one.clone()).collect()
    }
}

/// The grants that a change revokes.
pub(crate) fn revoked(change: &Change) -> Vec<TakenBack> {
    let id = |announce: &Announce| match announce {
        Announce::Revoked(id) => Some(TakenBack::Grant(*id)),
        Announce::Superseded(_) | Announce::Changed(_) => None,
    };
    change.announce.iter().filter_map(id).collect()
}

impl Service {
    /// Listens until the service closes.
    pub(crate) async fn recommit_after_gaps(self) {
        let closing = self.0.closing.clone();
        let gap = Notify::new();
        let listen = async {
            loop {
                if let Ok(mut announcements) = self.0.store.watch().await {
                    while let Some(heard) = announcements.next().await {
                        if heard.is_err() {
                            gap.notify_one();
                        }
                    }
                }
                tokio::time::sleep(PAUSE).await;
                gap.notify_one();
            }
        };
        let recommit = async {
            let mut last: Option<Instant> = None;
            loop {
                gap.notified().await;
                GAPS.add(1, &[]);
                let now = Instant::now();
                // A store that lost its watchers and found them again within minutes was away, or half there, in between.
                let whole = last.filter(|last| now.duration_since(*last) < WHOLE).unwrap_or(now);
                last = Some(now);
                self.recommit(whole).await;
                // What the next gap of a row brings is the same again.
                tokio::time::sleep(PAUSE).await;
            }
        };
        let _ = closing.run_until_cancelled(futures::future::join(listen, recommit)).await;
    }

    /// Does again what was done since the store was whole, and shortly before.
    async fn recommit(&self, whole: Instant) {
        for one in self.0.recent.unsettled(whole) {
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
            TakenBack::Client { id, epoch } => {
                let key = RecordKey::Client(id.clone());
                let client = self.load(vec![key.clone()]).await?.record::<Client>(&key)?;
                if client.is_none_or(|client| client.epoch > *epoch) {
                    return Ok(());
                }
                let client_id = id.as_str().to_owned();
                let again = v1::DeleteClientRequest { request_id, client_id, ..Default::default() };
                self.delete_client(&again, OURSELVES).await
            }
            TakenBack::Person { username, subject } => {
                let key = RecordKey::User(username.clone());
                let user = self.load(vec![key.clone()]).await?.record::<User>(&key)?;
                if user.is_none_or(|user| user.subject != *subject) {
                    return Ok(());
                }
                let again = v1::DeleteUserRequest { request_id, username: username.clone() };
                self.delete_user(&again, OURSELVES).await
            }
            TakenBack::Profile(user) => self.restore_profile(&request_id, user).await,
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

    #[test]
    fn the_hash_of_a_password_is_not_shown() {
        let [username, subject, password_hash] = ["alice", "subject", "$argon2id$marker"].map(str::to_owned);
        let shown = format!("{:?}", TakenBack::Password { username, subject, epoch: 1, password_hash });
        assert!(shown.contains("alice") && !shown.contains("marker"), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_committed_again_is_remembered_once() {
        let (recent, both) = (Recent::default(), [grant(1), grant(2)]);
        recent.note(&both);
        for _ in 0..10 {
            // As every gap does.
            for one in recent.unsettled(Instant::now()) {
                recent.note(&[one]);
            }
        }
        assert_eq!(recent.unsettled(Instant::now()), both);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_settled_before_the_store_was_last_whole_is_left_alone() {
        let (recent, one) = (Recent::default(), grant(1));
        recent.note(std::slice::from_ref(&one));
        tokio::time::advance(SETTLED).await;
        let whole = Instant::now();
        recent.note(&[grant(2)]);
        // However long the store is away.
        tokio::time::advance(WHOLE).await;
        recent.note(&[grant(3)]);
        assert_eq!(recent.unsettled(whole), [one, grant(2), grant(3)]);
        assert_eq!(recent.unsettled(whole + Duration::from_millis(1)), [grant(2), grant(3)]);
        assert_eq!(recent.unsettled(Instant::now()), [grant(3)]);
        tokio::time::advance(REMEMBERED).await;
        recent.note(&[grant(4)]);
        assert_eq!(recent.0.lock().unwrap().notes.len(), 2, "nothing is remembered for ever");
    }
}
