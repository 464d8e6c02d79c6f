//! Reads the URL, and makes clients of it.
//!
//! 1. The scheme says what answers there: one server, Sentinels that know the primary, or a Cluster; and whether by TLS
//!    (`tls`).
//! 2. What a URL has and its scheme does not know is refused, so that a slip is not silently ignored.
//! 3. [`Target::client`] makes a client that is not connected yet. Each is made from the URL anew, so none knows only
//!    those servers that an earlier one had heard of.
//!
//! What fred is told, and why:
//!
//! - **One attempt per command, none while disconnected, no redirection followed** (`max_command_attempts`, `fail_fast`,
//!   `max_redirections`): fred would otherwise keep commands through an outage and send them again after it. Only the
//!   caller knows which resend is safe. (A redirection is followed by `connection`, which knows that the command did not
//!   run.)
//! - **It never reconnects** (no policy): a client whose connection ended is replaced by a new one (`line`). fred's own
//!   way forgets the Sentinels it was configured with, and in a Cluster keeps connections that are dead without a word.
//! - **Its command queue stays unbounded, and calls are counted here instead**: fred sends orders to itself through the
//!   same queue.
//! - **`UseCache`** for Clusters: nodes that were heard of are asked beside those of the URL.
//! - **More time to connect where names are slow** (`connection_timeout`): fred's limit holds for the lookup as well, and a
//!   resolver waits some five seconds for each nameserver that is silent before it asks the next. With a limit below that no
//!   attempt would ever get an address. So the names are looked up here first, and fred gets the time that took on top.
//! - **RESP3**, so that the listening connection may be used like any other.
//! - Its tracing is off: our spans say what a call was for, and fred's would carry commands.

use std::time::Duration;

use fred::{
    clients::Client,
    types::{
        Builder, RespVersion,
        config::{ClusterDiscoveryPolicy, Config, Server, ServerConfig, TcpConfig},
    },
};
use futures::future::join_all;
use tokio::time::Instant;

use crate::{
    config::RedisConfig,
    error::{self, ConnectError},
    tls,
};

/// Messages that the listener may be behind before some are lost to it, with an error in their place.
const MESSAGES: usize = 4096;

/// A lookup that took so long is worth a word: every program of this machine suffers.
const SLOW: Duration = Duration::from_secs(2);

/// What answers at a URL.
#[derive(Clone, Copy)]
enum Kind {
    One,
    Sentinel,
    Cluster,
}

/// The query parameters of Sentinel URLs and, the first, of Cluster URLs.
const PARAMETERS: [&str; 4] = ["node", "sentinelServiceName", "sentinelUsername", "sentinelPassword"];

/// Where to connect to.
pub(crate) struct Target {
    builder: Builder,
    /// Those that the URL names.
    servers: Vec<Server>,
    connect_timeout: Duration,
    /// Where TLS is used with files: they may have been renewed since.
    files: Option<RedisConfig>,
}

impl Target {
    /// What the URL says, without TLS; refused where certificates would not be used.
    pub(crate) fn server(config: &RedisConfig) -> Result<Config, ConnectError> {
        let server = server(&config.url)?;
        if !tls_is_used(&config.url) && (config.ca_file.is_some() || config.client_identity.is_some()) {
            return Err(ConnectError::Tls("certificates are configured, but the URL does not say TLS (rediss)".into()));
        }
        Ok(server)
    }

    pub(crate) async fn new(config: &RedisConfig) -> Result<Self, ConnectError> {
        let mut server = Self::server(config)?;
        if tls_is_used(&config.url) {
            server.tls = Some(tls::connector(config).await?.into());
        }
        server.version = RespVersion::RESP3;
        server.fail_fast = true;
        let servers = server.server.hosts();
        let mut builder = Builder::from_config(server);
        builder.with_connection_config(|connection| {
            connection.internal_command_timeout = config.connect_timeout;
            connection.max_command_attempts = 1;
            connection.max_redirections = 0;
            connection.reconnect_on_auth_error = true;
            connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
        });
        builder.with_performance_config(|performance| {
            performance.default_command_timeout = config.deadline;
            performance.broadcast_channel_capacity = MESSAGES;
        });
        let files = config.ca_file.is_some() || config.client_identity.is_some();
        Ok(Self { builder, servers, connect_timeout: config.connect_timeout, files: files.then(|| config.clone()) })
    }

    /// A client that is not connected yet.
    pub(crate) async fn client(&self) -> Result<Client, ConnectError> {
        let mut builder = self.builder.clone();
        let timeout = self.connect_timeout + self.lookup_time().await;
        builder.with_connection_config(|connection| connection.connection_timeout = timeout);
        if let Some(files) = &self.files {
            match tls::connector(files).await {
                Ok(connector) => {
                    builder.with_config(|server| server.tls = Some(connector.into()));
                }
                Err(cause) => {
                    tracing::warn!(event = "store.certificates", %cause, "using the certificates of the start");
                }
            }
        }
        builder.build().map_err(|cause| error::connect(&cause))
    }

