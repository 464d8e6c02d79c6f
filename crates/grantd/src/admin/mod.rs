//! How the command line reaches the services: a socket in the data directory ([`socket`]), or the store itself when
//! nothing listens there ([`client`]). What only the operator may ask is [`operator`].

pub(crate) mod client;
pub(crate) mod operator;
pub(crate) mod socket;
