//! What the services of this process log: security events, by the grant that they are about.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use tracing::{
    Event,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt as _},
    registry,
};

/// An event of a grant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) name: String,
    /// Whether the grant was revoked by it.
    pub(crate) revoked: bool,
}

/// By grant, in order. All tests of this process log here, and no two have a grant in common.
static LOGGED: LazyLock<Mutex<HashMap<String, Vec<Logged>>>> = LazyLock::new(|| {
    let security = Targets::new().with_target("grantd::security", tracing::Level::INFO);
    tracing::subscriber::set_global_default(registry().with(Security.with_filter(security))).unwrap();
    Mutex::default()
});

/// From now on what is logged is kept.
pub(crate) fn listen() {
    LazyLock::force(&LOGGED);
}

/// What was logged of a grant.
pub(crate) fn of(grant_id: &str) -> Vec<Logged> {
    LOGGED.lock().unwrap().get(grant_id).cloned().unwrap_or_default()
}

/// How often an event of this name was logged of a grant.
pub(crate) fn count(grant_id: &str, name: &str) -> usize {
    of(grant_id).iter().filter(|logged| logged.name == name).count()
}

struct Security;

impl<S: tracing::Subscriber> Layer<S> for Security {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut read = Read::default();
        event.record(&mut read);
        let mut logged = LOGGED.lock().unwrap();
        logged.entry(read.grant_id).or_default().push(read.logged);
    }
}

#[derive(Default)]
struct Read {
    grant_id: String,
    logged: Logged,
}

impl Visit for Read {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "event" => self.logged.name = value.to_owned(),
            "grant_id" => self.grant_id = value.to_owned(),
            _ => {}
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "revoked" {
            self.logged.revoked = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
