//! The words of OAuth as types: what every part of grantd agrees on.
//!
//! Parsing happens here, once: a value of these types is well formed. Secrets are types whose `Debug` is redacted and
//! which can be neither displayed nor serialized by accident. Nothing here decides who may do what; that is
//! `grantd-core`.

pub mod challenge;
pub mod client;
pub mod error;
mod host;
pub mod pkce;
pub mod redirect;
pub mod resource;
pub mod scope;
pub mod secret;
pub mod token;

pub use challenge::BearerChallenge;
pub use client::{ApplicationType, ClientId, GrantType, TokenEndpointAuthMethod};
pub use error::{OAuthError, OAuthErrorCode};
pub use pkce::{CodeChallenge, CodeVerifier};
pub use redirect::{RedirectKind, RedirectUri};
pub use resource::{PublicUrl, ResourceUri};
pub use scope::{Scope, ScopeSet};
pub use secret::{Digest, Secret};
pub use token::{
    AccessToken, AuthorizationCode, ClientSecret, GrantId, RefreshToken, RegistrationAccessToken, SessionSecret, Ticket,
};
