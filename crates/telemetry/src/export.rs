//! The OTLP exporters and the threads they run on.
//!
//! For each signal a thread of the SDK collects and drives each export; connections live on a one-thread tokio runtime that
//! belongs to the exporters alone. All are marked as telemetry-suppressed, so nothing done there is telemetry again.

mod http_client;
mod settings;

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, Key, KeyValue, global};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tonic::transport::{Certificate, ClientTlsConfig};

use self::http_client::RuntimeClient;
pub(crate) use self::settings::{Env, LOGS, METRICS, Settings, TRACES};
use self::settings::{Protocol, Roots};
use crate::TelemetryError;

/// An exporter of a signal. The builders of the three have the same methods, and no trait in common.
macro_rules! build {
    ($exporter:ident, $settings:expr, $runtime:expr) => {{
        let Settings { endpoint, protocol, timeout } = $settings;
        match protocol {
            Protocol::Grpc(roots) => {
                // tonic spawns the channel's worker where it is built.
                let _entered = $runtime.enter();
                let builder = $exporter::builder().with_tonic().with_timeout(timeout);
                let builder =
                    if endpoint.starts_with("http://") { builder } else { builder.with_tls_config(tls(roots)?) };
                builder.with_endpoint(endpoint).build()?
            }
            Protocol::Http => $exporter::builder()
                .with_http()
                .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                .with_timeout(timeout)
                .with_http_client(RuntimeClient::new($runtime.handle().clone(), timeout))
                .with_endpoint(endpoint)
                .build()?,
        }
    }};
}

/// What is exported, and how.
#[derive(Debug)]
pub(crate) struct Exports {
    pub(crate) traces: Option<Settings>,
    pub(crate) metrics: Option<Settings>,
    pub(crate) logs: Option<Settings>,
}

impl Exports {
    pub(crate) fn read(env: &impl Env) -> Result<Self, TelemetryError> {
        Ok(Self {
            traces: Settings::read(&TRACES, env)?,
            metrics: Settings::read(&METRICS, env)?,
            logs: Settings::read(&LOGS, env)?,
        })
    }

    fn is_empty(&self) -> bool {
        self.traces.is_none() && self.metrics.is_none() && self.logs.is_none()
    }
}

/// What runs: a provider for each signal that goes somewhere.
#[derive(Debug, Default)]
pub(crate) struct Exporter {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    logs: Option<SdkLoggerProvider>,
    /// None where nothing goes over OTLP.
    runtime: Option<Runtime>,
}

impl Exporter {
    /// Starts the threads and makes W3C Trace Context the process's propagator. Connects when there is something to
    /// send: a collector that is down does not keep grantd from starting.
    ///
    /// `scraped` is what reads metrics beside OTLP, if anything does.
    pub(crate) fn start(
        exports: Exports,
        scraped: Option<opentelemetry_prometheus::PrometheusExporter>,
        service_name: Cow<'_, str>,
    ) -> Result<Self, TelemetryError> {
        if exports.is_empty() && scraped.is_none() {
            return Ok(Self::default());
        }
        let runtime = if exports.is_empty() { None } else { Some(own_runtime()?) };
        let resource = resource(service_name);
        let mut exporter = Self::default();
        if let (Some(settings), Some(runtime)) = (exports.traces, &runtime) {
            let spans = build!(SpanExporter, settings, runtime);
            let provider = SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone());
            exporter.traces = Some(provider.build());
            global::set_text_map_propagator(TraceContextPropagator::new());
        }
        if let (Some(settings), Some(runtime)) = (exports.logs, &runtime) {
            let records = build!(LogExporter, settings, runtime);
            let provider = SdkLoggerProvider::builder().with_batch_exporter(records).with_resource(resource.clone());
            exporter.logs = Some(provider.build());
        }
        let mut readers: Vec<Box<dyn FnOnce(MeterProviderBuilder) -> MeterProviderBuilder>> = Vec::new();
        if let (Some(settings), Some(runtime)) = (exports.metrics, &runtime) {
            let reader = PeriodicReader::builder(build!(MetricExporter, settings, runtime)).build();
            readers.push(Box::new(|builder| builder.with_reader(reader)));
        }
        if let Some(scraped) = scraped {
            readers.push(Box::new(|builder| builder.with_reader(scraped)));
        }
        if !readers.is_empty() {
            let builder = SdkMeterProvider::builder().with_resource(resource);
            let provider = readers.into_iter().fold(builder, |builder, add| add(builder)).build();
            global::set_meter_provider(provider.clone());
            exporter.metrics = Some(provider);
        }
        exporter.runtime = runtime;
        Ok(exporter)
    }

    pub(crate) fn tracer(&self) -> Option<SdkTracer> {
        self.traces.as_ref().map(|provider| provider.tracer("grantd"))
    }

    pub(crate) fn logs(&self) -> Option<&SdkLoggerProvider> {
        self.logs.as_ref()
    }

    /// Sends what is queued, waiting at most `limit` for all of it.
    pub(crate) fn stop(self, limit: Duration) -> Result<(), TelemetryError> {
        let until = Instant::now() + limit;
        let left = || until.saturating_duration_since(Instant::now());
        let ended = [
            self.traces.map(|provider| provider.shutdown_with_timeout(left())),
            self.metrics.map(|provider| provider.shutdown_with_timeout(left())),
            self.logs.map(|provider| provider.shutdown_with_timeout(left())),
        ];
        if let Some(runtime) = self.runtime {
            // Not a plain drop: that would block, which tokio refuses inside another runtime.
            runtime.shutdown_background();
        }
        let failed = |result: OTelSdkResult| match result {
            Ok(()) | Err(OTelSdkError::AlreadyShutdown) => None,
            Err(error) => Some(error),
        };
        match ended.into_iter().flatten().find_map(failed) {
            None => Ok(()),
            Some(error) => Err(TelemetryError::Flush(error)),
        }
    }
}

fn own_runtime() -> Result<Runtime, TelemetryError> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(2)
        .thread_name("grantd-otlp")
        .on_thread_start(|| std::mem::forget(Context::enter_telemetry_suppressed_scope()))
        .enable_all()
        .build()
        .map_err(TelemetryError::Runtime)
}

fn tls(roots: Roots) -> Result<ClientTlsConfig, TelemetryError> {
    match roots {
        Roots::Public => Ok(ClientTlsConfig::new().with_webpki_roots()),
        Roots::File(path) => match std::fs::read(&path) {
            Ok(pem) => Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))),
            Err(source) => Err(TelemetryError::Certificate { path, source }),
        },
    }
}

/// The configured name, unless `OTEL_RESOURCE_ATTRIBUTES` has one; the SDK's own guess counts as none.
fn resource(service_name: Cow<'_, str>) -> Resource {
    let detected = Resource::builder().build().get(&Key::from_static_str("service.name"));
    let named = detected.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let builder = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if named { builder.build() } else { builder.with_service_name(service_name.into_owned()).build() }
}
