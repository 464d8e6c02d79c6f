//! Plays an MCP client against a running deployment, whoever made it, and says what would break which client.
//!
//! 1. [`Doctor`] asks, one request after the other, as clients do: the MCP endpoint without a token, the metadata, a
//!    registration, the authorization and the token endpoint with requests that are good and bad (`probe`).
//! 2. Every exchange is kept as an [`Observation`]; all of them are a [`Visit`].
//! 3. [`check`] judges the visit: plain functions, without a network (`checks`). Each [`Finding`] has a [`Code`] that never
//!    changes, and says whom it breaks, why, and what to do.
//! 4. With a person at hand it goes on through sign-in, tokens, refresh and revocation ([`Doctor::sign_in`]).
//!
//! It is polite: a bounded number of requests, none in parallel, each bounded in time and size; one client is registered,
//! and deleted again where the server offers that (RFC 7592). What the server gives it in confidence is shown nowhere.
//!
//! Who fails at which fault was measured, by driving the clients against a server with that one fault; where it was only
//! read or heard of, [`Facts`] says so. Left to others: the command line and what a person sees there.

mod challenge;
mod checks;
mod clients;
mod code;
mod exchange;
mod finding;
mod observation;
mod probe;
mod redirected;
mod report;
mod secret;
mod tls;
mod visit;

pub use checks::check;
pub use clients::Client;
pub use code::{Code, Facts, Severity};
pub use finding::Finding;
pub use observation::{Answer, Failure, Observation, Redirect, Step};
pub use probe::{CLAUDE_CODE, Doctor, Options};
pub use report::Report;
pub use secret::Secret;
pub use tls::SetUpError;
pub use visit::{Callback, Visit};
