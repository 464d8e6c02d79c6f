//! gRPC: the way to the services from within ([`local`]) and from another process ([`remote`]), and their listener
//! ([`server`]). Between processes with TLS ([`tls`]).

pub(crate) mod local;
pub(crate) mod remote;
pub(crate) mod server;
pub(crate) mod tls;
