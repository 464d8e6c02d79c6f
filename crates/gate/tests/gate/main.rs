//! The gate over real sockets, between a scripted TokenService and an upstream of the test's own.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod bearer;
mod cache;
mod forward;
mod hidden;
mod pages;
mod raw;
mod rules;
mod script;
mod streams;
mod support;
