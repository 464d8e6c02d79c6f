//! HTTP: the one application of a process ([`app`]), its probes ([`probes`]), the listener ([`server`]) and whose address a
//! request has ([`address`]), the end of open streams ([`streams`]), how long requests take
//! ([`metrics`]), and the listener for whoever runs it ([`operations`]).

mod address;
#[cfg(test)]
mod address_properties;
pub(crate) mod app;
pub(crate) mod flow;
pub(crate) mod leftover;
mod metrics;
pub(crate) mod operations;
pub(crate) mod probes;
pub(crate) mod server;
pub(crate) mod streams;

pub(crate) use address::TrustedProxies;
