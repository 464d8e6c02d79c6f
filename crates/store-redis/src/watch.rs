//! Announcements: one listening connection per store, one broadcast to its watchers.
//!
//! 1. `PUBLISH` happens inside the commit script; the payload is `{kind} {id}`.
//! 2. The listener subscribes, and passes on what it hears.
//! 3. When the connection is lost, watchers get an error at once, and another when it listens again: what was announced
//!    in between is gone. Until then new watchers are refused, so that none begins inside a gap.
//! 4. A ping every second makes a connection that died silently show.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, EventInterface as _, PubsubInterface as _},
    types::Message,
};
use futures::{StreamExt as _, stream::BoxStream};
use grantd_store::{Announcement, StoreError};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::MissedTickBehavior,
};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use crate::{
    config::RedisConfig,
    connection::{self, Line, Task},
    error::{self, ConnectError},
};

/// Where announcements are published. Redis has one set of channels for all its databases; announcements of ids that
/// one does not know do no harm.
pub(crate) const CHANNEL: &str = "oauth:announcements";

/// How many announcements a watcher may be behind before some are lost to it, with an error in their place.
const BEHIND: usize = 4096;

const PING: Duration = Duration::from_secs(1);

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
    heard: broadcast::Sender<Heard>,
    listening: Arc<AtomicBool>,
    _task: Task,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("listening", &self.listening).finish_non_exhaustive()
    }
}

impl Listener {
    pub(crate) async fn start(config: &RedisConfig) -> Result<Self, ConnectError> {
        let line = Line::open(config).await?;
        let (heard, _) = broadcast::channel(BEHIND);
        let listening = Arc::new(AtomicBool::new(true));
        let client = line.client();
        let events =
            Events { messages: client.message_rx(), connected: client.reconnect_rx(), failed: client.error_rx() };
        subscribe(client).await.map_err(|cause| error::connect(&cause))?;
        let ears = Ears { line, heard: heard.clone(), listening: listening.clone() };
        let task = tokio::spawn(ears.listen(events));
        Ok(Self { heard, listening, _task: Task(task.abort_handle()) })
    }

    pub(crate) fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError> {
        // Subscribed before the question, so that a gap that begins in between is heard of.
        let heard = BroadcastStream::new(self.heard.subscribe());
        if !self.listening.load(Ordering::Acquire) {
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

/// Subscribes, and waits until Redis has done so. fred answers a subscription when it was written, not when Redis
/// replied; but Redis works through a connection in order, so a ping behind it tells. Should the connection be replaced
/// in between, an event says so, and this is done again.
async fn subscribe(client: &Client) -> Result<(), Error> {
    client.subscribe(CHANNEL).await?;
    client.ping::<String>(None).await.map(drop)
}

struct Events {
    messages: broadcast::Receiver<Message>,
    connected: broadcast::Receiver<fred::types::config::Server>,
    failed: broadcast::Receiver<(Error, Option<fred::types::config::Server>)>,
}

/// The listener's task.
struct Ears {
    line: Line,
    heard: broadcast::Sender<Heard>,
    listening: Arc<AtomicBool>,
}

impl Ears {
    async fn listen(self, mut events: Events) {
        let mut ping = tokio::time::interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // A loss is noted before the return from it, and both before what was said since.
                biased;
                _ = events.failed.recv() => self.lost(),
                _ = events.connected.recv() => self.listen_again().await,
                message = events.messages.recv() => match message {
                    Ok(message) => self.pass_on(&message),
                    Err(RecvError::Lagged(_)) => self.say(Err("announcements came faster than they were taken")),
                    Err(RecvError::Closed) => return self.lost(),
                },
                _ = ping.tick() => self.look_after(&events).await,
            }
        }
    }

    /// Notices a connection that died silently, and a subscription that failed.
    async fn look_after(&self, events: &Events) {
        let client = self.line.client();
        if !client.is_connected() {
            return;
        }
        if !self.listening.load(Ordering::Acquire) {
            if events.connected.is_empty() {
                self.listen_again().await;
            }
        } else if client.ping::<String>(None).await.is_err() {
            self.lost();
            connection::replace(client).await;
        }
    }

    fn say(&self, heard: Heard) {
        // Nobody may be watching.
        let _ = self.heard.send(heard);
    }

    fn pass_on(&self, message: &Message) {
        if message.channel != CHANNEL {
            return;
        }
        let announcement = message.value.as_str().and_then(|payload| decode(&payload));
        self.say(announcement.ok_or("an announcement that this grantd does not understand"));
    }

    fn lost(&self) {
        if self.listening.swap(false, Ordering::AcqRel) {
            tracing::warn!(event = "store.watch_lost", "the connection that listens for announcements was lost");
            self.say(Err("the connection that listens for announcements was lost"));
        }
    }

    /// Redis forgets subscriptions with the connection.
    async fn listen_again(&self) {
        self.lost();
        match subscribe(self.line.client()).await {
            Ok(()) => {
                self.say(Err("announcements may have been missed before the connection was back"));
                self.listening.store(true, Ordering::Release);
                tracing::info!(event = "store.watch_back", "listening for announcements again");
            }
            Err(cause) => {
                tracing::debug!(%cause, "cannot listen for announcements yet");
                if *cause.kind() == ErrorKind::Timeout {
                    connection::replace(self.line.client()).await;
                }
            }
        }
    }
}
