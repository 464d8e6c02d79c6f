//! The subscriber of the process, and its end.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, registry};

use crate::export::{Env, Exporter, Exports};
use crate::filter::Directives;
use crate::metrics::{self, Scrape};
use crate::{TelemetryConfig, TelemetryError, format};

/// How long [`Telemetry::shutdown`], or dropping a [`Telemetry`], waits for the last batch.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// Sets up logs, traces and metrics for the process, reading `RUST_LOG` and `OTEL_*` from its environment.
///
/// Works inside and outside a tokio runtime.
///
/// # Errors
///
/// If a setting cannot be honoured, or telemetry is already set up.
pub fn init(config: TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    init_from(config, |name: &str| std::env::var(name).ok())
}

/// Whether [`init`] would take these settings and the environment of the process. Nothing is set up, and no file is read.
///
/// # Errors
///
/// If a setting cannot be honoured.
pub fn check(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let env = |name: &str| std::env::var(name).ok();
    Directives::choose(&config.log_filter, &env).logged()?;
    Exports::read(&env).map(drop)
}

/// [`init`], with the environment as an argument.
///
/// Settings that only the OpenTelemetry libraries read (`OTEL_EXPORTER_OTLP_HEADERS`, `…_COMPRESSION`, `…_INSECURE`,
/// `OTEL_BSP_*`, `OTEL_BLRP_*`, `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SPAN_*`) still come from the process.
///
/// # Errors
///
/// As for [`init`].
pub fn init_from(config: TelemetryConfig, env: impl Fn(&str) -> Option<String>) -> Result<Telemetry, TelemetryError> {
    let (dispatch, telemetry) = build(config, env)?;
    dispatch.try_init()?;
    Ok(telemetry)
}

/// [`init_from`] without making the subscriber the process's own: the caller scopes it, as a test does.
///
/// # Errors
///
/// If a setting cannot be honoured.
pub fn build(
    config: TelemetryConfig,
    env: impl Fn(&str) -> Option<String>,
) -> Result<(Dispatch, Telemetry), TelemetryError> {
    let directives = Directives::choose(&config.log_filter, &env);
    let stderr = format::lines(config.log_format, io::stderr().is_terminal(), io::stderr);
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = Vec::with_capacity(3);

    let (scraped, scrape) =
        if config.scraped { metrics::scraped().map(|(a, b)| (Some(a), Some(b)))? } else { (None, None) };
    let exporter = Exporter::start(Exports::read(&env)?, scraped, service_name(&config.service_name, &env))?;
    if let Some(tracer) = exporter.tracer() {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        layers.push(spans.with_filter(directives.exported()?).boxed());
    }
    // After the spans' layer: a line is formatted when the span it is logged in is already the current one.
    if let Some(provider) = exporter.logs() {
        let records = OpenTelemetryTracingBridge::new(provider);
        layers.push(records.with_filter(directives.sent()?).boxed());
    }
    layers.push(stderr.with_filter(directives.logged()?).boxed());

    Ok((Dispatch::new(registry().with(layers)), Telemetry { exporter: Some(exporter), scrape }))
}

fn service_name<'a>(configured: &'a str, env: &impl Env) -> std::borrow::Cow<'a, str> {
    env.get("OTEL_SERVICE_NAME").map_or(configured.into(), Into::into)
}

/// What runs of it. Keep it until the end of `main`.
#[derive(Debug)]
#[must_use = "dropping it ends the export of telemetry"]
pub struct Telemetry {
    exporter: Option<Exporter>,
    scrape: Option<Scrape>,
}

impl Telemetry {
    /// Whether spans are exported.
    #[must_use]
    pub fn exports_traces(&self) -> bool {
        self.exporter.as_ref().is_some_and(|exporter| exporter.tracer().is_some())
    }

    /// What a scraper is answered, where [`TelemetryConfig::scraped`] asked for it.
    #[must_use]
    pub fn scrape(&self) -> Option<Scrape> {
        self.scrape.clone()
    }

    /// Sends what is queued and stops the exporter; logs go on. What comes later is dropped.
    ///
    /// Blocks the calling thread, for at most [`SHUTDOWN_LIMIT`]. It may be called inside or outside a tokio runtime,
    /// a current-thread one included: nothing that it waits for runs on the caller's runtime. Call it last, when
    /// blocking harms nobody.
    ///
    /// # Errors
    ///
    /// If the exporter did not finish in time. A batch that the collector refused is not an error here; it is logged.
    pub fn shutdown(mut self) -> Result<(), TelemetryError> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), TelemetryError> {
        match self.exporter.take() {
            Some(exporter) => exporter.stop(SHUTDOWN_LIMIT),
            None => Ok(()),
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!(error = &error as &dyn std::error::Error, "telemetry did not end cleanly");
        }
    }
}
