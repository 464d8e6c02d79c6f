//! The services over a real embedded store with a clock of the test's own, called as every caller calls them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod again;
mod assertions;
mod contention;
mod errors;
mod flaky;
mod keys;
mod lifetimes;
mod outage;
mod profile;
mod questions;
mod resend;
mod roles;
mod support;
mod takeback;
mod watch;
