//! Security events as structured logs, and how many there were of each (`grantd.security.events`). Names are stable; no field
//! ever holds a secret, and the count knows nothing but the name.
//!
//! Nothing else logs under this target, and what is logged here is counted: a test reads the sources (`tests/metrics.rs`).

use std::sync::LazyLock;

use grantd_core::{Event, records::Grant};
use grantd_oauth_types::{ClientId, GrantId};
use opentelemetry::{KeyValue, global, metrics::Counter};

static COUNT: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("grantd")
        .u64_counter("grantd.security.events")
        .with_description("Security events, by the name they have in the log")
        .build()
});

fn count(name: &'static str) {
    COUNT.add(1, &[KeyValue::new("event", name)]);
}

/// What is known about an event.
#[derive(Debug, Default)]
pub(crate) struct About<'a> {
    pub(crate) grant_id: Option<GrantId>,
    pub(crate) client_id: Option<&'a ClientId>,
    pub(crate) subject: &'a str,
    pub(crate) username: &'a str,
    pub(crate) remote_address: &'a str,
    /// The grant was revoked by it.
    pub(crate) revoked: bool,
}

impl<'a> About<'a> {
    /// The end of a grant.
    pub(crate) fn revoked(id: GrantId, grant: &'a Grant) -> Self {
        Self {
            grant_id: Some(id),
            client_id: Some(&grant.client_id),
            subject: &grant.subject,
            username: &grant.username,
            revoked: true,
            ..Self::default()
        }
    }
}

/// Logs an event.
pub(crate) fn log(event: Event, about: &About<'_>) {
    count(event.name());
    let grant_id = about.grant_id.map(|id| id.to_string()).unwrap_or_default();
    let client_id = about.client_id.map_or("", ClientId::as_str);
    macro_rules! emit {
        ($level:ident) => {
            tracing::$level!(
                target: "grantd::security",
                event = event.name(),
                grant_id,
                client_id,
                subject = about.subject,
                username = about.username,
                remote_address = about.remote_address,
                revoked = about.revoked,
            )
        };
    }
    if event.is_suspicious() { emit!(warn) } else { emit!(info) }
}

/// Logs a sign-in event, which has no grant yet.
pub(crate) fn sign_in(name: &'static str, username: &str, subject: &str, remote_address: &str) {
    count(name);
    tracing::info!(target: "grantd::security", event = name, username, subject, remote_address);
}

/// The caller of what nobody asked for: the first user, and what is done again after a failover.
pub(crate) const OURSELVES: &str = "grantd";

/// What somebody who may does to people and clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A person was added.
    UserCreated,
    /// A person's address or groups were changed.
    UserUpdated,
    /// A person has another password.
    PasswordChanged,
    /// A person was removed.
    UserRemoved,
    /// A client's metadata was replaced.
    ClientUpdated,
    /// A client was removed.
    ClientRemoved,
}

impl Step {
    /// The name in the log.
    const fn name(self) -> &'static str {
        match self {
            Self::UserCreated => "user.created",
            Self::UserUpdated => "user.updated",
            Self::PasswordChanged => "user.password_changed",
            Self::UserRemoved => "user.removed",
            Self::ClientUpdated => "client.updated",
            Self::ClientRemoved => "client.removed",
        }
    }
}

/// Whom it was done to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Person<'a> {
    pub(crate) username: &'a str,
    pub(crate) subject: &'a str,
    /// The names of what was changed, never what it was or is; empty where the event's name says all.
    pub(crate) fields: &'a [&'static str],
    /// Who asked: the name of the service key or certificate, `operator` for the admin socket, [`OURSELVES`].
    pub(crate) caller: &'a str,
}

/// Logs what somebody who may did about a person. A call that is sent again is logged again: once too often is better than not
/// at all, when the first time the outcome was not known.
pub(crate) fn person(step: Step, about: Person<'_>) {
    let Person { username, subject, fields, caller } = about;
    let name = step.name();
    count(name);
    tracing::info!(target: "grantd::security", event = name, username, subject, fields = fields.join(","), caller);
}

/// Logs what somebody who may did about a client; `by_client` says that the client itself did, through that caller.
pub(crate) fn client(step: Step, client_id: &ClientId, by_client: bool, caller: &str) {
    let name = step.name();
    count(name);
    tracing::info!(target: "grantd::security", event = name, client_id = client_id.as_str(), by_client, caller);
}
