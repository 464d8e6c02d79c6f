//! The suite of every store, where Redis is not one server in the clear: on a Cluster, behind Sentinel, and by TLS with an
//! ACL user. Each is started once, and emptied before each property.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::{sync::Arc, time::Duration};

use grantd_store::Store;
use grantd_store_redis::{ClockOffset, RedisConfig, RedisStore};
use grantd_store_testkit::{Harness, for_each_property, properties};
use support::{certificates::Certificates, cluster::Cluster, free_port, sentinel::Watched};

struct Redis {
    config: RedisConfig,
    offset: ClockOffset,
}

#[async_trait::async_trait]
impl Harness for Redis {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(RedisStore::connect(self.config.clone(), self.offset.clone()).await.unwrap())
    }

    fn advance(&self, by: Duration) {
        self.offset.advance(by);
    }
}

/// Every property, one after the other, each on what `flush` has emptied.
async fn suite(mut config: RedisConfig, flush: impl Fn()) {
    // How fast it is, is not what this suite asks.
    config.deadline = Duration::from_secs(20);
    let mut failures: Vec<String> = Vec::new();
    macro_rules! run {
        ($unused:ident $($property:ident)*) => {$(
            flush();
            let redis = Redis { config: config.clone(), offset: ClockOffset::default() };
            if let Err(failure) = properties::$property(&redis).await {
                failures.push(format!("{}: {failure}", stringify!($property)));
            }
        )*};
    }
    for_each_property! { run, unused }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_a_cluster() {
    let cluster = Cluster::start(false, &[]);
    suite(cluster.config(), || cluster.flush()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn behind_sentinel() {
    let watched = Watched::start(1, 1, &[], "");
    suite(watched.config(), || watched.primary().order(&["FLUSHALL"])).await;
}

/// What an ACL user needs on a Cluster, and no more.
const NEEDED: &str = "+get +getrange +set +del +publish +subscribe +time +zadd +zrem +zrange +zrangebyscore +zrangebylex \
                      +zmscore +pexpire +persist +evalsha +eval +ping +info +hello +auth +cluster|slots +cluster|info";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_a_cluster_by_tls_with_an_acl_user() {
    let certificates = Certificates::new();
    let identity = certificates.issue("server", true);
    let cluster = Cluster::start_with(false, || {
        let on = ["--tls-cluster", "yes", "--tls-port", &free_port().to_string()].map(str::to_owned);
        [&on[..], &certificates.arguments(&identity, true)].concat()
    });
    for node in &cluster.nodes {
        let user = ["ACL", "SETUSER", "grantd", "on", ">p@ss/word", "~*", "&oauth:*", "-@all"];
        let needed: Vec<_> = NEEDED.split_whitespace().collect();
        node.order(&[&user[..], &needed].concat());
    }
    let port =
        |node: &support::Server| node.cli(&["CONFIG", "GET", "tls-port"]).lines().nth(1).unwrap().parse().unwrap();
    let mut config = RedisConfig::new(cluster.url("rediss-cluster", "grantd:p%40ss%2Fword@", port));
    config.ca_file = Some(certificates.authority());
    config.client_identity = Some(certificates.issue("grantd", false));
    suite(config, || cluster.flush()).await;
}
