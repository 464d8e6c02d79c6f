//! Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document): what must hold before and after one is
//! fetched. A client's id is an https URL, and what is found there says who the client is.
//!
//! 1. [`ClientIdUrl`] reads the client id.
//! 2. [`is_public`] judges each address its host resolves to, before anything connects there.
//! 3. [`Document`] reads what was answered.
//!
//! Fetching and caching are not here yet, so nothing calls this and the AS metadata does not advertise it. Whether a
//! redirect URI is acceptable, and whether it matches, stays with `grantd-oauth-types`.

mod address;
mod document;
mod url;

pub use crate::{
    address::is_public,
    document::{Document, DocumentError},
    url::{ClientIdUrl, ClientIdUrlError},
};
