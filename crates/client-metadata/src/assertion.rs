//! A client assertion: a JWT by which a client shows who it is (RFC 7523 §2.2, OpenID Connect Core §9, `private_key_jwt`).
//!
//! 1. [`Assertion::parse`] reads the compact form (RFC 7515 §7.1) and its claims. Nothing of it is believed yet.
//! 2. [`Assertion::check`] compares the claims with who it must be of, for whom, and when.
//! 3. [`Assertion::verify`] verifies its signature with a key of that client.
//!
//! Left to others: that each one is used once.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::keys::{Algorithm, KeySet, VerifyError};

/// The type of such an assertion, as requests name it (RFC 7523 §2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How far a client's clock may be off, in seconds.
const LEEWAY: u64 = 30;
/// How far ahead an assertion may end, in seconds. Real clients say a minute to ten.
const MAX_LIFE: u64 = 600;

/// An assertion that was read. Its text is a credential until it is used: it is nowhere printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Assertion {
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: Claims,
    /// What was signed: header and claims as they were sent.
    message: String,
    signature: Vec<u8>,
}

/// RFC 7519 §4.1. The audience is one.
#[derive(Deserialize, Clone, PartialEq, Eq)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: Seconds,
    #[serde(default)]
    nbf: Option<Seconds>,
    #[serde(default)]
    iat: Option<Seconds>,
    jti: String,
}

#[derive(Deserialize, Clone, PartialEq, Eq)]
#[serde(untagged)]
enum Audience {
    One(String),
    List([String; 1]),
}

/// Seconds since the Unix epoch. They may have a fraction (RFC 7519 §2), as Python's clock has.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(try_from = "serde_json::Number")]
struct Seconds(u64);

impl TryFrom<serde_json::Number> for Seconds {
    type Error = &'static str;

    fn try_from(number: serde_json::Number) -> Result<Self, Self::Error> {
        // The year 33658 and a little.
        const FAR: f64 = 1e12;
        let seconds = number.as_f64().filter(|seconds| (0.0..FAR).contains(seconds)).ok_or("no point in time")?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within the bounds above")]
        Ok(Self(seconds as u64))
    }
}

/// RFC 7515 §4.1, as far as it matters. Keys in a header, and addresses of keys, are the sender's word and are not read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    /// What a reader must understand; we know no such thing.
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// Why an assertion does not count. Its texts hold nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// Not three parts of base64url, or not JSON in them, or a claim is missing or of another type.
    #[error("it is no signed JWT with iss, sub, one aud, exp and jti")]
    Unreadable,
    /// An algorithm that proves nothing, or none that we know.
    #[error("it must be signed with RS256, ES256 or EdDSA")]
    Algorithm,
    /// Of somebody else.
    #[error("iss and sub must be the client_id")]
    Issuer,
    /// For somebody else.
    #[error("aud must be the issuer, or the token endpoint's URL")]
    Audience,
    /// Over.
    #[error("it has expired")]
    Expired,
    /// It could be kept for later.
    #[error("exp must be at most {MAX_LIFE} seconds ahead")]
    TooLong,
    /// `nbf` or `iat` lies ahead.
    #[error("it is not valid yet; look at the client's clock")]
    NotYet,
    /// See [`VerifyError`].
    #[error(transparent)]
    Signature(#[from] VerifyError),
}

impl Assertion {
    /// The longest one, in bytes.
    pub const MAX_LEN: usize = 8 << 10;
    /// The longest `jti`, in bytes.
    pub const MAX_ID: usize = 512;

