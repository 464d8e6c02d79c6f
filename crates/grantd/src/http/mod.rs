//! HTTP: the one application of a process ([`app`]), its probes ([`probes`]), the listener ([`server`]) and whose address a
//! request has ([`address`]), and the end of open streams ([`streams`]).

mod address;
#[cfg(test)]
mod address_properties;
pub(crate) mod app;
pub(crate) mod flow;
pub(crate) mod leftover;
pub(crate) mod probes;
pub(crate) mod server;
pub(crate) mod streams;

pub(crate) use address::TrustedProxies;
