//! Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document): a client's id is an https URL, and what is
//! found there says who the client is.
//!
//! 1. [`ClientIdUrl`] reads the client id.
//! 2. [`Fetcher`] asks its host, if every address of it is public ([`is_public`]).
//! 3. [`Document`] reads what was answered. Where it names keys, [`KeySet`] reads those, from the document or its `jwks_uri`.
//! 4. [`Assertion`] is what a client shows that signs with them (`private_key_jwt`).
//!
//! Left to others: keeping what was fetched, whether a redirect URI is acceptable and matches, and that an assertion is used
//! once.

mod address;
mod assertion;
mod document;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod keys;
mod url;

pub use crate::{
    address::is_public,
    assertion::{ASSERTION_TYPE, Assertion, AssertionError},
    document::{Document, DocumentError, DocumentKeys, KeySource},
    fetch::{FetchError, Fetched, Fetcher, FetcherConfig, Known},
    keys::{Algorithm, KeySet, KeySetError, VerifyError},
    url::{ClientIdUrl, ClientIdUrlError},
};
