//! What the facade counts: calls of the services that were sent again, that found no place, and that are under way.
//!
//! Labels are the names of RPCs, which the code fixes.

use std::sync::Arc;

use opentelemetry::{KeyValue, global, metrics::Counter};

use crate::app::App;

/// Counted where it happens: seldom.
pub(crate) struct Metrics {
    pub(crate) retried: Counter<u64>,
    pub(crate) shed: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let counter = |name, text| global::meter("grantd").u64_counter(name).with_description(text).build();
        Self {
            retried: counter("grantd.facade.calls.retried", "Calls of the services that were sent again"),
            shed: counter("grantd.facade.calls.shed", "Requests answered 503 because too many calls were under way"),
        }
    }
}

/// Says how many calls are under way, whenever somebody asks, for as long as the facade is there.
pub(crate) fn watch(app: &Arc<App>) {
    let app = Arc::downgrade(app);
    let _ = global::meter("grantd")
        .u64_observable_gauge("grantd.facade.calls")
        .with_description("Calls of the services that are under way")
        .with_callback(move |observer| {
            if let Some(app) = app.upgrade() {
                let (calls, sign_ins) = app.under_way();
                observer.observe(calls as u64, &[KeyValue::new("places", "calls")]);
                observer.observe(sign_ins as u64, &[KeyValue::new("places", "sign_ins")]);
            }
        })
        .build();
}
