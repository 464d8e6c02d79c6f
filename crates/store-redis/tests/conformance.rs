//! The suite of every store, each property on a Redis of its own.

mod support;

use std::{sync::Arc, time::Duration};

use grantd_store::Store;
use grantd_store_redis::{ClockOffset, RedisStore};
use grantd_store_testkit::Harness;
use support::Server;

struct Redis {
    server: Server,
    offset: ClockOffset,
}

#[async_trait::async_trait]
impl Harness for Redis {
    #[expect(clippy::unwrap_used, reason = "a helper of tests")]
    async fn open(&self) -> Arc<dyn Store> {
        let mut config = self.server.config();
        // How fast it is, is not what this suite asks.
        config.deadline = Duration::from_secs(20);
        Arc::new(RedisStore::connect(config, self.offset.clone()).await.unwrap())
    }

    fn advance(&self, by: Duration) {
        self.offset.advance(by);
    }
}

async fn redis() -> Redis {
    Redis { server: Server::start(&[]), offset: ClockOffset::default() }
}

grantd_store_testkit::conformance!(redis);
