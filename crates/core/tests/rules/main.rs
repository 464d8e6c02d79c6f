//! The rules as tables: what each request comes to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authorization;
mod exchange;
mod fixture;
mod following;
mod people;
mod refresh;
mod registration;
