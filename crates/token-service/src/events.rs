//! Security events as structured logs, and how many there were of each (`grantd.security.events`). Names are stable; no field
//! ever holds a secret, and the count knows nothing but the name.
//!
//! Nothing else logs under this target, and what is logged here is counted: a test reads the sources (`tests/metrics.rs`).

use std::sync::LazyLock;

use grantd_core::Event;
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
