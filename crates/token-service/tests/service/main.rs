//! The services over a real embedded store with a clock of the test's own, called as every caller calls them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod contention;
mod lifetimes;
mod resend;
mod roles;
mod support;
mod takeback;
