//! `grantd config check`.
//!
//! 1. With `--for` the configuration is loaded as that command loads it.
//! 2. Without, it must be what every command could read; then each of those that serve says whether it would start. One must.
//! 3. A service key is no part of a file that may be shown around: where only that is missing, it says so and is content.

use clap::ValueEnum as _;

use crate::{
    cli::{Check, Server},
    config::{Config, ConfigError, Purpose, SERVICE_KEY, Variables},
    error::{self, Error},
    owner, terminal,
};

/// Judges the configuration, and prints what is in force.
pub(crate) fn check(flags: &Check) -> Result<(), Error> {
    let variables = Variables::of_process();
    if let Some(command) = flags.command {
        let config = flags.load(command.purpose(), &variables)?;
        // What the environment says beside the configuration.
        grantd_telemetry::check(&config.telemetry("grantd")).map_err(|error| Error::Usage(error::chain(&error)))?;
        if command != Server::Facade {
            owner::check_variables()?;
        }
        return show(&config, &[format!("The configuration is good for `{command}`.")]);
    }
    let config = flags.load(Purpose::Tool, &variables)?;
    let with_a_key = variables.with_a_service_key();
    let (mut good, mut not) = (Vec::new(), Vec::new());
    for command in Server::value_variants() {
        match flags.load(command.purpose(), &variables) {
            Ok(_) => good.push(format!("The configuration is good for `{command}`.")),
            Err(ConfigError(problems)) => {
                match with_a_key.as_ref().map(|variables| flags.load(command.purpose(), variables)) {
                    Some(Ok(_)) => {
                        good.push(format!("The configuration is good for `{command}`, once {SERVICE_KEY} is set."));
                    }
                    _ => not.extend(problems.into_iter().map(|problem| format!("for `{command}`: {problem}"))),
                }
            }
        }
    }
    if good.is_empty() {
        return Err(ConfigError(not).into());
    }
    good.extend(not.into_iter().map(|problem| format!("Not {problem}")));
    show(&config, &good)
}

fn show(config: &Config, said: &[String]) -> Result<(), Error> {
    let text = toml::to_string_pretty(config).map_err(Error::because("cannot write the configuration as TOML"))?;
    let said: String = said.iter().map(|line| format!("# {}\n", line.replace('\n', "\n# "))).collect();
    terminal::say(&format!("{said}#\n# This is in force:\n\n{}", text.trim_end()));
    Ok(())
}
