//! What holds for every metadata document and set of keys, whoever wrote them. Shared with the fuzz target, which includes
//! this file by its path.

use grantd_client_metadata::{Algorithm, ClientIdUrl, Document, DocumentKeys, KeySet, KeySource};

/// The input is a metadata document, or a JWK Set.
pub(crate) fn check(input: &[u8]) {
    keys(input);
    let url = ClientIdUrl::parse("https://client.example/c").expect("a URL");
    let Ok(read) = Document::read(&url, input) else { return };
    assert!(!read.redirect_uris.is_empty());
    let members: serde_json::Value = serde_json::from_slice(input).expect("JSON");
    assert_eq!(members["client_id"], url.as_str());
    assert!(members["client_secret"].is_null());
    let listed = members["token_endpoint_auth_methods_supported"].as_array().cloned().unwrap_or_default();
    let method = &members["token_endpoint_auth_method"];
    let permits = |name: &str| method == name || listed.iter().any(|listed| listed == name);
    match read.keys {
        None => assert!(method.is_null() || permits("none")),
        Some(DocumentKeys { is_required, source, .. }) => {
            assert!(permits("private_key_jwt"));
            assert_eq!(is_required, !(method.is_null() || permits("none")));
            match source {
                KeySource::Inline(set) => {
                    assert!(members["jwks_uri"].is_null());
                    stays(&set);
                }
                KeySource::Uri(uri) => assert!(members["jwks"].is_null() && members["jwks_uri"] == uri.as_str()),
            }
        }
    }
}

fn keys(input: &[u8]) {
    if let Ok(set) = KeySet::read(input) {
        stays(&set);
    }
}

/// As it is stored it is read again, it is bounded, and there is nothing private in it.
fn stays(set: &KeySet) {
    let stored = set.to_json();
    assert_eq!(KeySet::read(stored.as_bytes()).as_ref(), Ok(set));
    assert!(stored.len() < 24 << 10 && !stored.contains("\"d\""), "{stored}");
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        assert!(set.verify(algorithm, None, b"message", b"signature").is_err());
    }
}
