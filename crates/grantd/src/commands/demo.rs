//! `grantd demo`: `serve`, with an MCP server of its own, and a word on what to do next.

use super::serve::Running;
use crate::{
    config::Config,
    demo::{next_steps, upstream},
    drain::Drain,
    error::Error,
    http::operations::Operations,
    terminal,
};

/// Runs until it is told to stop.
pub(crate) async fn run(config: &Config, drain: Drain, operations: &Operations) -> Result<(), Error> {
    let mut config = config.clone();
    let upstream = upstream::start(drain.clone()).await?;
    for resource in &mut config.resource {
        resource.upstream = Some(upstream.url.clone());
    }
    let running = Running::start(&config, &drain, operations).await?;
    terminal::say(&next_steps::text(&config));
    let outcome = running.until_stopped(drain).await;
    upstream.task.abort();
    outcome
}
