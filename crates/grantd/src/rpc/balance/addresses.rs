//! Which addresses there are: names are looked up again and again, because the answer changes.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use http::Uri;
use rustls::pki_types::ServerName;
use tokio::sync::{Notify, watch};
use tonic::transport::Channel;

use super::{Members, member::Member};

/// How often names are looked up. A headless service of Kubernetes changes its answer within some seconds, too.
const EVERY: Duration = Duration::from_secs(5);
/// The least time between two looks that calls have asked for.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a resolver may take. It waits some five seconds for each nameserver that is silent before it asks the next, and
/// as long again for each domain of its search list.
const PATIENCE: Duration = Duration::from_secs(40);

/// One URL of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// What is looked up.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What requests name.
    pub(crate) origin: Uri,
    /// What certificates must be for.
    pub(crate) name: Arc<ServerName<'static>>,
}

/// Looks a name up: the system does, and a test says what it likes.
pub(crate) trait Resolve: Send + Sync + 'static {
    /// Its addresses, in the order of preference. An address is its own.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

/// As every program of this machine does.
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// Keeps the list of members in step with the names, until nobody wants it any more. Whoever stays a member keeps its
/// connection.
pub(super) async fn keep_looking(
    places: Vec<Place>,
    resolver: impl Resolve,
    connect: impl Fn(&Place, SocketAddr) -> Channel + Send + 'static,
    known: watch::Sender<Members>,
    look: Arc<Notify>,
) {
    let mut answers: HashMap<usize, Vec<SocketAddr>> = HashMap::new();
    let mut current: Vec<Arc<Member>> = Vec::new();
    let mut failing = false;
    loop {
        let mut failed = None;
        for (at, place) in places.iter().enumerate() {
            let asked = tokio::time::timeout(PATIENCE, resolver.resolve(&place.host, place.port)).await;
            match asked.unwrap_or_else(|late| Err(late.into())) {
                Ok(addresses) if !addresses.is_empty() => drop(answers.insert(at, addresses)),
                // A resolver that is away for a moment takes no service away: the last answer holds.
                Ok(_) => failed = Some((place, io::Error::other("no address"))),
                Err(error) => failed = Some((place, error)),
            }
        }
        match &failed {
            Some((place, error)) if !failing => {
                tracing::warn!(event = "token_service.lookup_failed", host = place.host, %error, "the name cannot be looked up; the addresses known before hold");
            }
            None if failing => tracing::info!(event = "token_service.lookup_works", "names can be looked up again"),
            _ => {}
        }
        failing = failed.is_some();

        let mut next: Vec<Arc<Member>> = Vec::new();
        for (at, place) in places.iter().enumerate() {
            for address in answers.get(&at).into_iter().flatten() {
                let same = |member: &&Arc<Member>| member.address == *address && member.host == place.host;
                if next.iter().find(same).is_none() {
                    let stays = current.iter().find(same).cloned();
                    next.push(stays.unwrap_or_else(|| {
                        Arc::new(Member::new(place.host.clone(), *address, connect(place, *address)))
                    }));
                }
            }
        }
        let changed = next.len() != current.len()
            || next.iter().any(|member| !current.iter().any(|old| Arc::ptr_eq(old, member)));
        if changed || known.borrow().is_none() {
            if !current.is_empty() {
                let addresses: Vec<_> = next.iter().map(|member| member.address).collect();
                tracing::info!(event = "token_service.addresses", ?addresses, "the token services have changed");
            }
            // With one there is no other to go to, whatever it says of itself.
            next.iter().for_each(|member| member.watch_health(next.len() > 1));
            known.send_replace(Some(next.clone().into()));
            current = next;
        }
        tokio::select! {
            () = known.closed() => return,
            () = tokio::time::sleep(EVERY) => {}
            () = look.notified() => tokio::time::sleep(PAUSE).await,
        }
    }
}
