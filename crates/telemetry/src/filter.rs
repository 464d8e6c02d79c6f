//! What is logged, and what is exported.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::registry::Registry;

use crate::TelemetryError;
use crate::export::Env;

/// Our crates: the target of a span or event is its module, so all of them start like this.
const OURS: &str = "grantd";

/// The crates a batch of spans passes on its way out. What they emit must not become part of the next batch, and
/// below `INFO` h2 and hyper print header values.
const TRANSPORT: [&str; 9] =
    ["h2", "hyper", "hyper_rustls", "hyper_util", "opentelemetry", "rustls", "tokio_util", "tonic", "tower"];

/// The operator's directives, of which two independent filters can be made.
#[derive(Debug)]
pub(crate) struct Directives {
    text: String,
    from: &'static str,
}

impl Directives {
    /// `RUST_LOG` if it says anything, else the configured filter.
    pub(crate) fn choose(configured: &str, env: &impl Env) -> Self {
        match env.get("RUST_LOG") {
            Some(text) => Self { text, from: "RUST_LOG" },
            None => Self { text: configured.to_owned(), from: "the configured log filter" },
        }
    }

    fn parse(&self) -> Result<EnvFilter, TelemetryError> {
        parse(&self.text).map_err(|wrong| TelemetryError::Filter { from: self.from, wrong })
    }

    /// What reaches stderr.
    pub(crate) fn logged(&self) -> Result<EnvFilter, TelemetryError> {
        self.parse()
    }

    /// What of the log reaches the collector: the same, but for what sending it makes.
    pub(crate) fn sent(&self) -> Result<impl Filter<Registry> + Send + Sync + use<>, TelemetryError> {
        let not_transport = filter_fn(|metadata| !is_transport(metadata)).with_max_level_hint(LevelFilter::TRACE);
        Ok(FilterExt::<Registry>::and(self.parse()?, not_transport))
    }

    /// What spans reach the collector: see the crate's documentation.
    pub(crate) fn exported(&self) -> Result<impl Filter<Registry> + Send + Sync + use<>, TelemetryError> {
        let ours = filter_fn(is_ours).with_max_level_hint(LevelFilter::INFO);
        let not_transport = filter_fn(|metadata| !is_transport(metadata)).with_max_level_hint(LevelFilter::TRACE);
        Ok(FilterExt::<Registry>::or(self.parse()?, ours).and(not_transport))
    }
}

/// Looks at a filter as it stands in a configuration.
///
/// # Errors
///
/// The directive that is none.
pub fn check_filter(text: &str) -> Result<(), WrongDirective> {
    parse(text).map(drop)
}

/// One directive of a log filter is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{directive:?} is no directive: write a level, or a module and a level, with commas between, such as \"warn,grantd=info\""
)]
pub struct WrongDirective {
    directive: String,
}

fn parse(text: &str) -> Result<EnvFilter, WrongDirective> {
    EnvFilter::builder().parse(text).map_err(|_| {
        // Its own error does not say which.
        let wrong = text.split(',').find(|directive| EnvFilter::builder().parse(directive).is_err());
        WrongDirective { directive: wrong.unwrap_or(text).to_owned() }
    })
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO && metadata.target().starts_with(OURS)
}

fn is_transport(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    TRANSPORT.contains(&krate) || krate.starts_with("opentelemetry")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "RUST_LOG").then(|| "debug".to_owned())
    }

    #[test]
    fn rust_log_replaces_the_configured_filter() {
        assert_eq!(Directives::choose("info", &env).text, "debug");
        assert_eq!(Directives::choose("info", &|_: &str| None).text, "info");
        assert_eq!(Directives::choose("info", &|_: &str| Some(String::new())).text, "info");
    }

    #[test]
    fn a_bad_filter_says_where_it_came_from() {
        let error = Directives { text: "warn,grantd=loud".to_owned(), from: "RUST_LOG" }.logged().unwrap_err();
        assert!(error.to_string().starts_with("RUST_LOG: \"grantd=loud\" is no directive"), "{error}");
    }
}
