//! The OTLP exporter and the threads it runs on.
//!
//! The batch processor's thread collects spans and drives each export; connections live on a one-thread tokio runtime
//! that belongs to the exporter alone. Both are marked as telemetry-suppressed, so nothing done there makes spans.

mod http_client;
mod settings;

use std::borrow::Cow;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, Key, KeyValue, global};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Certificate, ClientTlsConfig};

use self::http_client::RuntimeClient;
pub(crate) use self::settings::{Env, Settings};
use self::settings::{Protocol, Roots};
use crate::TelemetryError;

/// A running exporter.
#[derive(Debug)]
pub(crate) struct Exporter {
    provider: SdkTracerProvider,
    runtime: Runtime,
}

impl Exporter {
    /// Starts the threads and makes W3C Trace Context the process's propagator. Connects when there is something to
    /// send: a collector that is down does not keep grantd from starting.
    pub(crate) fn start(settings: Settings, service_name: Cow<'_, str>) -> Result<Self, TelemetryError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(2)
            .thread_name("grantd-otlp")
            .on_thread_start(|| std::mem::forget(Context::enter_telemetry_suppressed_scope()))
            .enable_all()
            .build()
            .map_err(TelemetryError::Runtime)?;
        let exporter = span_exporter(settings, &runtime)?;
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource(service_name)).build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        Ok(Self { provider, runtime })
    }

    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("grantd")
    }

    /// Sends what is queued, waiting at most `limit`.
    pub(crate) fn stop(self, limit: Duration) -> Result<(), TelemetryError> {
        let result = match self.provider.shutdown_with_timeout(limit) {
            Ok(()) | Err(OTelSdkError::AlreadyShutdown) => Ok(()),
            Err(error) => Err(TelemetryError::Flush(error)),
        };
        // Not a plain drop: that would block, which tokio refuses inside another runtime.
        self.runtime.shutdown_background();
        result
    }
}

fn span_exporter(settings: Settings, runtime: &Runtime) -> Result<SpanExporter, TelemetryError> {
    let Settings { endpoint, protocol, timeout } = settings;
    let exporter = match protocol {
        Protocol::Grpc(roots) => {
            // tonic spawns the channel's worker where it is built.
            let _entered = runtime.enter();
            let builder = SpanExporter::builder().with_tonic().with_timeout(timeout);
            let builder = if endpoint.starts_with("http://") { builder } else { builder.with_tls_config(tls(roots)?) };
            builder.with_endpoint(endpoint).build()?
        }
        Protocol::Http => SpanExporter::builder()
            .with_http()
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_timeout(timeout)
            .with_http_client(RuntimeClient::new(runtime.handle().clone(), timeout))
            .with_endpoint(endpoint)
            .build()?,
    };
    Ok(exporter)
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
