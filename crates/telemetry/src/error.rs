//! Why telemetry could not be set up, or not be flushed.

use std::io;
use std::path::PathBuf;

use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::error::OTelSdkError;
use tracing_subscriber::util::TryInitError;

use crate::WrongDirective;

/// Why telemetry could not be set up, or not be flushed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter is not a list of `EnvFilter` directives.
    #[error("{from}: {wrong}")]
    Filter {
        /// Where the filter came from: `RUST_LOG` or the configuration.
        from: &'static str,
        /// What is wrong with it.
        wrong: WrongDirective,
    },
    /// An `OTEL_*` variable has a value that cannot be honoured.
    #[error("{variable}: {reason}")]
    Setting {
        /// The variable.
        variable: &'static str,
        /// What is wrong, and what would do.
        reason: String,
    },
    /// The certificate that `OTEL_EXPORTER_OTLP_CERTIFICATE` names cannot be read.
    #[error("the collector's CA certificate {} cannot be read", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The OTLP exporter refuses its configuration.
    #[error("the OTLP exporter cannot be built")]
    Exporter(#[from] ExporterBuildError),
    /// Metrics cannot be offered to a scraper.
    #[error("metrics cannot be scraped")]
    Scrape(#[source] OTelSdkError),
    /// The exporter's own runtime cannot be started.
    #[error("the OTLP exporter's runtime cannot be started")]
    Runtime(#[source] io::Error),
    /// The process already has a `tracing` subscriber or a `log` logger.
    #[error("telemetry is already set up in this process")]
    AlreadyInstalled(#[from] TryInitError),
    /// Spans, metrics or log records may have been lost: an exporter did not finish in time.
    #[error("the last telemetry was not flushed")]
    Flush(#[source] OTelSdkError),
}
