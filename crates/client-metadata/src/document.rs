//! The document (draft, section "Client Metadata Document"): members of RFC 7591, and the client id itself.
//!
//! Members that are unknown, and grant types beyond ours, are nobody's harm. What is read here is a claim of the host that
//! the client id names.

use serde::Deserialize;

use crate::url::ClientIdUrl;

/// What a document says, as far as it is used. Redirect URIs are as sent; their rules are elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// At least one.
    pub redirect_uris: Vec<String>,
    /// Empty when the document has none.
    pub client_name: String,
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
    #[error("the client's metadata document must permit token_endpoint_auth_method none")]
    AuthMethod,
}

/// A member that is null counts as absent, as everywhere in OAuth (RFC 7591 §2 says nothing of it; real documents have some).
#[derive(Deserialize)]
struct Members {
    client_id: Option<String>,
    redirect_uris: Option<Vec<String>>,
    client_name: Option<String>,
    token_endpoint_auth_method: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    client_secret: Option<serde_json::Value>,
    client_secret_expires_at: Option<serde_json::Value>,
}

impl Document {
    /// Reads what was fetched from `url`.
    ///
    /// A document that prefers `private_key_jwt` is a public client's when it lists `none` beside it, as real ones do.
    /// One that names no method may use none: the default of RFC 7591, a secret, cannot be meant.
    pub fn read(url: &ClientIdUrl, body: &[u8]) -> Result<Self, DocumentError> {
        let members: Members = serde_json::from_slice(body)
            .map_err(|error| DocumentError::Unreadable { line: error.line(), column: error.column() })?;
        if members.client_id.as_deref() != Some(url.as_str()) {
            return Err(DocumentError::OtherClientId);
        }
        if members.client_secret.is_some() || members.client_secret_expires_at.is_some() {
            return Err(DocumentError::Secret);
        }
        let listed = members.token_endpoint_auth_methods_supported.unwrap_or_default();
        match members.token_endpoint_auth_method.as_deref() {
            None | Some("none") => {}
            Some(method) if method.starts_with("client_secret_") => return Err(DocumentError::Secret),
            Some(_) if listed.iter().any(|method| method == "none") => {}
            Some(_) => return Err(DocumentError::AuthMethod),
        }
        let redirect_uris = members.redirect_uris.unwrap_or_default();
        if redirect_uris.is_empty() {
            return Err(DocumentError::NoRedirectUris);
        }
        Ok(Self { redirect_uris, client_name: members.client_name.unwrap_or_default() })
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
            (r#","token_endpoint_auth_method":"private_key_jwt""#, Err(DocumentError::AuthMethod)),
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
