//! The connections that carry calls, and running a script on one of them.
//!
//! 1. Calls under way are counted, and refused when there are too many; while no line is connected they fail at once.
//! 2. A script runs by its digest, within the deadline. Where Redis does not know it (it restarted, failed over, or
//!    flushed its scripts) it is sent whole.
//! 3. **What certainly did not run is tried again** until the deadline, and nothing else: a Cluster that answers that the
//!    slot is elsewhere (fred has asked who owns it by then), or in between.
//! 4. A commit may have to wait for replicas (`WAIT`). It is sent together with the script: on a connection made anew in
//!    between it would wait for nothing.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike as _, LuaInterface as _, ServerInterface as _},
    types::{ClusterHash, CustomCommand, FromValue, Key, Value, config::Options},
};
use futures::future::try_join_all;
use grantd_store::StoreError;
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    config::RedisConfig,
    error::{self, ConnectError},
    line::{Connected, Line},
    script::Script,
    target::Target,
    watch::Heard,
};

/// How many calls may be under way. Beyond that Redis is not keeping up, and waiting would only be longer.
const CALLS: usize = 4096;

/// The first pause before what did not run is tried again; it doubles..
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// ..up to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How much longer than the deadline fred may take to say that it has passed. Only what fred gave up itself is certainly
/// not sent any more, should it still be in its queue.
const GRACE: Duration = Duration::from_millis(50);

/// The connections that carry calls.
pub(crate) struct Connections {
    lines: Arc<[Arc<Line>]>,
    next: AtomicUsize,
    calls: Semaphore,
    deadline: Duration,
    wait: Wait,
}

/// How many replicas a commit waits for, and how long at most.
#[derive(Clone, Copy)]
struct Wait {
    replicas: u8,
    timeout: Duration,
}

/// A script with its keys (of one slot) and arguments.
pub(crate) struct Call<'a> {
    pub(crate) script: &'a Script,
    pub(crate) keys: Vec<Key>,
    pub(crate) arguments: Vec<Value>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("connections", &self.lines.len()).finish_non_exhaustive()
    }
}

impl Connections {
    pub(crate) async fn open(config: &RedisConfig, target: &Arc<Target>, heard: &Heard) -> Result<Self, ConnectError> {
        let lines = try_join_all((0..config.connections.max(1)).map(|_| {
            let heard = heard.clone();
            Line::open(target, move || heard.gap("a connection to Redis was made anew"))
        }))
        .await?;
        Ok(Self {
            lines: lines.into_iter().map(Arc::new).collect(),
            next: AtomicUsize::new(0),
            calls: Semaphore::new(CALLS),
            deadline: config.deadline,
            wait: Wait { replicas: config.wait_replicas, timeout: config.wait_timeout },
        })
    }

    /// All lines, for who finds out that they may lead to where a primary was.
    pub(crate) fn lines(&self) -> Arc<[Arc<Line>]> {
        self.lines.clone()
    }

    /// The next line that is connected.
    fn line(&self) -> Option<(&Arc<Line>, Connected)> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let (before, from) = self.lines.split_at(next.checked_rem(self.lines.len())?);
        from.iter().chain(before).find_map(|line| line.connected().map(|connected| (line, connected)))
    }

    /// Some client, for what is not a script.
    pub(crate) fn any(&self) -> Option<Client> {
        self.line().map(|(_, connected)| connected.client)
    }

    /// Runs a script, within the deadline.
    pub(crate) async fn run<T: FromValue>(&self, call: Call<'_>) -> Result<T, StoreError> {
        self.run_and_wait(&call, None).await?.convert().map_err(|cause| error::store(&cause))
    }

    /// Runs a script that writes, and has replicas follow, within the deadline.
    pub(crate) async fn write<T: FromValue>(&self, call: Call<'_>) -> Result<T, StoreError> {
        let wait = Some(self.wait).filter(|wait| wait.replicas > 0);
        self.run_and_wait(&call, wait).await?.convert().map_err(|cause| error::store(&cause))
    }

    async fn run_and_wait(&self, call: &Call<'_>, wait: Option<Wait>) -> Result<Value, StoreError> {
        let _call =
            self.calls.try_acquire().map_err(|_| StoreError::Unavailable("too many calls are under way".into()))?;
        let deadline = Instant::now() + self.deadline;
        let mut pause = FIRST_PAUSE;
        loop {
            let (line, mut connected) =
                self.line().ok_or_else(|| StoreError::Unavailable("not connected to Redis".into()))?;
            let answers_before = line.answers();
            let client = connected.client.clone();
            let attempt = attempt(&client, call, wait, deadline);
            let answer = tokio::select! {
                biased;
                answer = tokio::time::timeout_at(deadline + GRACE, attempt) => answer,
                () = connected.ended() => return Err(StoreError::Unavailable("the connection was lost".into())),
            };
            match answer {
                Ok(Ok(answer)) => {
                    line.answered();
                    return Ok(answer);
                }
                Ok(Err(cause)) if did_not_run(&cause) && Instant::now() + pause < deadline => {
                    tokio::time::sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                Ok(Err(cause)) if *cause.kind() != ErrorKind::Timeout => {
                    if cause.details().starts_with("READONLY") {
                        // Once the primary: whoever is it now is asked for anew.
                        line.replace();
                    }
                    return Err(error::store(&cause));
                }
                Ok(Err(_)) | Err(_) => {
                    line.suspect(&connected, answers_before, call.slot());
                    return Err(StoreError::Unavailable("no answer within the deadline".into()));
                }
            }
        }
    }
}

