//! How the command line reaches the services: a socket in the data directory ([`socket`]), or the store itself when
//! nothing listens there ([`client`]).

pub(crate) mod client;
pub(crate) mod socket;
