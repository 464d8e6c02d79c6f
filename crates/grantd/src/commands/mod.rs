//! The commands, one file each.

pub(crate) mod backup;
pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod facade;
pub(crate) mod grant;
pub(crate) mod health;
pub(crate) mod serve;
pub(crate) mod token_service;
pub(crate) mod user;
