//! `grantd config check`.

use crate::{config::Config, error::Error, terminal};

/// Prints what is in force. What cannot be used was refused before.
pub(crate) fn check(config: &Config) -> Result<(), Error> {
    let text = toml::to_string_pretty(config).map_err(Error::because("cannot write the configuration as TOML"))?;
    terminal::say(&format!("# The configuration is good. This is in force:\n\n{}", text.trim_end()));
    Ok(())
}
