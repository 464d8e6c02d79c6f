//! Products that no test can drive: their requests as they were measured, replayed against the real binary.
//!
//! Each test goes the whole way of one product: its first probe, discovery, registration or metadata document, authorization
//! with its redirect URI, a person who agrees, its way of authenticating, a call through the gate, and a refresh as it does
//! it. "Source" means that the product's published source was read, "documents" that its makers or its users describe it,
//! "ran" that the product itself was run against a server that logged its requests.
//!
//! | product | what its requests rest on | test |
//! | --- | --- | --- |
//! | Claude.ai, Desktop, mobile | documents: asks from a server, with `client_secret_post`, a new client for each connection | `hosted` |
//! | ChatGPT | documents: asks from a server; its document prefers `private_key_jwt` and lists `none` | `hosted` |
//! | Perplexity | its makers document its callbacks; nothing else is known, so the rest is that of any hosted connector | `hosted` |
//! | Copilot Studio | documents: its callback is a host of Azure; the rest is that of any hosted connector | `hosted` |
//! | n8n | documents: registers one https callback, and has been seen to send another | `hosted` |
//! | Cursor | documents: registers three kinds of redirect URIs at once, as a `web` application; the TypeScript SDK | `editors` |
//! | VS Code | source: four redirect URIs, `device_code`, a loopback port that is not registered | `editors` |
//! | Zed | source: needs S256, registers for each flow and for `authorization_code` only | `editors` |
//! | Cline | documents: a `vscode:` redirect URI with a hash; the TypeScript SDK | `editors` |
//! | Codex | ran: rmcp, GET probes, an ephemeral port; versions that send `resource` twice or not at all | `terminals` |
//! | Goose | source: rmcp, refreshes at every start | `terminals` |
//! | Gemini CLI | source: asks for every scope of the server; may register an empty scope | `terminals` |
//! | Copilot CLI | documents: a loopback root path, and no scope | `terminals` |
//! | C# SDK | source: empty secrets, no `state` | `terminals` |
//! | Go SDK, with a document | ran: Basic with an encoded URL and no secret | `terminals` |
//!
//! Documents are served as their makers publish them, at the same path, from a site of this machine: so only `client_id` is
//! another.

mod editors;
mod hosted;
mod terminals;
mod world;

use serde_json::{Value, json};

use crate::harness::client::refused;
use world::{Auth, World};
