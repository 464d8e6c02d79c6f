//! The rules of grantd, as plain functions over values: no IO, no async, no clock, no randomness, no transport.
//!
//! Every rule has the same shape, so that it can be run without a server, a clock or a sleep:
//!
//! ```text
//! decide(policy, records as loaded, request, now, draw) -> a Change to commit, an answer, an Event for the log
//! ```
//!
//! * `now` is the store's time; [`Draw`] is the randomness, drawn once per incoming request.
//! * A [`Change`] says what to write and which loaded records must not have changed meanwhile. The caller commits it,
//!   and starts again from load on a conflict.
//! * Tokens come and go as the types of `grantd-oauth-types`; records hold only digests and salts.
//!
//! One file per flow: [`register`], [`authorize`], [`approve`], [`exchange`], [`refresh`], [`verify`], [`revoke`],
//! [`users`], [`follow`]. The heart is [`ratchet`], which makes every presenter of a refresh token converge on one pair.

pub mod approve;
pub mod authorize;
pub mod change;
pub mod draw;
pub mod event;
pub mod exchange;
pub mod follow;
pub mod policy;
pub mod ratchet;
pub mod records;
pub mod refresh;
pub mod register;
pub mod revoke;
pub mod time;
pub mod users;
pub mod verify;

pub use change::{Announce, Change, Record, RecordKey};
pub use draw::Draw;
pub use event::Event;
pub use policy::{Lifetimes, OnReplay, Policy, ResourcePolicy, ScopePolicy};
pub use time::Timestamp;
