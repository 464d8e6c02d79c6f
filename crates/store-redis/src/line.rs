//! One client of fred, kept connected: by another client, whenever the connection of one has ended.
//!
//! 1. [`Line::open`] connects, and fails when that does.
//! 2. A client whose connection ends (in a Cluster: whose connection to any primary ends) is dropped, and its calls fail.
//!    A new one connects, again and again, backing off to about a second with a jitter drawn per process.
//! 3. Every connection that was made anew is reported (`renewed`): it may lead to another primary, and what the one before had
//!    acknowledged may be lost.
//! 4. **A connection that lets a call time out and answers nothing meanwhile is replaced** ([`Line::suspect`]), so that a
//!    peer that vanished without a word is noticed. fred's own check (`unresponsive`) measures from the last write, so a
//!    dead connection in use never shows.
//!
//! Which calls are made, and what their failures mean, is left to `connection` and `watch`.

use std::{
    hash::{BuildHasher as _, RandomState},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, ClusterInterface as _},
    types::{
        ConnectHandle,
        config::{Options, Server},
    },
};
use futures::FutureExt as _;
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::Instant,
};

use crate::{
    error::{self, ConnectError},
    target::Target,
};

/// The first pause before connecting again. It doubles with every further one..
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// ..up to this and as much again at random,
const LONGEST_PAUSE: Duration = Duration::from_millis(750);
/// until a connection has lasted so long.
const LASTING: Duration = Duration::from_secs(5);

/// One connection; to a Cluster, one to each primary.
pub(crate) struct Line {
    current: watch::Receiver<Current>,
    replace: Arc<Notify>,
    /// How many calls were answered.
    answers: AtomicU64,
    /// Whether a silence is being looked into.
    suspected: AtomicBool,
    _task: Task,
}

struct Current {
    client: Client,
    connected: bool,
}

/// A client that was connected a moment ago.
pub(crate) struct Connected {
    pub(crate) client: Client,
    current: watch::Receiver<Current>,
}

impl Connected {
    /// When it is connected no more.
    pub(crate) async fn ended(&mut self) {
        // An error says that the line is gone, and so is the connection.
        let _ = self.current.changed().await;
    }
}

