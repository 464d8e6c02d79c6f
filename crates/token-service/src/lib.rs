//! `TokenService` and `IdentityService`: load, decide, commit.
//!
//! Every mutating call has the same flow:
//!
//! 1. the caller's role is checked (`roles`);
//! 2. the records a rule needs are loaded with the store's time (`transaction`);
//! 3. a plain function of `grantd-core` decides;
//! 4. what it decided is committed, on condition that what it rests on is unchanged; on a conflict, again from 2;
//! 5. a security event is logged (`events`) and the answer sent.
//!
//! Rules live in `grantd-core`, bytes and expiry in a [`Store`], HTTP in the facade and the gate. Who may open a
//! connection is decided by [`callers`]; the services only look at the [`Caller`] that was put into the request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use grantd_client_metadata::Fetcher;
use grantd_core::Policy;
use grantd_proto::{
    Caller, FILE_DESCRIPTOR_SET, Transport,
    v1::{identity_service_server::IdentityServiceServer, token_service_server::TokenServiceServer},
};
use grantd_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::{Layer as _, ServiceExt as _, util::BoxCloneSyncService};

mod assertions;
mod authorizations;
pub mod callers;
mod clients;
mod convert;
mod documents;
mod errors;
mod events;
mod grants;
mod identity;
mod limits;
mod owner;
mod passwords;
mod profile;
mod recommit;
mod roles;
mod service;
mod tokens;
mod trace;
mod transaction;
mod verification;
mod watch;

pub use callers::{AuthLayer, CallerKeys, CertifiedCaller};
pub use owner::{OWNER, OwnerOutcome};

use passwords::Passwords;

/// The names whose status `grpc.health.v1` knows: the server, and both services.
const HEALTH: [&str; 3] = ["", "grantd.v1.TokenService", "grantd.v1.IdentityService"];

/// What the service needs beside its store.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// The rules' configuration.
    pub policy: Policy,
    /// How many passwords are hashed at once; each takes 19 MiB and one core for some tens of milliseconds.
    pub argon2_parallel: usize,
    /// For clients whose id is the URL of a metadata document; none where such clients are not let in.
    pub documents: Option<DocumentConfig>,
}

/// What clients with a metadata document need.
#[derive(Debug, Clone)]
pub struct DocumentConfig {
    /// Fetches the documents.
    pub fetcher: Fetcher,
    /// What names this server in a client assertion (RFC 7523 §3): the issuer, and the URL of the token endpoint.
    pub audiences: Vec<String>,
}

/// The services. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    policy: Policy,
    passwords: Passwords,
    documents: Option<DocumentConfig>,
    /// Registrations by address.
    registrations: limits::Limit<String>,
    /// Client id URLs that nobody is signed in to, by address of who names them.
    strangers: limits::Limit<String>,
    /// Revocations that may have to be committed again.
    recent: recommit::Recent,
    is_guarded: AtomicBool,
    /// Bounds the writes behind answers; what finds no place is left to the next use.
    background: Arc<tokio::sync::Semaphore>,
    /// Health says NOT_SERVING from then on.
    retiring: CancellationToken,
    closing: CancellationToken,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// The services on a store.
    pub fn new(store: Arc<dyn Store>, config: ServiceConfig) -> Self {
        Self(Arc::new(Inner {
            store,
            policy: config.policy,
            passwords: Passwords::new(config.argon2_parallel),
            documents: config.documents,
            registrations: limits::Limit::new(600, Duration::from_secs(1)),
            strangers: limits::Limit::new(30, Duration::from_secs(5)),
            recent: recommit::Recent::default(),
            is_guarded: AtomicBool::new(false),
            background: Arc::new(tokio::sync::Semaphore::new(64)),
            retiring: CancellationToken::new(),
            closing: CancellationToken::new(),
        }))
    }

    /// Everything that is served over gRPC: both services, `grpc.health.v1` and reflection. Each call of the two services
    /// needs a [`Caller`] in the extensions of its HTTP request. Must be called within a Tokio runtime: the health
    /// status follows the store from now on, and revocations are guarded against a store that fails over.
    pub fn routes(&self) -> Routes {
        if !self.0.is_guarded.swap(true, Ordering::AcqRel) {
            tokio::spawn(self.clone().recommit_after_gaps());
        }
        let (mut reporter, health) = tonic_health::server::health_reporter();
        let service = self.clone();
        tokio::spawn(async move {
            let mut every = tokio::time::interval(Duration::from_secs(2));
            loop {
                tokio::select! {
                    () = service.0.retiring.cancelled() => break,
                    _ = every.tick() => {}
                }
                let status = match service.ready().await {
                    Ok(()) => tonic_health::ServingStatus::Serving,
                    Err(_) => tonic_health::ServingStatus::NotServing,
                };
                for name in HEALTH {
                    reporter.set_service_status(name, status).await;
                }
            }
            for name in HEALTH {
                reporter.set_service_status(name, tonic_health::ServingStatus::NotServing).await;
            }
            service.0.closing.cancelled().await;
            // Ends the streams of those who watch the status: they would keep their connections open.
            for name in HEALTH {
                reporter.clear_service_status(name).await;
            }
        });

        let mut routes = Routes::builder();
        routes
            .add_service(TokenServiceServer::new(self.clone()))
            .add_service(IdentityServiceServer::new(self.clone()))
            .add_service(health);
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1();
        match reflection {
            Ok(reflection) => {
                routes.add_service(reflection);
            }
            // Only a broken build gets here; everything else still works.
            Err(error) => tracing::error!(%error, "reflection is off: the descriptor does not decode"),
        }
        routes.routes()
    }

    /// Whether the store can be reached.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.0.store.ping().await.map(|_| ())
    }

    /// From now on `grpc.health.v1` says NOT_SERVING, so that callers go elsewhere. Everything is served as before.
    pub fn retire(&self) {
        self.0.retiring.cancel();
    }

    /// Ends what would otherwise run on: the streams of watchers, and the health task. Calls in flight are finished.
    pub fn close(&self) {
        self.0.retiring.cancel();
        self.0.closing.cancel();
    }

    fn policy(&self) -> &Policy {
        &self.0.policy
    }

    fn fetcher(&self) -> Option<&Fetcher> {
        self.0.documents.as_ref().map(|documents| &documents.fetcher)
    }
}

/// Calls a service of this process without a socket, as `caller`.
pub fn in_process(routes: Routes, caller: Caller) -> Transport {
    let as_caller = tower::util::MapRequestLayer::new(move |mut request: http::Request<tonic::body::Body>| {
        request.extensions_mut().insert(caller.clone());
        request
    });
    BoxCloneSyncService::new(as_caller.layer(routes.prepare()).map_err(Into::into))
}
