//! grantd: OAuth 2.1 in front of MCP servers. The binary: command line, configuration, wiring, shutdown.
//!
//! 1. [`cli`] reads the command line, [`config`] what is configured; what cannot be used exits 64.
//! 2. Telemetry is set up first, so that everything after it is logged, and flushed last, whatever happened.
//! 3. A command of [`commands`] builds the parts and runs them until it is told to stop ([`drain`]).
//!
//! No rule lives here: those are in `grantd-core`; the protocols are in the facade, the gate and the token service.

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    cli::{Cli, Command, ConfigCommand},
    config::{Config, Purpose},
    drain::Drain,
    error::Error,
    http::operations::Operations,
};

mod admin;
mod cli;
mod commands;
mod config;
mod data_dir;
mod demo;
mod drain;
mod error;
mod http;
mod open_files;
mod owner;
mod rpc;
mod store;
mod terminal;

/// Every call allocates, in many threads at once. musl's allocator, with which the image is linked, has one lock for all of
/// them; beside glibc's this one takes a tenth off the processor time of a bearer check.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::try_parse().map(run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => error.report(),
        Err(usage) => {
            // To standard output where help was asked for, to standard error otherwise.
            let _ = usage.print();
            if usage.use_stderr() { ExitCode::from(error::USAGE) } else { ExitCode::SUCCESS }
        }
    }
}

fn run(cli: Cli) -> Result<(), Error> {
    match cli.command {
        Command::Serve(flags) => serve("grantd", &flags.load()?, commands::serve::run),
        Command::Demo(flags) => serve("grantd", &flags.load(Purpose::Demo)?, commands::demo::run),
        Command::TokenService(flags) => {
            serve("grantd-token-service", &flags.load(Purpose::TokenService)?, commands::token_service::run)
        }
        Command::Facade(flags) => serve("grantd-facade", &flags.load()?, commands::facade::run),
        Command::User(command) => runtime()?.block_on(commands::user::run(command)),
        Command::Client(command) => runtime()?.block_on(commands::client::run(command)),
        Command::Grant(command) => runtime()?.block_on(commands::grant::run(command)),
        Command::Backup(command) => runtime()?.block_on(commands::backup::run(command)),
        Command::Doctor(command) => runtime()?.block_on(commands::doctor::run(command)),
        Command::Health(command) => runtime()?.block_on(commands::health::run(command)),
        Command::Config(ConfigCommand::Check(flags)) => commands::config::check(&flags),
    }
}

/// Runs a service until it is told to stop.
fn serve(
    name: &str,
    config: &Config,
    service: impl AsyncFnOnce(&Config, Drain, &Operations) -> Result<(), Error>,
) -> Result<(), Error> {
    let telemetry =
        grantd_telemetry::init(config.telemetry(name)).map_err(|error| Error::Usage(error::chain(&error)))?;
    open_files::allow(config.http.max_connections);
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let drain = Drain::on_signals(config.shutdown.pace())?;
        let operations = Operations::start(config.operations.listen, telemetry.scrape(), &drain).await?;
        service(config, drain, &operations).await
    });
    // A password hash that nobody waits for any more does not hold the exit up.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    if let Err(error) = telemetry.shutdown() {
        tracing::warn!(error = &error as &dyn std::error::Error, "the last traces, metrics or log records may be lost");
    }
    outcome
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(Error::because("cannot start the runtime"))
}
