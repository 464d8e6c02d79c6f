//! The exporter's own spans and events are not exported, whatever the filter.

#[cfg(test)]
mod support;

use std::time::Duration;

use grantd_telemetry::init_from;
use support::{Collector, PATIENCE, config, exporting_to};

/// What the transport says of itself at its most talkative, without drowning the test's output.
const FILTER: &str = "warn,grantd=debug,h2::codec=trace,tonic=trace,hyper=trace";

#[test]
fn exporting_makes_nothing_to_export() {
    let collectors = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (collector, address) = collectors.block_on(Collector::start());
    let telemetry = init_from(config(FILTER), exporting_to(address)).unwrap();

    tracing::info_span!(target: "grantd_test", "first").in_scope(|| tracing::warn!(target: "grantd_test", "noted"));
    tracing::debug_span!(target: "grantd_test", "detail").in_scope(|| ());
    tracing::warn_span!(target: "h2::codec", "frame").in_scope(|| ());
    tracing::warn_span!(target: "opentelemetry_sdk", "own").in_scope(|| ());
    // The first batch goes out when the batch processor's interval ends; what sending it made would go with the last.
    for _ in 0..PATIENCE.as_millis() / 50 {
        std::thread::sleep(Duration::from_millis(50));
        if !collector.batches().is_empty() {
            break;
        }
    }
    assert_eq!(collector.batches().len(), 1);
    telemetry.shutdown().unwrap();

    let mut names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    names.sort();
    assert_eq!(names, ["detail", "first"]);
    assert_eq!(collector.batches().len(), 1);
}
