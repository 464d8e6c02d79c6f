//! The connections, and running a script on one of them.
//!
//! What fred is told, and why:
//!
//! - **One attempt per command, none while disconnected** (`max_attempts`, `fail_fast`): fred would otherwise keep
//!   commands through an outage and send them again after it. Only the caller knows which resend is safe.
//! - **Its command queue stays unbounded, and calls are counted here instead**: fred sends its own reconnect order
//!   through the same queue, and one that is full ends the connection for good.
//! - **A connection that lets a call time out and answers nothing meanwhile is replaced**, so that a peer that vanished
//!   without a word is noticed. fred's own check (`unresponsive`) measures from the last write, so a dead connection in
//!   use never shows.
//! - **Reconnecting goes on for ever**, backing off to about a second, with a jitter drawn per process.
//! - **RESP3**, so that the listening connection may be pinged like any other.
//! - Its tracing is off: our spans say what a call was for, and fred's would carry commands.
//!
//! Should a connection's task end all the same, `keep` connects again.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, LuaInterface as _},
    types::{
        Builder, ConnectHandle, FromValue, Key, RespVersion, Value,
        config::{Config, Options, ReconnectPolicy, TcpConfig},
    },
};
use grantd_store::StoreError;
use tokio::{
    sync::Semaphore,
    task::{AbortHandle, JoinHandle},
};

use crate::{
    config::RedisConfig,
    error::{self, ConnectError},
    script::Script,
};

/// How many calls may be under way. Beyond that Redis is not keeping up, and waiting would only be longer.
const CALLS: usize = 4096;

/// Messages that the listener may be behind before some are lost to it, with an error in their place.
const MESSAGES: usize = 4096;

/// One connection.
pub(crate) struct Line {
    client: Client,
    /// How many calls it has answered.
    answers: AtomicU64,
    /// Whether it is being replaced.
    replacing: AtomicBool,
    _task: Task,
}

/// The connections that carry calls.
pub(crate) struct Connections {
    lines: Vec<Arc<Line>>,
    next: AtomicUsize,
    calls: Semaphore,
    deadline: Duration,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("connections", &self.lines.len()).finish_non_exhaustive()
    }
}

impl Connections {
    pub(crate) async fn open(config: &RedisConfig) -> Result<Self, ConnectError> {
        let mut lines = Vec::new();
        for _ in 0..config.connections.max(1) {
            lines.push(Arc::new(Line::open(config).await?));
        }
        Ok(Self { lines, next: AtomicUsize::new(0), calls: Semaphore::new(CALLS), deadline: config.deadline })
    }

    /// The next connection that is there.
    fn line(&self) -> Option<&Arc<Line>> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let (before, from) = self.lines.split_at(next.checked_rem(self.lines.len())?);
        from.iter().chain(before).find(|line| line.client.is_connected())
    }

    /// Some connection, for what is not a script.
    pub(crate) fn any(&self) -> Option<&Client> {
        self.line().map(|line| &line.client)
    }

    /// Runs a script, within the deadline.
    pub(crate) async fn run<T: FromValue>(
        &self,
        script: &Script,
        keys: Vec<Key>,
        arguments: Vec<Value>,
    ) -> Result<T, StoreError> {
        let _call =
            self.calls.try_acquire().map_err(|_| StoreError::Unavailable("too many calls are under way".into()))?;
        let line = self.line().ok_or_else(|| StoreError::Unavailable("not connected to Redis".into()))?;
        let answers_before = line.answers.load(Ordering::Relaxed);
        let options =
            Options { max_attempts: Some(1), timeout: Some(self.deadline), fail_fast: true, ..Options::default() };
        let client = line.client.with_options(&options);
        let run = async {
            match client.evalsha(script.digest(), keys.clone(), arguments.clone()).await {
                // Redis has restarted, failed over or flushed its scripts. This one did not run; EVAL caches it again.
                Err(cause) if cause.details().starts_with("NOSCRIPT") => {
                    client.eval(script.text(), keys, arguments).await
                }
                answer => answer,
            }
        };
        let answer = tokio::time::timeout(self.deadline, run).await;
        match &answer {
            Err(_) => line.suspect(answers_before),
            Ok(Err(cause)) if *cause.kind() == ErrorKind::Timeout => line.suspect(answers_before),
            Ok(Err(_)) => {}
            Ok(Ok(_)) => {
                line.answers.fetch_add(1, Ordering::Relaxed);
            }
        }
        match answer {
            Ok(answer) => answer.map_err(|cause: Error| error::store(&cause)),
            Err(_) => Err(StoreError::Unavailable("no answer within the deadline".into())),
        }
    }
}

