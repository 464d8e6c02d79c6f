//! Announcements: one listening connection per store, one broadcast to its watchers.
//!
//! 1. `PUBLISH` happens inside the commit script; the payload is `{kind} {id}`. A Cluster passes it on to every node.
//! 2. The listener (`listen`) subscribes at one primary, and passes on what it hears.
//! 3. When it may miss something, watchers get an error at once, and another when it surely listens again: what was
//!    announced in between is gone. Until then new watchers are refused, so that none begins inside a gap.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{StreamExt as _, stream::BoxStream};
use grantd_store::{Announcement, StoreError};
use tokio::sync::broadcast;
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use crate::{
    config::RedisConfig,
    error::{self, ConnectError},
    line::{Line, Task},
    listen::Ears,
    target::Target,
};

/// Where announcements are published. Redis has one set of channels for all its databases; announcements of ids that
/// one does not know do no harm.
pub(crate) const CHANNEL: &str = "oauth:announcements";

/// How many announcements a watcher may be behind before some are lost to it, with an error in their place.
const BEHIND: usize = 4096;

/// What a watcher may have missed, and why.
type Heard = Result<Announcement, &'static str>;

/// The payload of an announcement.
pub(crate) fn encode(announcement: &Announcement) -> String {
    let (kind, id) = match announcement {
        Announcement::RevokedGrant(id) => ("revoked-grant", id),
        Announcement::RevokedSubject(id) => ("revoked-subject", id),
        Announcement::RevokedClient(id) => ("revoked-client", id),
        Announcement::SupersededGrant(id) => ("superseded-grant", id),
    };
    format!("{kind} {id}")
}

fn decode(payload: &str) -> Option<Announcement> {
    let (kind, id) = payload.split_once(' ')?;
    let id = id.to_owned();
    match kind {
        "revoked-grant" => Some(Announcement::RevokedGrant(id)),
        "revoked-subject" => Some(Announcement::RevokedSubject(id)),
        "revoked-client" => Some(Announcement::RevokedClient(id)),
        "superseded-grant" => Some(Announcement::SupersededGrant(id)),
        _ => None,
    }
}

/// The way to the listener, which ends when this is dropped.
pub(crate) struct Listener {
    told: Told,
    _task: Task,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("listening", &self.told.listening).finish_non_exhaustive()
    }
}

impl Listener {
    pub(crate) async fn start(config: &RedisConfig, target: &Arc<Target>) -> Result<Self, ConnectError> {
        let line = Line::open(target).await?;
        let (heard, _) = broadcast::channel(BEHIND);
        let told = Told { heard, listening: Arc::new(AtomicBool::new(true)) };
        let ears = Ears::new(line, told.clone(), config.connect_timeout);
        let hearing = ears.begin("").await.map_err(|cause| error::connect(&cause))?;
        let task = Task(tokio::spawn(ears.listen(hearing)).abort_handle());
        Ok(Self { told, _task: task })
    }

    pub(crate) fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError> {
        // Subscribed before the question, so that a gap that begins in between is heard of.
        let heard = BroadcastStream::new(self.told.heard.subscribe());
        if !self.told.listening.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable("not listening to announcements of Redis".into()));
        }
        Ok(heard
            .map(|item| match item {
                Ok(Ok(announcement)) => Ok(announcement),
                Ok(Err(gap)) => Err(StoreError::Unavailable(gap.to_owned())),
                Err(BroadcastStreamRecvError::Lagged(missed)) => {
                    Err(StoreError::Unavailable(format!("this watcher was too slow for {missed} announcements")))
                }
            })
            .boxed())
    }
}

/// What the watchers are told.
#[derive(Clone)]
pub(crate) struct Told {
    heard: broadcast::Sender<Heard>,
    listening: Arc<AtomicBool>,
}

impl Told {
    pub(crate) fn say(&self, heard: Heard) {
        // Nobody may be watching.
        let _ = self.heard.send(heard);
    }

    /// A message on [`CHANNEL`].
    pub(crate) fn pass_on(&self, payload: Option<&str>) {
        self.say(payload.and_then(decode).ok_or("an announcement that this grantd does not understand"));
    }

    pub(crate) fn lost(&self, why: &'static str) {
        self.listening.store(false, Ordering::Release);
        tracing::warn!(event = "store.watch_lost", why, "announcements may be missed from now on");
        self.say(Err(why));
    }

    pub(crate) fn back(&self) {
        self.say(Err("announcements may have been missed before the connection was back"));
        self.listening.store(true, Ordering::Release);
        tracing::info!(event = "store.watch_back", "listening for announcements again");
    }
}
