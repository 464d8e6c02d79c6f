//! Where Redis is, and how long to wait for it.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use grantd_store::Timestamp;

use crate::{error::ConnectError, target::Target};

/// Where Redis is, and how long to wait for it.
#[derive(Clone)]
#[non_exhaustive]
pub struct RedisConfig {
    /// Where Redis is. It may hold passwords and is neither shown nor logged.
    ///
    /// | URL | what answers there |
    /// | --- | --- |
    /// | `redis://[user:password@]host[:6379][/database]` | one server |
    /// | `redis-sentinel://[user:password@]host[:26379][/database]?sentinelServiceName=NAME[&node=host:port..]` | Sentinels, which know the primary called NAME |
    /// | `redis-cluster://[user:password@]host[:6379][?node=host:port..]` | nodes of a Cluster, which know the others |
    ///
    /// - `rediss://`, `rediss-sentinel://` and `rediss-cluster://` are the same with TLS on every connection.
    /// - Each `node` is one more to ask. Name several, so that one may be away at the start.
    /// - User and password are those of an ACL user of Redis; `:password@` is the user `default`. Sentinels have
    ///   credentials of their own: `&sentinelUsername=..&sentinelPassword=..`.
    /// - What is special in a URL is percent-encoded: `%40` for `@`, `%2F` for `/`.
    ///
    /// Beside what the scripts call, the ACL must allow `hello`, `auth`, `ping`, `info`, `eval`, `evalsha`, `publish`
    /// and `subscribe` (keys `oauth:*`, channels `oauth:*`); with Sentinel `role`; on a Cluster `cluster|slots` and
    /// `cluster|info`; and `wait` where `wait_replicas` is set.
    pub url: String,
    /// With TLS: certificate authorities to trust beside the system's, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// With TLS: what to show to a Redis that asks for a certificate.
    pub client_identity: Option<ClientIdentity>,
    /// How long a call may take, from its beginning. Then it fails; a commit may have happened all the same.
    pub deadline: Duration,
    /// How long one attempt to connect to one server may take, TLS included, after its name was looked up.
    pub connect_timeout: Duration,
    /// How many connections (on a Cluster: to each primary) carry the calls. Calls are pipelined, so a few suffice:
    /// they keep one large reply from holding up all others.
    pub connections: usize,
    /// How many replicas must have a commit before it is answered (`WAIT`). With none, the default, a commit that was
    /// answered is lost when its primary dies before a replica has it: somebody is signed out, or a revocation undone.
    ///
    /// It makes that unlikely, not impossible: a replica without the commit may still be promoted instead (where there
    /// are more than this many), and a primary that was cut off answers until it notices (set `min-replicas-to-write`
    /// in Redis as well). It does not undo: a commit that too few replicas have fails with its outcome unknown, is
    /// there, and may be seen. And it takes time: each commit waits for the replicas' answer, and so do the calls
    /// behind it on its connection.
    pub wait_replicas: u8,
    /// How long to wait for them. Less than the deadline.
    pub wait_timeout: Duration,
}

/// A certificate and its key, PEM files.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// The certificate, and those between it and the authority.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

impl RedisConfig {
    /// The defaults: 2 s a call, 2 s to connect, 4 connections, no certificates, waiting for no replica (else 500 ms).
    pub fn new(url: impl Into<String>) -> Self {
        let seconds = Duration::from_secs(2);
        Self {
            url: url.into(),
            ca_file: None,
            client_identity: None,
            deadline: seconds,
            connect_timeout: seconds,
            connections: 4,
            wait_replicas: 0,
            wait_timeout: Duration::from_millis(500),
        }
    }
}

impl RedisConfig {
    /// Looks at what is written, without asking anybody and without reading files.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Url`] and [`ConnectError::Tls`], as [`RedisStore::connect`](crate::RedisStore::connect) would say.
    pub fn check(&self) -> Result<(), ConnectError> {
        Target::server(self).map(drop)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &"(hidden)")
            .field("ca_file", &self.ca_file)
            .field("client_identity", &self.client_identity)
            .field("deadline", &self.deadline)
            .field("connect_timeout", &self.connect_timeout)
            .field("connections", &self.connections)
            .field("wait_replicas", &self.wait_replicas)
            .field("wait_timeout", &self.wait_timeout)
            .finish()
    }
}

/// How far the store's clock is ahead of Redis' own. Zero, and left alone, in production: tests drive it to let records
/// expire. Clones share one offset.
#[derive(Debug, Clone, Default)]
pub struct ClockOffset(Arc<AtomicU64>);

impl ClockOffset {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub(crate) fn millis(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn apply(&self, time: Timestamp) -> Timestamp {
        time.plus(Duration::from_millis(self.millis()))
    }
}
