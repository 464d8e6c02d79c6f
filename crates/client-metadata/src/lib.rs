//! Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document): a client's id is an https URL, and what is
//! found there says who the client is.
//!
//! 1. [`ClientIdUrl`] reads the client id.
//! 2. [`Fetcher`] asks its host, if every address of it is public ([`is_public`]).
//! 3. [`Document`] reads what was answered.
//!
//! Left to others: keeping what was fetched, and whether a redirect URI is acceptable and matches.

mod address;
mod document;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod url;

pub use crate::{
    address::is_public,
    document::{Document, DocumentError},
    fetch::{FetchError, Fetched, Fetcher, FetcherConfig},
    url::{ClientIdUrl, ClientIdUrlError},
};
