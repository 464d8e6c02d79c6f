//! What `grantd demo` adds to `serve`: an MCP server that others could have written ([`server`] and its listener,
//! [`upstream`]), and what to do next ([`next_steps`]).

mod identity;
pub(crate) mod next_steps;
mod server;
pub(crate) mod upstream;
