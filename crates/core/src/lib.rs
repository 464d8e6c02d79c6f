//! The rules of grantd, as plain functions over values.

pub mod policy;
pub mod time;

pub use policy::{Lifetimes, OnReplay, Policy, ResourcePolicy, ScopePolicy};
pub use time::Timestamp;
