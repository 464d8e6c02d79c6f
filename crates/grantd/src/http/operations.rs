//! The listener for whoever runs grantd: probes and metrics, on an address of their own, in every role.
//!
//! 1. It listens before anything else is opened, so that a process whose start takes long is seen to be alive.
//! 2. It is ready when the process has been put together ([`Operations::ask`]) and its store answers.
//! 3. It is the last to go: while the process drains it says so, and can still be scraped.
//!
//! It asks nobody who they are, and says nothing about anybody: numbers only.

use std::net::SocketAddr;

use grantd_proto::TokenServiceClient;
use tokio::task::JoinHandle;

use super::{
    TrustedProxies,
    probes::Probes,
    server::{self, Limits},
};
use crate::{drain::Drain, error::Error};

/// For probes and scrapers; nobody else has business here.
const CONNECTIONS: usize = 64;

/// The listener, or none. It closes when this is dropped.
pub(crate) struct Operations {
    probes: Probes,
    listening: Option<JoinHandle<()>>,
}

impl Operations {
    /// Listens where the configuration says so.
    pub(crate) async fn start(address: Option<SocketAddr>, drain: &Drain) -> Result<Self, Error> {
        let probes = Probes::new(drain.clone());
        let Some(address) = address else { return Ok(Self { probes, listening: None }) };
        let listener = server::bind(address, "operations.listen").await?;
        let app = probes.clone().router();
        let limits = Limits { proxies: TrustedProxies::default(), connections: CONNECTIONS };
        // With a drain of its own, which never begins: what says that the process is stopping must not stop before it.
        let listening = tokio::spawn(server::serve(listener, app, limits, Drain::default()));
        tracing::info!(event = "operations", listen = %address, "probes are answered at {address}");
        Ok(Self { probes, listening: Some(listening) })
    }

    /// From now on ready means that these services answer.
    pub(crate) fn ask(&self, tokens: TokenServiceClient) {
        self.probes.ask(tokens);
    }
}

impl Drop for Operations {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}
