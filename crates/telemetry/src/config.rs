//! What the operator chooses about logs; the exporter is configured by the standard `OTEL_*` variables alone.

use std::fmt;
use std::str::FromStr;

/// grantd's own crates at `INFO`, everything else at `WARN`.
///
/// Of the store client this leaves its warnings and switches off its spans, one for every command.
pub const DEFAULT_LOG_FILTER: &str = "warn,grantd=info";

/// How a process logs, and under what name it appears in traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// `service.name`, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` names the service.
    pub service_name: String,
    /// The form of a log line.
    pub log_format: LogFormat,
    /// `EnvFilter` directives; a non-empty `RUST_LOG` replaces them.
    pub log_filter: String,
    /// Whether metrics can be scraped ([`Telemetry::scrape`](crate::Telemetry::scrape)), beside what goes over OTLP.
    pub scraped: bool,
}

impl TelemetryConfig {
    /// Automatic format and [`DEFAULT_LOG_FILTER`].
    #[must_use]
    pub fn new(service_name: impl Into<String>) -> Self {
        Self {
            service_name: service_name.into(),
            log_format: LogFormat::Auto,
            log_filter: DEFAULT_LOG_FILTER.to_owned(),
            scraped: false,
        }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// [`Pretty`](Self::Pretty) if stderr is a terminal, [`Json`](Self::Json) otherwise.
    #[default]
    Auto,
    /// One compact line for a person, in colour on a terminal.
    Pretty,
    /// One JSON object per line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Pretty => "pretty",
            Self::Json => "json",
        })
    }
}

impl FromStr for LogFormat {
    type Err = UnknownLogFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "auto" => Ok(Self::Auto),
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err(UnknownLogFormat),
        }
    }
}

/// The name of a log format is none of `auto`, `pretty` and `json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a log format is one of auto, pretty, json")]
pub struct UnknownLogFormat;
