//! Opens the store that the configuration names.

use std::{path::PathBuf, sync::Arc};

use grantd_store::{Store, Traced};
use grantd_store_embedded::{EmbeddedStore, SystemClock};
use grantd_store_redis::{ClockOffset, RedisStore};

use crate::{config::Config, error::Error};

/// The file of the embedded store.
pub(crate) fn embedded_file(config: &Config) -> PathBuf {
    config.data_dir.join("grantd.redb")
}

/// A store that is open.
pub(crate) struct Opened {
    /// For the services; traced.
    pub(crate) store: Arc<dyn Store>,
    /// The embedded one, where it is that.
    pub(crate) embedded: Option<EmbeddedStore>,
}

/// Opens or connects.
pub(crate) async fn open(config: &Config) -> Result<Opened, Error> {
    match config.store.redis() {
        None => {
            let file = embedded_file(config);
            // After a crash it checks the whole file first.
            let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(file, Arc::new(SystemClock))).await;
            let store = opened
                .map_err(Error::because("cannot open the store"))?
                .map_err(Error::because("cannot open the store"))?;
            Ok(Opened { store: Arc::new(Traced::new(store.clone(), "redb")), embedded: Some(store) })
        }
        Some(redis) => match RedisStore::connect(redis, ClockOffset::default()).await {
            Ok(store) => Ok(Opened { store: Arc::new(Traced::new(store, "redis")), embedded: None }),
            Err(error) => Err(Error::because(format!("cannot use the store {}", config.store.url))(error)),
        },
    }
}
