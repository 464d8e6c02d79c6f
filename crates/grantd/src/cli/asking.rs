//! Commands that ask a running server from outside, as a client or an orchestrator does.

use std::path::PathBuf;

use clap::Args;

/// `grantd doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[arg(
        value_name = "URL",
        help = "The MCP endpoint, as one would type it into a client, such as https://mcp.example.com/mcp"
    )]
    pub(crate) url: String,
    /// Go on through sign-in, tokens, refresh and revocation: prints an address to open in a browser on this machine
    #[arg(long)]
    pub(crate) sign_in: bool,
    /// Write the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// How many seconds one request may take
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=120))]
    pub(crate) timeout: u64,
    /// Certificate authorities to believe, beside the usual ones and those of this machine (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The client metadata document to try where those are let in [default: that of Claude Code]
    #[arg(long, value_name = "URL")]
    pub(crate) client_document: Option<String>,
}

/// `grantd health`.
#[derive(Debug, Args)]
pub(crate) struct Health {
    #[arg(help = "What to ask, such as http://127.0.0.1:8080/readyz")]
    pub(crate) url: String,
    /// How many seconds the answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) timeout: u64,
}
