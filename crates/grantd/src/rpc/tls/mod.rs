//! TLS between grantd's halves: the token service shows its certificate, and callers may show theirs.
//!
//! 1. [`files`] reads certificates, keys and roots, and reads them again when they change: a renewed certificate needs no
//!    restart, and one that cannot be read leaves the old one in force.
//! 2. [`server`] accepts connections with what is current then, and says whose certificate the caller showed.
//! 3. [`client`] connects with what is current then.
//!
//! One crypto provider (ring), TLS 1.2 and 1.3. Open connections keep the certificates they began with.

mod client;
mod files;
mod server;

pub(crate) use self::{
    client::{TlsClient, public_client},
    files::Files,
    server::{Names, incoming},
};
