//! The document (draft, section "Client Metadata Document"): members of RFC 7591, and the client id itself.
//!
//! Members that are unknown, and grant types beyond ours, are nobody's harm. What is read here is a claim of the host that
//! the client id names.

use serde::Deserialize;

use crate::{
    keys::{Algorithm, KeySet, KeySetError},
    url::ClientIdUrl,
};

/// What a document says, as far as it is used. Redirect URIs are as sent; their rules are elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// At least one.
    pub redirect_uris: Vec<String>,
    /// Empty when the document has none.
    pub client_name: String,
    /// Where it may authenticate by `private_key_jwt`.
    pub keys: Option<DocumentKeys>,
}

/// How a client authenticates that has keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentKeys {
    /// Whether it must: else `none` is permitted, too.
    pub is_required: bool,
    /// The one algorithm that it uses, where it says so.
    pub algorithm: Option<Algorithm>,
    /// Where its keys are.
    pub source: KeySource,
}

/// Where the keys of a client are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In the document (`jwks`).
    Inline(KeySet),
    /// At a URL (`jwks_uri`), which is fetched as documents are.
    Uri(ClientIdUrl),
}

/// Why a document makes no client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, not an object, or a member of another type.
    #[error("the client's metadata document cannot be read as JSON (line {line}, column {column})")]
    Unreadable {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// Somebody else's document.
    #[error("the client's metadata document has another client_id than the URL it was fetched from")]
    OtherClientId,
    /// There is nowhere to answer to.
    #[error("the client's metadata document must have redirect_uris")]
    NoRedirectUris,
    /// A secret, or something that is in a public document.
    #[error("the client's metadata document must not rely on a client secret: everybody can read it")]
    Secret,
    /// It permits no authentication that we have.
    #[error("the client's metadata document must permit token_endpoint_auth_method none or private_key_jwt")]
    AuthMethod,
    /// It prefers a method that needs keys, and has none or two sets.
    #[error("for private_key_jwt the client's metadata document must have either jwks or jwks_uri")]
    KeySource,
    /// `jwks_uri` cannot be asked for.
    #[error("jwks_uri of the client's metadata document must be an https URL with a domain name and a path")]
    KeyUri,
    /// `token_endpoint_auth_signing_alg` is none of ours.
    #[error("token_endpoint_auth_signing_alg of the client's metadata document must be RS256, ES256 or EdDSA")]
    Algorithm,
    /// `jwks` is no use.
    #[error(transparent)]
    Keys(#[from] KeySetError),
}

/// A member that is null counts as absent, as everywhere in OAuth (RFC 7591 §2 says nothing of it; real documents have some).
#[derive(Deserialize)]
struct Members {
    client_id: Option<String>,
    redirect_uris: Option<Vec<String>>,
    client_name: Option<String>,
    token_endpoint_auth_method: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_signing_alg: Option<String>,
    jwks: Option<serde_json::Value>,
    jwks_uri: Option<String>,
    client_secret: Option<serde_json::Value>,
    client_secret_expires_at: Option<serde_json::Value>,
}

impl Document {
    /// Reads what was fetched from `url`.
    ///
    /// A document that prefers `private_key_jwt` permits `none`, too, when it lists it beside, as real ones do. One that names
    /// no method may use none: the default of RFC 7591, a secret, cannot be meant.
    pub fn read(url: &ClientIdUrl, body: &[u8]) -> Result<Self, DocumentError> {
        let mut members: Members = serde_json::from_slice(body)
            .map_err(|error| DocumentError::Unreadable { line: error.line(), column: error.column() })?;
        if members.client_id.as_deref() != Some(url.as_str()) {
            return Err(DocumentError::OtherClientId);
        }
        if members.client_secret.is_some() || members.client_secret_expires_at.is_some() {
            return Err(DocumentError::Secret);
        }
        let method = members.token_endpoint_auth_method.take();
        if method.as_ref().is_some_and(|method| method.starts_with("client_secret_")) {
            return Err(DocumentError::Secret);
        }
        let listed = members.token_endpoint_auth_methods_supported.take().unwrap_or_default();
        let permits = |name: &str| method.as_deref() == Some(name) || listed.iter().any(|listed| listed == name);
        let permits_none = method.is_none() || permits("none");
        let keys = if permits("private_key_jwt") { members.keys(!permits_none)? } else { None };
        if !permits_none && keys.is_none() {
            return Err(DocumentError::AuthMethod);
        }
        let redirect_uris = members.redirect_uris.unwrap_or_default();
        if redirect_uris.is_empty() {
            return Err(DocumentError::NoRedirectUris);
        }
        Ok(Self { redirect_uris, client_name: members.client_name.unwrap_or_default(), keys })
    }
}

impl Members {
    /// Its keys; none where it has none and needs none.
    fn keys(&mut self, is_required: bool) -> Result<Option<DocumentKeys>, DocumentError> {
        let source = match (self.jwks.take(), self.jwks_uri.take()) {
            (None, None) if !is_required => return Ok(None),
            (Some(set), None) => KeySource::Inline(KeySet::read(set.to_string().as_bytes())?),
            (None, Some(uri)) => KeySource::Uri(ClientIdUrl::parse(&uri).map_err(|_| DocumentError::KeyUri)?),
            // Which of two would count is anybody's guess (RFC 7591 §2).
            _ => return Err(DocumentError::KeySource),
        };
        let algorithm = match self.token_endpoint_auth_signing_alg.take() {
            Some(name) => Some(Algorithm::parse(&name).ok_or(DocumentError::Algorithm)?),
            None => None,
        };
        Ok(Some(DocumentKeys { is_required, algorithm, source }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Document, DocumentError};
    use crate::url::ClientIdUrl;

    fn read(members: &str) -> Result<Document, DocumentError> {
        let body = format!(r#"{{"client_id":"https://a.example/c",{members}}}"#);
        Document::read(&ClientIdUrl::parse("https://a.example/c").unwrap(), body.as_bytes())
    }

    #[test]
    fn by_which_method_a_client_may_authenticate() {
        const URIS: &str = r#""redirect_uris":["http://localhost/callback"]"#;
        for (members, expected) in [
            ("", Ok(())),
            (r#","token_endpoint_auth_method":null"#, Ok(())),
            (r#","token_endpoint_auth_method":"none","grant_types":["authorization_code","x"],"more":{}"#, Ok(())),
            (
                r#","token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":["private_key_jwt","none"]"#,
                Ok(()),
            ),
            (r#","token_endpoint_auth_method":"private_key_jwt""#, Err(DocumentError::KeySource)),
            (r#","token_endpoint_auth_method":"tls_client_auth""#, Err(DocumentError::AuthMethod)),
            (
                r#","token_endpoint_auth_method":"tls_client_auth","token_endpoint_auth_methods_supported":["none"]"#,
                Ok(()),
            ),
            (r#","token_endpoint_auth_method":"client_secret_basic""#, Err(DocumentError::Secret)),
            (r#","token_endpoint_auth_method":"client_secret_post""#, Err(DocumentError::Secret)),
            (
                r#","token_endpoint_auth_method":"client_secret_jwt","token_endpoint_auth_methods_supported":["none"]"#,
                Err(DocumentError::Secret),
            ),
            (r#","client_secret":"s""#, Err(DocumentError::Secret)),
            (r#","client_secret_expires_at":0"#, Err(DocumentError::Secret)),
        ] {
            assert_eq!(read(&format!("{URIS}{members}")).map(|_| ()), expected, "{members}");
        }
    }

    #[test]
    fn where_a_client_has_its_keys() {
        const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let jwks = format!(r#""jwks":{{"keys":[{KEY}]}}"#);
        let uri = r#""jwks_uri":"https://b.example/keys?v=1""#;
        let found = |methods: &str, more: &str| {
            read(&format!(r#""redirect_uris":["http://localhost/"],{methods},{more}"#)).map(|found| {
                let keys = found.keys?;
                Some((keys.is_required, matches!(keys.source, super::KeySource::Inline(_)), keys.algorithm))
            })
        };
        let only = r#""token_endpoint_auth_method":"private_key_jwt""#;
        let either = &format!(r#"{only},"token_endpoint_auth_methods_supported":["none","private_key_jwt"]"#);
        let listed =
            r#""token_endpoint_auth_method":"none","token_endpoint_auth_methods_supported":["private_key_jwt"]"#;
        let public = r#""token_endpoint_auth_method":"none""#;
        let alg = |name: &str| format!(r#"{uri},"token_endpoint_auth_signing_alg":"{name}""#);
        for (methods, more, expected) in [
            (only, jwks.as_str(), Ok(Some((true, true, None)))),
            (only, uri, Ok(Some((true, false, None)))),
            (either, uri, Ok(Some((false, false, None)))),
            (listed, &jwks, Ok(Some((false, true, None)))),
            (either, r#""more":1"#, Ok(None)),
            (public, &jwks, Ok(None)),
            (only, &alg("RS256"), Ok(Some((true, false, Some(super::Algorithm::Rs256))))),
            (either, &alg("HS256"), Err(DocumentError::Algorithm)),
            (either, &alg("none"), Err(DocumentError::Algorithm)),
            (either, &format!("{jwks},{uri}"), Err(DocumentError::KeySource)),
            (only, r#""jwks":{"keys":[]}"#, Err(DocumentError::Keys(super::KeySetError::NoneOfUse))),
            (only, r#""jwks":"https://b.example/keys""#, Err(DocumentError::Keys(super::KeySetError::Unreadable))),
            (only, r#""jwks_uri":"http://b.example/keys""#, Err(DocumentError::KeyUri)),
            (only, r#""jwks_uri":"https://127.0.0.1/keys""#, Err(DocumentError::KeyUri)),
            (only, r#""jwks_uri":"https://u@b.example/keys""#, Err(DocumentError::KeyUri)),
        ] {
            assert_eq!(found(methods, more), expected, "{methods} {more}");
        }
    }

    #[test]
    fn what_a_document_says_is_read() {
        let found = read(r#""client_name":"A","redirect_uris":["http://127.0.0.1/","https://a.example/cb"]"#).unwrap();
        assert_eq!(found.client_name, "A");
        assert_eq!(found.redirect_uris, ["http://127.0.0.1/", "https://a.example/cb"]);
        assert_eq!(read(r#""redirect_uris":[]"#), Err(DocumentError::NoRedirectUris));
        assert_eq!(read(r#""redirect_uris":null"#), Err(DocumentError::NoRedirectUris));
        assert!(matches!(read(r#""redirect_uris":"x""#), Err(DocumentError::Unreadable { .. })));
    }

    #[test]
    fn the_client_id_is_the_url_byte_for_byte() {
        let url = ClientIdUrl::parse("https://a.example/c").unwrap();
        for id in ["https://a.example/c/", "https://A.example/c", "https://a.example:443/c", "https://b.example/c", ""]
        {
            let body = format!(r#"{{"client_id":"{id}","redirect_uris":["http://localhost/"]}}"#);
            assert_eq!(Document::read(&url, body.as_bytes()), Err(DocumentError::OtherClientId), "{id}");
        }
        assert_eq!(Document::read(&url, b"{}"), Err(DocumentError::OtherClientId));
        for body in ["", "<html>", "[]", "null", r#"{"client_id":1}"#, r#"{"client_id":"a","client_id":"b"}"#] {
            let read = Document::read(&url, body.as_bytes());
            assert!(matches!(read, Err(DocumentError::Unreadable { .. })), "{body}: {read:?}");
        }
    }
}
