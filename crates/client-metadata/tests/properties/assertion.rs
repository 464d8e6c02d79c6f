//! What holds for every client assertion. Shared with the fuzz target, which includes this file by its path.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use grantd_client_metadata::{Algorithm, Assertion, KeySet};

/// Keys whose private parts nobody has any more: no input is signed by them, but for what the corpus holds, which is not of
/// any client.
static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let keys = r#"{"keys":[
        {"kty":"OKP","crv":"Ed25519","kid":"e","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty":"EC","crv":"P-256","kid":"p","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
    ]}"#;
    KeySet::read(keys.as_bytes()).expect("two public keys")
});

/// The input is an assertion.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(read) = Assertion::parse(text) else { return };
    // Every byte of it counts: three parts of base64url, and nothing beside them.
    let parts: Vec<Vec<u8>> = text.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url")).collect();
    let [header, claims, signature] = &parts[..] else { panic!("three parts") };
    let again = [header, claims, signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    assert_eq!(again, text, "one text form");
    assert_eq!(Assertion::parse(&again).as_ref(), Ok(&read));
    // As any reader of JSON has it.
    let said = |part: &[u8], name: &str| -> serde_json::Value {
        serde_json::from_slice::<serde_json::Value>(part).expect("JSON")[name].clone()
    };
    assert_eq!(Algorithm::parse(said(header, "alg").as_str().unwrap_or_default()), Some(read.algorithm()));
    assert_eq!(said(claims, "sub"), read.subject());
    assert_eq!(said(claims, "jti"), read.id());
    assert!(!read.id().is_empty() && read.id().len() <= Assertion::MAX_ID);
    assert!(said(header, "crit").is_null());

    let exp = read.is_over_at() - 30;
    for audience in [said(claims, "aud"), said(claims, "aud")[0].clone()] {
        let Some(audience) = audience.as_str() else { continue };
        let check = |client: &str, audience: &str, now: u64| read.check(client, &[audience.to_owned()], now).is_ok();
        if check(read.subject(), audience, exp) {
            // For whom and of whom it is cannot be exchanged, and it ends.
            assert!(!check(read.subject(), &format!("{audience}x"), exp));
            assert!(!check(&format!("{}x", read.subject()), audience, exp));
            assert!(!check(read.subject(), audience, exp + 30));
            assert!(exp < 700 || !check(read.subject(), audience, exp - 631));
            assert_eq!(said(claims, "iss"), read.subject());
        }
    }
    assert!(read.verify(&KEYS).is_err(), "nobody has these keys");
    assert!(!format!("{read:?}").contains(text));
}
