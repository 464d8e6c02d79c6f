//! PKCE (RFC 7636), S256 only: OAuth 2.1 forbids `plain`.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `code_challenge` of method S256: base64url(SHA-256(verifier)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeChallenge([u8; 32]);

impl CodeChallenge {
    /// Reads the parameter: exactly 43 base64url characters.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 43 {
            return None;
        }
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// Whether `verifier` is the one this challenge was made from.
    pub fn verify(&self, verifier: &CodeVerifier) -> bool {
        let hashed: [u8; 32] = Sha256::digest(verifier.0.as_bytes()).into();
        self.0.ct_eq(&hashed).into()
    }
}

impl fmt::Display for CodeChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// `code_verifier`: 43 to 128 characters of `A-Za-z0-9-._~`. A secret.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CodeVerifier(String);

impl CodeVerifier {
    /// Reads the parameter.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = (43..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'));
        valid.then(|| Self(text.to_owned()))
    }

    /// The challenge a client would send for it.
    pub fn challenge(&self) -> CodeChallenge {
        CodeChallenge(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The bytes, for derivation.
    pub fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_appendix_b() {
        let verifier = CodeVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(verifier.challenge().to_string(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap().verify(&verifier));
    }

    #[test]
    fn verifiers_are_held_to_length_and_alphabet() {
        let good = "-._~".repeat(11);
        assert!(CodeVerifier::parse(&good).is_some());
        assert!(CodeVerifier::parse(&"a".repeat(128)).is_some());
        for bad in ["a".repeat(42), "a".repeat(129), format!("{}+", "a".repeat(43)), format!("{}\0", "a".repeat(43))] {
            assert!(CodeVerifier::parse(&bad).is_none(), "{bad:?}");
        }
    }
}
