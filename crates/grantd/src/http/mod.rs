//! HTTP: the one application of a process ([`app`]), its probes ([`probes`]), the listener ([`server`]), and the end of
//! open streams ([`streams`]).

pub(crate) mod app;
pub(crate) mod probes;
pub(crate) mod server;
pub(crate) mod streams;