    /// How long it takes now to look up the names in the URL. Whether they are found is fred's to say.
    async fn lookup_time(&self) -> Duration {
        let since = Instant::now();
        join_all(self.servers.iter().map(|server| tokio::net::lookup_host((&*server.host, server.port)))).await;
        let took = since.elapsed();
        if took > SLOW {
            tracing::warn!(
                event = "store.slow_lookup",
                seconds = took.as_secs_f32(),
                "looking up the name of Redis takes long: probably a nameserver of this machine does not answer"
            );
        }
        took
    }
}

fn tls_is_used(url: &str) -> bool {
    url.starts_with("rediss")
}

/// The URL as fred's configuration, without TLS.
fn server(text: &str) -> Result<Config, ConnectError> {
    const KINDS: [(&str, Kind); 6] = [
        ("redis", Kind::One),
        ("rediss", Kind::One),
        ("redis-sentinel", Kind::Sentinel),
        ("rediss-sentinel", Kind::Sentinel),
        ("redis-cluster", Kind::Cluster),
        ("rediss-cluster", Kind::Cluster),
    ];
    let url = url::Url::parse(text).map_err(|_| ConnectError::Url("it is no URL"))?;
    let kind = KINDS.iter().find(|(scheme, _)| *scheme == url.scheme()).map(|(_, kind)| *kind).ok_or(
        ConnectError::Url("it must begin with redis://, redis-sentinel:// or redis-cluster://, or rediss.. for TLS"),
    )?;
    let known = match kind {
        Kind::One => &PARAMETERS[..0],
        Kind::Sentinel => &PARAMETERS[..],
        Kind::Cluster => &PARAMETERS[..1],
    };
    if !url.query_pairs().all(|(name, _)| known.contains(&&*name)) || url.fragment().is_some() {
        return Err(ConnectError::Url("it has a parameter that is not known for its scheme"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(ConnectError::Url("it names no host"));
    }
    // TLS is set up by `tls`; fred would look for the system's certificates, and fail without.
    let plain = text.replacen("rediss", "redis", usize::from(tls_is_used(text)));
    let config = match kind {
        Kind::One => Config::from_url_centralized(&plain)
            .map_err(|_| ConnectError::Url("expected redis[s]://[user:password@]host[:port][/database]"))?,
        Kind::Sentinel => Config::from_url_sentinel(&plain).map_err(|_| {
            ConnectError::Url(
                "expected redis[s]-sentinel://[user:password@]sentinel[:port][/database]?sentinelServiceName=NAME\
                 [&node=sentinel2:port2..]",
            )
        })?,
        Kind::Cluster if !matches!(url.path(), "" | "/") => {
            return Err(ConnectError::Url("a Cluster has no numbered databases"));
        }
        Kind::Cluster => {
            let mut config = Config::from_url_clustered(&plain).map_err(|_| {
                ConnectError::Url("expected redis[s]-cluster://[user:password@]host[:port][?node=host2:port2..]")
            })?;
            if let ServerConfig::Clustered { policy, .. } = &mut config.server {
                *policy = ClusterDiscoveryPolicy::UseCache;
            }
            config
        }
    };
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(url: &str) -> Vec<String> {
        let mut hosts: Vec<_> = server(url).unwrap().server.hosts().iter().map(ToString::to_string).collect();
        hosts.sort();
        hosts
    }

    #[test]
    fn every_kind_of_url() {
        assert_eq!(hosts("redis://a"), ["a:6379"]);
        assert_eq!(hosts("rediss://u:p@a:7/3"), ["a:7"]);
        assert_eq!(hosts("redis-cluster://a?node=b:1&node=c:2"), ["a:6379", "b:1", "c:2"]);
        assert_eq!(hosts("rediss-sentinel://a?sentinelServiceName=m&node=b:1"), ["a:26379", "b:1"]);

        let cluster = server("rediss-cluster://u%40x:p%2Fw@a").unwrap();
        assert!(cluster.server.is_clustered());
        assert_eq!((cluster.username.as_deref(), cluster.password.as_deref()), (Some("u@x"), Some("p/w")));
        let url = "redis-sentinel://u:p@a/2?sentinelServiceName=m&sentinelUsername=su&sentinelPassword=s%26p";
        let sentinel = server(url).unwrap();
        assert_eq!(sentinel.database, Some(2));
        let ServerConfig::Sentinel { service_name, username, password, .. } = &sentinel.server else { panic!() };
        assert_eq!((&**service_name, username.as_deref(), password.as_deref()), ("m", Some("su"), Some("s&p")));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for url in [
            "redis://a?node=b:1",
            "redis-cluster://a/1",
            "redis-cluster://a?nodes=b:1",
            "redis-cluster://a?node=b",
            "redis-sentinel://a",
            "redis-sentinel://a?sentinelservicename=m",
            "redis-cluster://",
            "rediss+cluster://a",
            "redis://a#b",
        ] {
            assert!(matches!(server(url), Err(ConnectError::Url(_))), "{url}");
        }
    }
}
