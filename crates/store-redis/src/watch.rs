//! Announcements: one listening connection per store, one broadcast to its watchers.
//!
//! 1. `PUBLISH` happens inside the commit script; the payload is `{kind} {id}`. A Cluster passes it on to every node.
//! 2. The listener (`listen`) subscribes at one primary, and passes on what it hears.
//! 3. A connection that was made anew is a gap, too: it may lead to another primary, which never had what was acknowledged last.
//!    And when the listener is back, connections that lead to another server than its own are made anew: one that was idle
//!    meanwhile may lead to a primary that was replaced, and does not know it yet. (A Cluster tells its clients.)
//! 4. When it may miss something, watchers get an error at once, and another when it surely listens again: what was
//!    announced in between is gone. Until then new watchers are refused, so that none begins inside a gap.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fred::{clients::Client, interfaces::ClientLike as _};
use futures::{StreamExt as _, stream::BoxStream};
use grantd_store::{Announcement, StoreError};
use tokio::{sync::broadcast, time::timeout};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use crate::{
    config::RedisConfig,
    error::{self, ConnectError},
    line::{Line, Task},
    listen::Ears,
    startup,
    target::Target,
};

/// Where announcements are published. Redis has one set of channels for all its databases; announcements of ids that
/// one does not know do no harm.
pub(crate) const CHANNEL: &str = "oauth:announcements";

/// How many announcements a watcher may be behind before some are lost to it, with an error in their place.
const BEHIND: usize = 4096;

/// What a watcher hears, or why it may have missed something.
type Item = Result<Announcement, &'static str>;

/// The way to the watchers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Heard(broadcast::Sender<Item>);

impl Heard {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(BEHIND).0)
    }

    fn say(&self, item: Item) {
        // Nobody may be watching.
        let _ = self.0.send(item);
    }

    /// Something may have been missed, or lost.
    pub(crate) fn gap(&self, why: &'static str) {
        self.say(Err(why));
    }
}

/// The payload of an announcement.
pub(crate) fn encode(announcement: &Announcement) -> String {
    let (kind, id) = match announcement {
        Announcement::RevokedGrant(id) => ("revoked-grant", id),
        Announcement::RevokedSubject(id) => ("revoked-subject", id),
        Announcement::RevokedClient(id) => ("revoked-client", id),
        Announcement::SupersededGrant(id) => ("superseded-grant", id),
        Announcement::ChangedGrant(id) => ("changed-grant", id),
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
        "changed-grant" => Some(Announcement::ChangedGrant(id)),
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
    pub(crate) async fn start(
        config: &RedisConfig,
        target: &Arc<Target>,
        heard: Heard,
        lines: Arc<[Arc<Line>]>,
    ) -> Result<Self, ConnectError> {
        let line = Line::open(target, || {}).await?;
        let told = Told { heard, listening: Arc::new(AtomicBool::new(true)), lines };
        let ears = Ears::new(line, told.clone(), config.connect_timeout);
        let hearing = ears.begin("").await.map_err(|cause| error::connect(&cause))?;
        let task = Task(tokio::spawn(ears.listen(hearing)).abort_handle());
        Ok(Self { told, _task: task })
    }

    pub(crate) fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError> {
        // Subscribed before the question, so that a gap that begins in between is heard of.
        let heard = BroadcastStream::new(self.told.heard.0.subscribe());
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
    heard: Heard,
    listening: Arc<AtomicBool>,
    lines: Arc<[Arc<Line>]>,
}

impl Told {
    /// Something was missed, but what follows will be heard.
    pub(crate) fn missed(&self, why: &'static str) {
        self.heard.gap(why);
    }

    /// A message on [`CHANNEL`].
    pub(crate) fn pass_on(&self, payload: Option<&str>) {
        self.heard.say(payload.and_then(decode).ok_or("an announcement that this grantd does not understand"));
    }

    pub(crate) fn lost(&self, why: &'static str) {
        self.listening.store(false, Ordering::Release);
        tracing::warn!(event = "store.watch_lost", why, "announcements may be missed from now on");
        self.heard.gap(why);
    }

    /// Makes connections anew that lead to another server than this client of the listener.
    pub(crate) fn gather(&self, listener: Client, patience: Duration) {
        let lines = self.lines.clone();
        tokio::spawn(async move {
            let run_id = async |client: &Client| timeout(patience, startup::run_id(client)).await.ok().flatten();
            // Where the listener's own does not answer, it is lost again, and this begins anew.
            let Some(home) = run_id(&listener).await else { return };
            for line in lines.iter() {
                let Some(connected) = line.connected().filter(|connected| !connected.client.is_clustered()) else {
                    continue;
                };
                if run_id(&connected.client).await.as_ref() != Some(&home) {
                    line.replace();
                }
            }
        });
    }

    pub(crate) fn back(&self) {
        self.heard.gap("announcements may have been missed before the connection was back");
        self.listening.store(true, Ordering::Release);
        tracing::info!(event = "store.watch_back", "listening for announcements again");
    }
}
