//! Why a command failed, and the exit code that says so.

use std::{error::Error as StdError, fmt, process::ExitCode};

use crate::{config::ConfigError, terminal};

/// `EX_USAGE` of sysexits.h: the command line or the configuration must change before another try makes sense.
pub(crate) const USAGE: u8 = 64;

/// Any cause.
pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The configuration must change.
    Config(ConfigError),
    /// What was asked for on the command line, or in a variable, cannot be.
    Usage(String),
    /// It did not work.
    Failed {
        /// What was being done, or what went wrong.
        what: String,
        /// Why, when something else said so.
        cause: Option<Cause>,
    },
}

impl Error {
    /// A failure with nothing behind it.
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), cause: None }
    }

    /// A failure and its cause: for `map_err`.
    pub(crate) fn because<E: Into<Cause>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |cause| Self::Failed { what, cause: Some(cause.into()) }
    }

    /// Says it on standard error, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        terminal::complain(&format!("grantd: {self}"));
        match self {
            Self::Config(_) | Self::Usage(_) => ExitCode::from(USAGE),
            Self::Failed { .. } => ExitCode::FAILURE,
        }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl fmt::Display for Error {
    /// With the whole chain of causes: this is where it ends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "{error}"),
            Self::Usage(text) => f.write_str(text),
            Self::Failed { what, cause: None } => f.write_str(what),
            Self::Failed { what, cause: Some(cause) } => write!(f, "{what}: {}", chain(&**cause)),
        }
    }
}

impl StdError for Error {}

/// An error and its causes on one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        // Layers that only pass an error on repeat it.
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        next = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_told_once() {
        let error = Error::because::<std::io::Error>("cannot listen on 127.0.0.1:1")(std::io::Error::other("taken"));
        assert_eq!(error.to_string(), "cannot listen on 127.0.0.1:1: taken");
        assert_eq!(Error::failed("no").to_string(), "no");
    }
}
