//! The `OTEL_*` variables that decide whether and how each signal is exported.
//!
//! Only what the OpenTelemetry libraries do not read, or would read differently, is read here: they have no notion of
//! «off unless an endpoint is set», and they fall back to a default where we refuse.

use std::path::PathBuf;
use std::time::Duration;

use crate::TelemetryError;

const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// What is exported: each has variables of its own, which go before the general ones.
#[derive(Debug)]
pub(crate) struct Signal {
    exporter: &'static str,
    endpoint: &'static str,
    protocol: &'static str,
    timeout: &'static str,
    certificate: &'static str,
    /// What OTLP over HTTP appends to a general endpoint.
    path: &'static str,
}

/// Spans.
pub(crate) const TRACES: Signal = Signal {
    exporter: "OTEL_TRACES_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    timeout: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    certificate: "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    path: "/v1/traces",
};

/// Metrics.
pub(crate) const METRICS: Signal = Signal {
    exporter: "OTEL_METRICS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    timeout: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    certificate: "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
    path: "/v1/metrics",
};

/// Log records.
pub(crate) const LOGS: Signal = Signal {
    exporter: "OTEL_LOGS_EXPORTER",
    endpoint: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    protocol: "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
    timeout: "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
    certificate: "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
    path: "/v1/logs",
};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where variables are read from. An empty value is no value, as OpenTelemetry specifies.
pub(crate) trait Env {
    /// The variable's value.
    fn get(&self, name: &str) -> Option<String>;

    /// The first of `names` that has a value, with its name.
    fn first(&self, names: [&'static str; 2]) -> Option<(&'static str, String)> {
        names.into_iter().find_map(|name| self.get(name).map(|value| (name, value)))
    }
}

impl<F: Fn(&str) -> Option<String>> Env for F {
    fn get(&self, name: &str) -> Option<String> {
        self(name).filter(|value| !value.trim().is_empty())
    }
}

/// Where and how to export.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) endpoint: String,
    pub(crate) protocol: Protocol,
    pub(crate) timeout: Duration,
}

/// OTLP's transports.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// gRPC, trusting these roots if the endpoint is `https`.
    Grpc(Roots),
    /// Protobuf over HTTP/1.1, trusting the public roots if the endpoint is `https`.
    Http,
}

/// Whom to trust.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Roots {
    /// The public roots compiled in.
    Public,
    /// The certificates of this PEM file, and no others.
    File(PathBuf),
}

impl Settings {
    /// `None` if the signal is not to be exported.
    pub(crate) fn read(signal: &Signal, env: &impl Env) -> Result<Option<Self>, TelemetryError> {
        let disabled = env.get(SDK_DISABLED).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        if disabled || !otlp_chosen(signal, env)? {
            return Ok(None);
        }
        let own = env.get(signal.endpoint);
        let Some(endpoint) = own.clone().or_else(|| env.get(ENDPOINT)) else {
            return Ok(None);
        };
        let protocol = protocol(signal, env)?;
        let endpoint = match protocol {
            Protocol::Http if own.is_none() => format!("{}{}", endpoint.trim_end_matches('/'), signal.path),
            _ => endpoint,
        };
        Ok(Some(Self { endpoint, protocol, timeout: timeout(signal, env)? }))
    }
}

fn otlp_chosen(signal: &Signal, env: &impl Env) -> Result<bool, TelemetryError> {
    match env.get(signal.exporter).as_deref().map(str::trim) {
        None | Some("otlp") => Ok(true),
        Some("none") => Ok(false),
        Some(other) => Err(refused(signal.exporter, format!("«{other}» is not supported; use otlp or none"))),
    }
}

fn protocol(signal: &Signal, env: &impl Env) -> Result<Protocol, TelemetryError> {
    let certificate = env.first([signal.certificate, CERTIFICATE]);
    let Some((variable, value)) = env.first([signal.protocol, PROTOCOL]) else {
        return Ok(Protocol::Grpc(roots(certificate)));
    };
    match (value.trim().to_ascii_lowercase().as_str(), certificate) {
        ("grpc", certificate) => Ok(Protocol::Grpc(roots(certificate))),
        ("http/protobuf", None) => Ok(Protocol::Http),
        ("http/protobuf", Some((variable, _))) => {
            Err(refused(variable, "a CA certificate is supported with grpc only, not with http/protobuf".to_owned()))
        }
        _ => Err(refused(variable, format!("«{value}» is not supported; use grpc or http/protobuf"))),
    }
}