impl Line {
    /// The client of this connection.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Connects.
    pub(crate) async fn open(config: &RedisConfig) -> Result<Self, ConnectError> {
        let client = client(config)?;
        let task = connect(&client).await.map_err(|cause| error::connect(&cause))?;
        Ok(Self { client, answers: AtomicU64::new(0), replacing: AtomicBool::new(false), _task: task })
    }

    /// A call began after `answers` answers, and timed out. Without any answer since, the connection is replaced.
    fn suspect(self: &Arc<Self>, answers: u64) {
        if self.answers.load(Ordering::Relaxed) == answers && !self.replacing.swap(true, Ordering::AcqRel) {
            let line = self.clone();
            tokio::spawn(async move {
                replace(&line.client).await;
                line.replacing.store(false, Ordering::Release);
            });
        }
    }
}

/// Drops the connection of a client and lets it connect again; waits for that, but not for long.
pub(crate) async fn replace(client: &Client) {
    tracing::warn!(event = "store.connection_silent", "a connection to Redis does not answer; replacing it");
    let _ = tokio::time::timeout(Duration::from_secs(10), client.force_reconnection()).await;
}

/// A client that is not connected yet.
fn client(config: &RedisConfig) -> Result<Client, ConnectError> {
    let known = ["redis://", "rediss://"].iter().any(|scheme| config.url.starts_with(scheme));
    if !known {
        return Err(ConnectError::Url("it must begin with redis:// or rediss://"));
    }
    let mut server = Config::from_url_centralized(&config.url)
        .map_err(|_| ConnectError::Url("expected redis[s]://[user[:password]@]host[:port][/database]"))?;
    server.version = RespVersion::RESP3;
    server.fail_fast = true;
    let mut policy = ReconnectPolicy::new_exponential(0, 50, 750 + draw(500), 2);
    policy.set_jitter(50);
    let mut builder = Builder::from_config(server);
    builder.set_policy(policy);
    builder.with_connection_config(|connection| {
        connection.connection_timeout = config.connect_timeout;
        connection.internal_command_timeout = config.connect_timeout;
        connection.max_command_attempts = 1;
        connection.reconnect_on_auth_error = true;
        connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
    });
    builder.with_performance_config(|performance| {
        performance.default_command_timeout = config.deadline;
        performance.broadcast_channel_capacity = MESSAGES;
    });
    builder.build().map_err(|cause| error::connect(&cause))
}

/// A number below `most` that differs from process to process. Not for secrets.
fn draw(most: u32) -> u32 {
    u32::try_from(RandomState::new().hash_one("jitter") % u64::from(most.max(1))).unwrap_or_default()
}

/// Connects a client, and keeps it connected until the task is dropped.
async fn connect(client: &Client) -> Result<Task, Error> {
    let first = Connection(client.init().await?);
    let client = client.clone();
    let keeper: JoinHandle<()> = tokio::spawn(async move {
        let mut connection = first;
        loop {
            let ended = (&mut connection.0).await;
            tracing::warn!(event = "store.connection_ended", ?ended, "a connection to Redis ended; connecting again");
            tokio::time::sleep(Duration::from_secs(1)).await;
            connection = Connection(client.connect());
        }
    });
    Ok(Task(keeper.abort_handle()))
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
