//! The public keys of a client (RFC 7517), by which it signs what shows who it is.
//!
//! 1. [`KeySet::read`] keeps what can be used of a JWK Set: ES256, `EdDSA` with Ed25519 and RS256. Keys of other kinds or for
//!    other uses are passed over, because a set may have them beside ours (RFC 7517 §5).
//! 2. [`KeySet::to_json`] is that again, for a store.
//! 3. [`KeySet::verify`] looks for the key of an assertion, and verifies its signature with it.
//!
//! A key that is no secret to begin with, or no longer one (`oct`, or a private member), is never used.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// How an assertion may be signed. `none` and those with a shared secret are not here, so nothing can choose them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3), 2048 to 4096 bits.
    Rs256,
    /// ECDSA on P-256 with SHA-256 (RFC 7518 §3.4).
    Es256,
    /// Ed25519 (RFC 8037 §3.1).
    EdDsa,
}

impl Algorithm {
    /// Every algorithm, by the name that metadata lists.
    pub const NAMES: [&str; 3] = [Self::Rs256.name(), Self::Es256.name(), Self::EdDsa.name()];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Reads a name. `Ed25519` is the name that RFC 9864 gives to the one `EdDSA` we know.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// Why there are no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not JSON, or not `{"keys": [..]}`.
    #[error("the client's keys cannot be read as a JWK Set")]
    Unreadable,
    /// More than anybody needs.
    #[error("the client's JWK Set has more than {} keys", KeySet::MAX_KEYS)]
    TooMany,
    /// None that signs as we know it.
    #[error("the client's JWK Set has no public signing key for RS256 (2048 to 4096 bits), ES256 or EdDSA (Ed25519)")]
    NoneOfUse,
}

/// Why a signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The set has no key for it. A newer set may.
    #[error("the client has no such key")]
    UnknownKey,
    /// The key that it names did not make it.
    #[error("the signature is wrong")]
    WrongSignature,
}

/// The usable keys of a client; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    P256([u8; 65]),
    Ed25519([u8; 32]),
}

/// A JWK Set as it is read. What is no JWK is no key of ours, and spoils nothing.
#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// A JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2), as far as it matters.
#[derive(Deserialize, Serialize, Default)]
#[serde(default)]
struct Jwk {
    kty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_ops: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    /// The private part: a key that everybody can read proves nothing.
    #[serde(skip_serializing)]
    d: Option<serde_json::Value>,
}

/// The smallest and largest RSA modulus, in bytes. Beyond, verifying would cost whoever is asked more than who asks.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// The longest RSA exponent, in bytes: that of 65537 has three.
const MAX_EXPONENT: usize = 4;
/// The longest key id, in bytes.
const MAX_KID: usize = 256;

impl Key {
    fn of(jwk: Jwk) -> Option<Self> {
        let is_for_this = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk.key_ops.as_ref().is_none_or(|all| all.iter().any(|operation| operation == "verify"));
        if !is_for_this || jwk.d.is_some() || jwk.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return None;
        }
        let decode = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let material = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (decode(&jwk.n)?, decode(&jwk.e)?);
                let is_plain = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
                if !RSA_BYTES.contains(&n.len()) || e.len() > MAX_EXPONENT || !is_plain(&n) || !is_plain(&e) {
                    return None;
                }
                Material::Rsa { n, e }
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (decode(&jwk.x)?, decode(&jwk.y)?);
                Material::P256([&[4][..], &x, &y].concat().try_into().ok().filter(|_| x.len() == 32)?)
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(decode(&jwk.x)?.try_into().ok()?),
            _ => return None,
        };
        let key = Self { id: jwk.kid, material };
        jwk.alg.is_none_or(|alg| Algorithm::parse(&alg) == Some(key.algorithm())).then_some(key)
    }

    fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn jwk(&self) -> Jwk {
        let encode = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        let kid = self.id.clone();
        match &self.material {
            Material::Rsa { n, e } => Jwk { kty: "RSA".into(), kid, n: encode(n), e: encode(e), ..Jwk::default() },
            Material::P256(point) => {
                let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
                let (kty, crv) = ("EC".into(), Some("P-256".into()));
                Jwk { kty, kid, crv, x: encode(x), y: encode(y), ..Jwk::default() }
            }
            Material::Ed25519(x) => {
                Jwk { kty: "OKP".into(), kid, crv: Some("Ed25519".into()), x: encode(x), ..Jwk::default() }
            }
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.material {
            Material::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Material::P256(point) => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Ed25519(key) => UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature),
        };
        verified.is_ok()
    }
}

impl KeySet {
    /// The most keys of a set: a client has one or two, and one more while it changes them.
    pub const MAX_KEYS: usize = 16;

    /// Reads a JWK Set.
    pub fn read(body: &[u8]) -> Result<Self, KeySetError> {
        let set: Set = serde_json::from_slice(body).map_err(|_| KeySetError::Unreadable)?;
        if set.keys.len() > Self::MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let jwks = set.keys.into_iter().filter_map(|jwk| serde_json::from_value::<Jwk>(jwk).ok());
        let keys: Vec<Key> = jwks.filter_map(Key::of).collect();
        if keys.is_empty() { Err(KeySetError::NoneOfUse) } else { Ok(Self(keys)) }
    }

    /// The usable keys as a JWK Set.
    pub fn to_json(&self) -> String {
        let keys: Vec<Jwk> = self.0.iter().map(Key::jwk).collect();
        serde_json::json!({ "keys": keys }).to_string()
    }

