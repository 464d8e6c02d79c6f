//! `[log]`: logs on standard error. Traces are configured by the standard `OTEL_*` variables.

use grantd_telemetry::{DEFAULT_LOG_FILTER, LogFormat, check_filter};
use serde::{Deserialize, Serialize};

use super::problems::Problems;

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Log {
    /// `auto`, `pretty` or `json`.
    pub(crate) format: String,
    /// What is logged, as `tracing` directives.
    pub(crate) filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto.to_string(), filter: DEFAULT_LOG_FILTER.to_owned() }
    }
}

impl Log {
    pub(super) fn check(&self, problems: &mut Problems) {
        if let Err(error) = self.format.parse::<LogFormat>() {
            problems.add("log.format", error.to_string());
        }
        if let Err(error) = check_filter(&self.filter) {
            problems.add("log.filter", error.to_string());
        }
    }

    /// As the telemetry wants it; checked above.
    pub(crate) fn format(&self) -> LogFormat {
        self.format.parse().unwrap_or_default()
    }
}