impl Call<'_> {
    /// The slot of its keys.
    fn slot(&self) -> Option<u16> {
        self.keys.first().map(Key::cluster_hash)
    }
}

/// Whether a Cluster refused to run it, for now and here. fred answers `Routing` for a slot that has moved, after asking
/// for the new owner, and for one that is moving.
fn did_not_run(cause: &Error) -> bool {
    *cause.kind() == ErrorKind::Routing || cause.details().starts_with("TRYAGAIN")
}

/// One attempt.
async fn attempt(client: &Client, call: &Call<'_>, wait: Option<Wait>, deadline: Instant) -> Result<Value, Error> {
    let options = || Options {
        max_attempts: Some(1),
        timeout: Some(deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))),
        fail_fast: true,
        // Without keys any server will do, but `WAIT` must go to the same.
        cluster_hash: wait.map(|_| ClusterHash::Custom(call.slot().unwrap_or_default())),
        ..Options::default()
    };
    let answer = send(client, call, wait, &options(), true).await;
    match answer {
        // It did not run; EVAL lets Redis know it.
        Err(cause) if cause.details().starts_with("NOSCRIPT") => send(client, call, wait, &options(), false).await,
        answer => answer,
    }
}

async fn send(
    client: &Client,
    call: &Call<'_>,
    wait: Option<Wait>,
    options: &Options,
    by_digest: bool,
) -> Result<Value, Error> {
    let (keys, arguments) = (call.keys.clone(), call.arguments.clone());
    let Some(wait) = wait else {
        let client = client.with_options(options);
        return if by_digest {
            client.evalsha(call.script.digest(), keys, arguments).await
        } else {
            client.eval(call.script.text(), keys, arguments).await
        };
    };
    // fred's pipelines have no scripts, but whatever is spelled out.
    let (name, script) = if by_digest { ("EVALSHA", call.script.digest()) } else { ("EVAL", call.script.text()) };
    let script_and_count = [Value::from(script), Value::from(keys.len().to_string())];
    let keys = keys.into_iter().map(Value::from);
    let words: Vec<Value> = script_and_count.into_iter().chain(keys).chain(arguments).collect();
    let pipeline = client.pipeline().with_options(options);
    pipeline.custom::<Value, _>(CustomCommand::new_static(name, None, false), words).await?;
    let timeout = i64::try_from(wait.timeout.as_millis()).unwrap_or(i64::MAX).max(1);
    pipeline.wait::<Value>(i64::from(wait.replicas), timeout).await?;
    let mut answers = pipeline.try_all::<Value>().await.into_iter();
    let unknown = |why: String| Error::new(ErrorKind::Unknown, why);
    let answer = answers.next().unwrap_or_else(|| Err(unknown("no answer to a commit".into())))?;
    match answers.next().map(|replicas| replicas.and_then(|replicas| replicas.convert::<u64>())) {
        _ if answer.as_u64() == Some(0) => Ok(answer), // A conflict: nothing to wait for.
        Some(Ok(replicas)) if replicas >= u64::from(wait.replicas) => Ok(answer),
        Some(Ok(replicas)) => {
            Err(unknown(format!("outcome unknown: {replicas} of {} replicas have the commit", wait.replicas)))
        }
        Some(Err(cause)) => Err(unknown(format!("outcome unknown: {}", cause.details()))),
        None => Err(unknown("outcome unknown: replicas were not asked".into())),
    }
}