fn roots(certificate: Option<(&'static str, String)>) -> Roots {
    certificate.map_or(Roots::Public, |(_, path)| Roots::File(path.into()))
}

fn timeout(signal: &Signal, env: &impl Env) -> Result<Duration, TelemetryError> {
    match env.first([signal.timeout, TIMEOUT]) {
        None => Ok(DEFAULT_TIMEOUT),
        Some((variable, value)) => match value.trim().parse() {
            Ok(milliseconds) if milliseconds > 0 => Ok(Duration::from_millis(milliseconds)),
            _ => Err(refused(variable, format!("«{value}» is not a number of milliseconds above zero"))),
        },
    }
}

fn refused(variable: &'static str, reason: String) -> TelemetryError {
    TelemetryError::Setting { variable, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, TelemetryError> {
        read_for(&TRACES, variables)
    }

    fn read_for(signal: &Signal, variables: &[(&str, &str)]) -> Result<Option<Settings>, TelemetryError> {
        Settings::read(signal, &|name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn error(variables: &[(&str, &str)]) -> String {
        read(variables).unwrap_err().to_string()
    }

    const AT: (&str, &str) = (ENDPOINT, "http://collector:4317");

    #[test]
    fn nothing_is_exported_unless_asked_for() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[(ENDPOINT, "")]).unwrap(), None);
        assert_eq!(read(&[AT, (SDK_DISABLED, "TRUE")]).unwrap(), None);
        assert_eq!(read(&[AT, (TRACES.exporter, "none")]).unwrap(), None);
        assert!(read(&[AT, (SDK_DISABLED, "false"), (TRACES.exporter, "otlp")]).unwrap().is_some());
    }

    #[test]
    fn grpc_is_the_default() {
        let settings = read(&[AT]).unwrap().unwrap();
        assert_eq!(settings.protocol, Protocol::Grpc(Roots::Public));
        assert_eq!(settings.endpoint, "http://collector:4317");
        assert_eq!(settings.timeout, DEFAULT_TIMEOUT);
    }

    #[test]
    fn what_is_said_of_traces_goes_first() {
        let settings = read(&[
            AT,
            (TRACES.endpoint, "http://traces:1/custom"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.endpoint, "http://traces:1/custom");
        assert_eq!(settings.protocol, Protocol::Http);
        assert_eq!(settings.timeout, Duration::from_millis(2500));
    }

    #[test]
    fn the_general_http_endpoint_gets_the_path_of_traces() {
        let settings = read(&[(ENDPOINT, "http://c:4318/"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
        assert_eq!(settings.unwrap().unwrap().endpoint, "http://c:4318/v1/traces");
    }

    #[test]
    fn each_signal_has_its_own_say() {
        let both = [AT, (PROTOCOL, "http/protobuf"), (METRICS.endpoint, "http://m:9/x"), (LOGS.exporter, "none")];
        let endpoint = |signal| read_for(signal, &both).unwrap().map(|settings| settings.endpoint);
        assert_eq!(endpoint(&TRACES).unwrap(), "http://collector:4317/v1/traces");
        assert_eq!(endpoint(&METRICS).unwrap(), "http://m:9/x");
        assert_eq!(endpoint(&LOGS), None);
        let refused = read_for(&METRICS, &[AT, (METRICS.exporter, "prometheus")]).unwrap_err();
        assert!(refused.to_string().starts_with("OTEL_METRICS_EXPORTER: "), "{refused}");
    }

    #[test]
    fn a_private_ca_goes_with_grpc() {
        let ca = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem");
        assert_eq!(read(&[AT, ca]).unwrap().unwrap().protocol, Protocol::Grpc(Roots::File("/etc/ca.pem".into())));
        assert!(error(&[AT, ca, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]).contains("grpc only"));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        assert_eq!(
            error(&[AT, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")]),
            "OTEL_EXPORTER_OTLP_PROTOCOL: «http/json» is not supported; use grpc or http/protobuf"
        );
        assert!(error(&[AT, (TRACES.exporter, "zipkin")]).starts_with("OTEL_TRACES_EXPORTER: "));
        assert!(error(&[AT, ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")]).starts_with("OTEL_EXPORTER_OTLP_TIMEOUT: "));
        assert!(error(&[AT, ("OTEL_EXPORTER_OTLP_TIMEOUT", "0")]).starts_with("OTEL_EXPORTER_OTLP_TIMEOUT: "));
    }
}