    /// Verifies a signature. A key that is named is the one that counts; else any for the algorithm does.
    pub fn verify(
        &self,
        algorithm: Algorithm,
        key_id: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        let is_meant =
            |key: &&Key| key.algorithm() == algorithm && key_id.is_none_or(|id| key.id.as_deref() == Some(id));
        let mut meant = self.0.iter().filter(is_meant).peekable();
        if meant.peek().is_none() {
            return Err(VerifyError::UnknownKey);
        }
        if meant.any(|key| key.verifies(message, signature)) {
            return Ok(());
        }
        // Without a name it may be of a key that came after this set.
        Err(if key_id.is_some() { VerifyError::WrongSignature } else { VerifyError::UnknownKey })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

    fn rsa() -> Value {
        json!({"kty": "RSA", "n": N, "e": "AQAB"})
    }

    fn p256() -> Value {
        let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
    }

    fn ed25519() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn set(keys: &[Value]) -> Result<KeySet, KeySetError> {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
        key[name] = value.into();
        key
    }

    /// The examples of RFC 7515, appendices A.2 and A.3, and of RFC 8037, appendix A.4.
    #[test]
    fn examples_of_the_standards_verify() {
        let rs256 = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
        let es256 = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        let eddsa = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let keys = set(&[p256(), rsa(), ed25519()]).unwrap();
        for (jws, algorithm) in [(rs256, Algorithm::Rs256), (es256, Algorithm::Es256), (eddsa, Algorithm::EdDsa)] {
            let (message, signature) = jws.rsplit_once('.').unwrap();
            let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let verify = |keys: &KeySet, message: &str, signature: &[u8]| {
                keys.verify(algorithm, None, message.as_bytes(), signature)
            };
            assert_eq!(verify(&keys, message, &signature), Ok(()), "{algorithm:?}");
            // As it is stored it is the same.
            let stored = KeySet::read(keys.to_json().as_bytes()).unwrap();
            assert_eq!(stored, keys);
            assert_eq!(verify(&stored, message, &signature), Ok(()));
            assert!(verify(&keys, &message[1..], &signature).is_err());
            signature[7] ^= 1;
            assert!(verify(&keys, message, &signature).is_err());
            assert!(verify(&keys, message, &[]).is_err());
        }
    }

    #[test]
    fn a_key_is_chosen_by_its_id_and_algorithm() {
        let keys = set(&[with(ed25519(), "kid", "a"), with(p256(), "kid", "b"), with(rsa(), "kid", "b")]).unwrap();
        for (algorithm, id, expected) in [
            (Algorithm::EdDsa, Some("a"), VerifyError::WrongSignature),
            (Algorithm::EdDsa, Some("b"), VerifyError::UnknownKey),
            (Algorithm::Rs256, Some("b"), VerifyError::WrongSignature),
            (Algorithm::Rs256, Some("a"), VerifyError::UnknownKey),
            (Algorithm::Es256, Some("c"), VerifyError::UnknownKey),
            (Algorithm::Es256, None, VerifyError::UnknownKey),
        ] {
            assert_eq!(keys.verify(algorithm, id, b"m", b"s"), Err(expected), "{algorithm:?} {id:?}");
        }
    }

    #[test]
    fn what_is_of_no_use_is_passed_over() {
        for key in [
            json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}),
            json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
            json!({"kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            with(p256(), "use", "enc"),
            with(p256(), "key_ops", json!(["encrypt"])),
            with(p256(), "alg", "ES384"),
            with(p256(), "alg", "none"),
            with(p256(), "d", "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"),
            with(p256(), "x", "AA"),
            with(p256(), "kid", "k".repeat(257)),
            with(p256(), "kid", 1),
            with(rsa(), "alg", "HS256"),
            with(rsa(), "n", &N[..200]),
            with(rsa(), "n", N.repeat(3)),
            with(rsa(), "n", format!("AA{}", &N[2..])),
            with(rsa(), "e", ""),
            with(rsa(), "e", "AQAAAAAB"),
            with(rsa(), "n", Value::Null),
            with(ed25519(), "x", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUR=="),
            json!("a text"),
            json!(null),
        ] {
            assert_eq!(set(std::slice::from_ref(&key)), Err(KeySetError::NoneOfUse), "{key}");
            assert_eq!(set(&[key.clone(), ed25519()]), set(&[ed25519()]), "{key}");
        }
        for key in [
            with(p256(), "use", "sig"),
            with(p256(), "key_ops", json!(["sign", "verify"])),
            with(p256(), "alg", "ES256"),
            with(ed25519(), "alg", "Ed25519"),
            with(rsa(), "alg", Value::Null),
            with(rsa(), "x5c", json!(["more"])),
        ] {
            assert!(set(std::slice::from_ref(&key)).is_ok(), "{key}");
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for body in ["", "[]", "{}", "null", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"keys":[],"keys":[]}"#] {
            assert_eq!(KeySet::read(body.as_bytes()), Err(KeySetError::Unreadable), "{body}");
        }
        assert_eq!(set(&[]), Err(KeySetError::NoneOfUse));
        assert!(set(&vec![p256(); KeySet::MAX_KEYS]).is_ok());
        assert_eq!(set(&vec![p256(); KeySet::MAX_KEYS + 1]), Err(KeySetError::TooMany));
    }
}
