//! Opens the store that the configuration names.

use std::{path::PathBuf, sync::Arc};

use grantd_store::{Store, Traced};
use grantd_store_embedded::{EmbeddedStore, SystemClock};
use grantd_store_redis::{ClientIdentity, ClockOffset, ConnectError, RedisConfig, RedisStore};

use crate::{
    config::{Config, StoreUrl},
    error::Error,
};

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
    match &config.store.url {
        StoreUrl::Embedded => {
            let file = embedded_file(config);
            // After a crash it checks the whole file first.
            let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(file, Arc::new(SystemClock))).await;
            let store = opened
                .map_err(Error::because("cannot open the store"))?
                .map_err(Error::because("cannot open the store"))?;
            Ok(Opened { store: Arc::new(Traced::new(store.clone(), "redb")), embedded: Some(store) })
        }
        StoreUrl::Redis(url) => {
            let mut redis = RedisConfig::new(url.as_str());
            redis.wait_replicas = config.store.wait_replicas;
            redis.ca_file.clone_from(&config.store.ca_file);
            let identity = config.store.client_cert.clone().zip(config.store.client_key.clone());
            redis.client_identity = identity.map(|(cert_file, key_file)| ClientIdentity { cert_file, key_file });
            match RedisStore::connect(redis, ClockOffset::default()).await {
                Ok(store) => Ok(Opened { store: Arc::new(Traced::new(store, "redis")), embedded: None }),
                Err(ConnectError::Url(reason)) => Err(Error::Usage(format!("store.url: {reason}"))),
                Err(error) => Err(Error::because(format!("cannot use the store {}", config.store.url))(error)),
            }
        }
    }
}