impl Line {
    /// Connects. `renewed` is called whenever it was connected again.
    pub(crate) async fn open(
        target: &Arc<Target>,
        renewed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, ConnectError> {
        let client = target.client().await?;
        let connection = connect(&client).await.map_err(|cause| error::connect(&cause))?;
        let (sender, current) = watch::channel(Current { client, connected: true });
        let replace = Arc::new(Notify::new());
        let renewed = Box::new(renewed);
        let keeper = Keeper { target: target.clone(), current: sender, replace: replace.clone(), renewed };
        let task = Task(tokio::spawn(keeper.keep(connection)).abort_handle());
        Ok(Self { current, replace, answers: AtomicU64::new(0), suspected: AtomicBool::new(false), _task: task })
    }

    /// The client, while it is connected.
    pub(crate) fn connected(&self) -> Option<Connected> {
        let mut current = self.current.clone();
        let now = current.borrow_and_update();
        let client = now.connected.then(|| now.client.clone())?;
        drop(now);
        Some(Connected { client, current })
    }

    /// The next client that is connected, other than the one of this id.
    pub(crate) async fn next(&self, than: &str) -> Connected {
        let mut current = self.current.clone();
        loop {
            if let Some(connected) = self.connected().filter(|connected| connected.client.id() != than) {
                return connected;
            }
            if current.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Drops the connection, for a new one.
    pub(crate) fn replace(&self) {
        self.replace.notify_one();
    }

    /// How many calls were answered so far.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// A call was answered.
    pub(crate) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// A call for a slot began after `answers` answers, and timed out. If nothing comes from that server any more, the
    /// connection is replaced.
    pub(crate) fn suspect(self: &Arc<Self>, connected: &Connected, answers: u64, slot: Option<u16>) {
        let client = connected.client.clone();
        if !client.is_clustered() && self.answers() != answers || self.suspected.swap(true, Ordering::AcqRel) {
            return;
        }
        let line = self.clone();
        tokio::spawn(async move {
            // In a Cluster the answers may be another server's: the one in question is asked.
            if !client.is_clustered() || !answers_for(&client, slot).await {
                tracing::warn!(
                    event = "store.connection_silent",
                    "a connection to Redis does not answer; replacing it"
                );
                line.replace();
                let _ = tokio::time::timeout(LASTING, line.next(client.id())).await;
            }
            line.suspected.store(false, Ordering::Release);
        });
    }
}

/// Whether the owner of a slot answers.
async fn answers_for(client: &Client, slot: Option<u16>) -> bool {
    let state = client.cached_cluster_state();
    let owner = slot.zip(state).and_then(|(slot, state)| state.get_server(slot).cloned());
    let asked = client.with_options(&at(owner)).ping::<String>(None).await;
    !asked.is_err_and(|cause| *cause.kind() == ErrorKind::Timeout)
}

/// Every primary of a Cluster; `None` stands for the one server, or the one that Sentinel named.
pub(crate) fn primaries(client: &Client) -> Vec<Option<Server>> {
    match client.cached_cluster_state() {
        Some(state) if client.is_clustered() => state.unique_primary_nodes().into_iter().map(Some).collect(),
        _ => vec![None],
    }
}

/// Options of a command for one server.
pub(crate) fn at(server: Option<Server>) -> Options {
    Options { max_attempts: Some(1), fail_fast: true, cluster_node: server, ..Options::default() }
}

/// The task of a line.
struct Keeper {
    target: Arc<Target>,
    current: watch::Sender<Current>,
    replace: Arc<Notify>,
    renewed: Box<dyn Fn() + Send + Sync>,
}

impl Keeper {
    async fn keep(self, mut connection: Connection) {
        let mut pause = FIRST_PAUSE;
        loop {
            let since = Instant::now();
            tokio::select! {
                ended = &mut connection.0 => tracing::debug!(?ended, "a connection to Redis ended"),
                () = self.replace.notified() => {}
            }
            if since.elapsed() > LASTING {
                pause = FIRST_PAUSE;
            }
            // Calls fail from now on, and those under way are told.
            self.current.send_modify(|current| current.connected = false);
            drop(connection);
            connection = loop {
                tokio::time::sleep(pause.mul_f64(1.0 + draw(1000) as f64 / 1000.0)).await;
                pause = LONGEST_PAUSE.min(pause * 2);
                match self.again().await {
                    Ok(connection) => break connection,
                    Err(cause) => tracing::debug!(%cause, "cannot connect to Redis yet"),
                }
            };
        }
    }

    async fn again(&self) -> Result<Connection, ConnectError> {
        let client = self.target.client().await?;
        let connection = connect(&client).await.map_err(|cause| error::connect(&cause))?;
        // A wish to replace what is replaced already.
        let _ = self.replace.notified().now_or_never();
        self.current.send_replace(Current { client, connected: true });
        (self.renewed)();
        Ok(connection)
    }
}

/// Connects a client that never was.
async fn connect(client: &Client) -> Result<Connection, Error> {
    // Asked before it begins, as who asks later may miss the answer; and nothing may be left behind when this is dropped.
    let mut answer = pin!(client.wait_for_connect());
    let early = answer.as_mut().now_or_never();
    let connection = Connection(client.connect());
    match early {
        Some(answer) => answer?,
        None => answer.await?,
    }
    Ok(connection)
}

/// fred's task, which ends when this is dropped, and with it the connection.
struct Connection(ConnectHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A task of ours, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Task(pub(crate) AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A number below `most`, at random. Not for secrets.
pub(crate) fn draw(most: usize) -> usize {
    let drawn = usize::try_from(RandomState::new().hash_one("jitter") >> 33).unwrap_or_default();
    drawn.checked_rem(most).unwrap_or_default()
}