    /// Reads an assertion.
    pub fn parse(text: &str) -> Result<Self, AssertionError> {
        use AssertionError::{Algorithm as WrongAlgorithm, Unreadable};
        if text.len() > Self::MAX_LEN {
            return Err(Unreadable);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(Unreadable)?;
        let (header, claims) = message.split_once('.').ok_or(Unreadable)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Unreadable);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Unreadable)?;
        let is_of_our_type = header.typ.as_deref().is_none_or(|typ| {
            let typ = typ.to_ascii_lowercase();
            let typ = typ.strip_prefix("application/").unwrap_or(&typ);
            matches!(typ, "jwt" | "client-authentication+jwt")
        });
        if header.crit.is_some() || !is_of_our_type {
            return Err(Unreadable);
        }
        let algorithm = Algorithm::parse(&header.alg).ok_or(WrongAlgorithm)?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| Unreadable)?;
        if claims.jti.is_empty() || claims.jti.len() > Self::MAX_ID {
            return Err(Unreadable);
        }
        let signature = decode(signature)?;
        Ok(Self { algorithm, key_id: header.kid, claims, message: message.to_owned(), signature })
    }

    /// Whose it says it is.
    pub fn subject(&self) -> &str {
        &self.claims.sub
    }

    /// What tells it from the client's others.
    pub fn id(&self) -> &str {
        &self.claims.jti
    }

    /// How it says it was signed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// When nobody would take it any more, in seconds since the Unix epoch: until then it must be known that it was used.
    pub fn is_over_at(&self) -> u64 {
        self.claims.exp.0.saturating_add(LEEWAY)
    }

    /// Whether it is this client's, for one of these audiences, and for now (seconds since the Unix epoch).
    pub fn check(&self, client_id: &str, audiences: &[String], now: u64) -> Result<(), AssertionError> {
        let Claims { iss, sub, aud, exp, nbf, iat, .. } = &self.claims;
        if iss != client_id || sub != client_id {
            return Err(AssertionError::Issuer);
        }
        let (Audience::One(aud) | Audience::List([aud])) = aud;
        if !audiences.contains(aud) {
            return Err(AssertionError::Audience);
        }
        if self.is_over_at() <= now {
            return Err(AssertionError::Expired);
        }
        if exp.0 > now.saturating_add(MAX_LIFE).saturating_add(LEEWAY) {
            return Err(AssertionError::TooLong);
        }
        if nbf.iter().chain(iat).any(|from| from.0 > now.saturating_add(LEEWAY)) {
            return Err(AssertionError::NotYet);
        }
        Ok(())
    }

    /// Whether a key of its client made it.
    pub fn verify(&self, keys: &KeySet) -> Result<(), AssertionError> {
        let message = self.message.as_bytes();
        Ok(keys.verify(self.algorithm, self.key_id.as_deref(), message, &self.signature)?)
    }
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertion").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use serde_json::{Value, json};

    use super::*;

    const CLIENT: &str = "https://a.example/c";
    const NOW: u64 = 1_700_000_000;

    fn claims() -> Value {
        json!({"iss": CLIENT, "sub": CLIENT, "aud": "https://as.example", "exp": NOW + 60, "jti": "1"})
    }

    fn with(mut value: Value, name: &str, member: impl Into<Value>) -> Value {
        value[name] = member.into();
        value
    }

    fn without(mut value: Value, name: &str) -> Value {
        value.as_object_mut().unwrap().remove(name);
        value
    }

    fn jws(header: &str, claims: &str) -> String {
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn keys() -> KeySet {
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let x = URL_SAFE_NO_PAD.encode(key.public_key());
        let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k"}]});
        KeySet::read(set.to_string().as_bytes()).unwrap()
    }

    fn judged(claims: &Value) -> Result<(), AssertionError> {
        let audiences = ["https://as.example".to_owned(), "https://as.example/oauth/token".to_owned()];
        let assertion = Assertion::parse(&jws(r#"{"alg":"EdDSA","kid":"k"}"#, &claims.to_string()))?;
        assertion.check(CLIENT, &audiences, NOW)?;
        assertion.verify(&keys())
    }

    #[test]
    fn the_claims_are_of_the_client_for_us_and_for_now() {
        use AssertionError::{Audience, Expired, Issuer, NotYet, TooLong, Unreadable};
        for (claims, expected) in [
            (claims(), Ok(())),
            (with(claims(), "aud", "https://as.example/oauth/token"), Ok(())),
            (with(claims(), "aud", json!(["https://as.example"])), Ok(())),
            (with(claims(), "exp", 1_700_000_060.5), Ok(())),
            (with(claims(), "exp", NOW + 600), Ok(())),
            (with(claims(), "exp", NOW - 29), Ok(())),
            (with(claims(), "iat", NOW + 29), Ok(())),
            (with(claims(), "nbf", NOW - 5), Ok(())),
            (with(claims(), "nbf", Value::Null), Ok(())),
            (with(claims(), "more", json!({"a": []})), Ok(())),
            (with(claims(), "iss", "https://b.example/c"), Err(Issuer)),
            (with(claims(), "sub", "https://b.example/c"), Err(Issuer)),
            (with(claims(), "aud", "https://as.example/"), Err(Audience)),
            (with(claims(), "aud", "https://other.example"), Err(Audience)),
            (with(claims(), "aud", json!(["https://as.example", "https://other.example"])), Err(Unreadable)),
            (with(claims(), "aud", json!(["https://as.example", "https://as.example"])), Err(Unreadable)),
            (with(claims(), "aud", json!([])), Err(Unreadable)),
            (with(claims(), "exp", NOW - 30), Err(Expired)),
            (with(claims(), "exp", NOW + 631), Err(TooLong)),
            (with(claims(), "iat", NOW + 31), Err(NotYet)),
            (with(claims(), "nbf", NOW + 31), Err(NotYet)),
            (with(claims(), "exp", "1700000060"), Err(Unreadable)),
            (with(claims(), "exp", -1), Err(Unreadable)),
            (with(claims(), "exp", 1e300), Err(Unreadable)),
            (with(claims(), "iat", "now"), Err(Unreadable)),
            (with(claims(), "jti", ""), Err(Unreadable)),
            (with(claims(), "jti", 1), Err(Unreadable)),
            (with(claims(), "jti", "j".repeat(513)), Err(Unreadable)),
            (without(claims(), "iss"), Err(Unreadable)),
            (without(claims(), "sub"), Err(Unreadable)),
            (without(claims(), "aud"), Err(Unreadable)),
            (without(claims(), "exp"), Err(Unreadable)),
            (without(claims(), "jti"), Err(Unreadable)),
        ] {
            assert_eq!(judged(&claims), expected, "{claims}");
        }
    }

    #[test]
    fn a_header_chooses_no_weaker_way() {
        let claims = claims().to_string();
        let read = |header: &str| Assertion::parse(&jws(header, &claims)).map(|assertion| assertion.verify(&keys()));
        for header in [
            r#"{"alg":"EdDSA"}"#,
            r#"{"alg":"Ed25519","typ":"JWT"}"#,
            r#"{"alg":"EdDSA","typ":"client-authentication+jwt","kid":"k"}"#,
            r#"{"alg":"EdDSA","jwk":{"kty":"oct","k":"AA"},"jku":"https://evil.example/"}"#,
        ] {
            assert_eq!(read(header), Ok(Ok(())), "{header}");
        }
        for alg in ["none", "None", "", "HS256", "HS512", "RS512", "RS1", "PS256", "ES256K", "eddsa", "RSA-OAEP"] {
            let header = json!({ "alg": alg }).to_string();
            assert_eq!(read(&header), Err(AssertionError::Algorithm), "{alg}");
        }
        // Of another algorithm than its key, and of a key that is not there.
        for header in [r#"{"alg":"ES256"}"#, r#"{"alg":"RS256","kid":"k"}"#, r#"{"alg":"EdDSA","kid":"other"}"#] {
            assert_eq!(read(header), Ok(Err(AssertionError::Signature(VerifyError::UnknownKey))), "{header}");
        }
        for header in [
            "",
            "[]",
            "{}",
            r#"{"alg":1}"#,
            r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#,
            r#"{"alg":"EdDSA","crit":[]}"#,
            r#"{"alg":"none","alg":"EdDSA"}"#,
            r#"{"alg":"EdDSA","typ":"at+jwt"}"#,
            r#"{"alg":"EdDSA","kid":1}"#,
        ] {
            assert_eq!(read(header), Err(AssertionError::Unreadable), "{header}");
        }
    }

    #[test]
    fn what_is_no_assertion_is_refused() {
        let good = jws(r#"{"alg":"EdDSA"}"#, &claims().to_string());
        let (message, signature) = good.rsplit_once('.').unwrap();
        for text in [
            String::new(),
            ".".into(),
            "..".into(),
            message.to_owned(),
            format!("{good}.x"),
            format!("{good}="),
            format!(" {good}"),
            format!("{message}.{signature}\n"),
            "a".repeat(Assertion::MAX_LEN + 1),
        ] {
            assert_eq!(Assertion::parse(&text), Err(AssertionError::Unreadable), "{text}");
        }
        let unsigned = Assertion::parse(&format!("{message}.")).unwrap();
        assert!(unsigned.verify(&keys()).is_err());
        assert!(!format!("{unsigned:?}").contains("a.example"));
    }
}
