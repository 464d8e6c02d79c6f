//! Logs, traces and metrics: where they go, and how a request's trace crosses grantd's processes.
//!
//! This crate owns the process's `tracing` subscriber, its meter provider, the OTLP exporters behind them, and the tower layers that open a
//! span for each request served or sent. It knows nothing of OAuth and depends on none of grantd's other crates.
//!
//! # Flow
//!
//! 1. `main` calls [`init`] once, before anything that logs. The log format, the filter and the standard `OTEL_*`
//!    variables are read and checked here; a setting that cannot be honoured is an error, not a silent default.
//! 2. Events go to **stderr**: one compact line each on a terminal, one JSON object each otherwise ([`LogFormat`]).
//!    Inside an exported span the JSON carries `trace_id` and `span_id`.
//! 3. If an OTLP endpoint is configured, spans and log records go to it in batches, and metrics every minute. The exporters
//!    run on threads of their own (one for each signal and a one-thread tokio runtime), so they depend on no runtime of ours
//!    and can flush after ours is gone. Metrics can be scraped as well ([`Scrape`]).
//! 4. An incoming HTTP or gRPC request passes [`HttpServerTrace`] or [`GrpcServerTrace`]: its `traceparent` becomes
//!    the parent of a server span. An outgoing gRPC call passes [`GrpcClientTrace`], which opens a client span and
//!    writes its `traceparent` into the request. Each span ends when the response head is known.
//! 5. At the end `main` calls [`Telemetry::shutdown`]. A [`Telemetry`] that is merely dropped, on an early return or
//!    a panic, flushes the same way.
//!
//! # What is never recorded
//!
//! Header values, query strings and bodies: they carry codes, tickets and tokens. Of an incoming request's headers only
//! `traceparent` is read (`tracestate` is free text from the peer and is dropped). Paths are cut at 128 characters.
//! What other spans and events say is up to the code that emits them.
//!
//! # What is exported
//!
//! Spans, and the events inside them. Spans and events of grantd's own crates are exported from `INFO` up whatever the
//! log filter says, so that quieter logs do not mean fewer traces; anything the log filter lets through besides is
//! exported too, except what the exporter's own transport (tonic, h2, hyper, …) emits. Log records are what stderr gets, with
//! the same exception, and without the fields of the spans around them. Metrics are what all crates count; of requests that
//! is how long they took, by names that this process knows beforehand.
//!
//! # What it leaves to others
//!
//! Naming spans inside a request, redacting what is logged (secrets are redacting types in `grantd-oauth-types`),
//! health endpoints, audit events, and deciding when to stop: `main` owns signals and calls `shutdown`.

mod config;
mod error;
mod export;
mod filter;
mod format;
mod init;
mod layer;
mod metrics;

pub use config::{DEFAULT_LOG_FILTER, LogFormat, TelemetryConfig, UnknownLogFormat};
pub use error::TelemetryError;
pub use filter::{WrongDirective, check_filter};
pub use init::{SHUTDOWN_LIMIT, Telemetry, build, check, init, init_from};
pub use layer::{GrpcClientTrace, GrpcServerTrace, HttpServerTrace, ResponseFuture, Traced};
pub use metrics::{GrpcServerMetrics, Measured, MeasuredFuture, SCRAPE_CONTENT_TYPE, Scrape};
