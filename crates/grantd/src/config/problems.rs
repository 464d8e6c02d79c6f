//! What is wrong with a configuration, gathered so that everything is said at once.

use std::fmt;

/// One problem at one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The key, such as `tokens.access_ttl` or `resource[0].paths`.
    pub(crate) key: String,
    /// What is wrong, why, and what to change.
    pub(crate) text: String,
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// Notes a problem.
    pub(crate) fn add(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.0.push(Problem { key: key.into(), text: text.into() });
    }

    /// Notes a problem unless `holds`.
    pub(crate) fn require(&mut self, holds: bool, key: impl Into<String>, text: impl Into<String>) {
        if !holds {
            self.add(key, text);
        }
    }
}

/// A configuration that cannot be used: exit code 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError(pub(crate) Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
