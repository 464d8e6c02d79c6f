//! gRPC: the way to the services from within ([`local`]) and from another process ([`remote`]), over all addresses that they
//! have ([`balance`]), and their listener ([`server`]). Between processes with TLS ([`tls`]).

mod balance;
mod dial;
pub(crate) mod local;
pub(crate) mod remote;
pub(crate) mod server;
pub(crate) mod tls;
