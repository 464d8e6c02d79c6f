//! Metrics: what a scraper is answered, and the duration of gRPC calls served.
//!
//! Instruments come from the OpenTelemetry API (`opentelemetry::global::meter("grantd")`), wherever something is counted;
//! this crate says where the numbers go. They must be made after [`init`](crate::init()): before it they count for nobody.
//!
//! No label may come from outside: a peer would make series without end. Ids, names, paths and addresses stay out.

mod grpc;

use opentelemetry_prometheus::PrometheusExporter;
use prometheus::{Encoder as _, Registry, TextEncoder};

pub use self::grpc::{GrpcServerMetrics, Measured, MeasuredFuture};
use crate::TelemetryError;

/// All metrics of the process, for Prometheus. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scrape(Registry);

/// The content type of [`Scrape::text`].
pub const SCRAPE_CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

impl Scrape {
    /// The numbers as they are now, in Prometheus' text format (0.0.4).
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.0.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// The reader behind a [`Scrape`].
pub(crate) fn scraped() -> Result<(PrometheusExporter, Scrape), TelemetryError> {
    let registry = Registry::new();
    let exporter = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        // Every instrument is grantd's own: the same label everywhere says nothing.
        .scope_info_enabled(false)
        .build()
        .map_err(TelemetryError::Scrape)?;
    Ok((exporter, Scrape(registry)))
}
