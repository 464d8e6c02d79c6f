//! The life of tokens when everything goes wrong: facades, token services and stores are the real ones, in this process,
//! so that the clock can be driven and each hop between them can lose what it carries.

mod events;
mod failover;
mod gates;
mod revocation;
mod shared;
mod theft;
mod world;
