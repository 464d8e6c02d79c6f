//! Tokens, ids, hashes and PKCE.
//!
//! The input is read twice: as the text of a token, and as the bytes that tokens are made of. The second way reaches
//! behind the parsers at once, and what was made is then changed in one place, as a forger would.

use grantd_oauth_types::{
    AccessToken, ApplicationType, AuthorizationCode, ClientId, ClientSecret, CodeChallenge, CodeVerifier, Digest,
    GrantId, GrantType, OAuthErrorCode, RefreshToken, Secret, SessionSecret, Ticket, TokenEndpointAuthMethod,
};

pub(crate) fn check(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        what_is_read_has_one_text(text);
        verifiers(text);
    }
    what_is_made_is_read(input);
}

/// Whether `text` is read; what is read is written as the same text, so no other text is the same value.
fn is_read<T>(text: &str, read: fn(&str) -> Option<T>, write: fn(&T) -> String) -> bool {
    let Some(value) = read(text) else { return false };
    assert_eq!(write(&value), text);
    assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{text:?}");
    true
}

fn what_is_read_has_one_text(text: &str) {
    let tokens = [
        is_read(text, AccessToken::parse, AccessToken::to_text),
        is_read(text, AuthorizationCode::parse, AuthorizationCode::to_text),
        is_read(text, Ticket::parse, Ticket::to_text),
        is_read(text, RefreshToken::parse, RefreshToken::to_text),
        is_read(text, SessionSecret::parse, SessionSecret::to_text),
        is_read(text, ClientSecret::parse, ClientSecret::to_text),
    ];
    assert!(tokens.into_iter().filter(|is| *is).count() <= 1, "{text:?} is two kinds of token");
    if tokens.contains(&true) {
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')), "{text:?}");
    }
    is_read(text, GrantId::parse, GrantId::to_string);
    is_read(text, Digest::parse, Digest::to_string);
    is_read(text, CodeChallenge::parse, CodeChallenge::to_string);
    is_read(text, ClientId::parse, ClientId::to_string);
    is_read(text, OAuthErrorCode::parse, OAuthErrorCode::to_string);
    is_read(text, TokenEndpointAuthMethod::parse, |word| word.as_str().to_owned());
    is_read(text, GrantType::parse, |word| word.as_str().to_owned());
    is_read(text, ApplicationType::parse, |word| word.as_str().to_owned());
}

fn verifiers(text: &str) {
    let Some(verifier) = CodeVerifier::parse(text) else { return };
    assert_eq!(verifier.expose(), text.as_bytes());
    assert!(!format!("{verifier:?}").contains(text));
    let challenge = CodeChallenge::parse(&verifier.challenge().to_string()).expect("a challenge of ours is read");
    assert!(challenge.verify(&verifier));
    let mut other = text.to_owned();
    other.replace_range(..1, if text.starts_with('a') { "b" } else { "a" });
    assert!(!challenge.verify(&CodeVerifier::parse(&other).expect("as long, and of the alphabet")));
}

/// The first four bytes say what is changed, the others are what tokens are made of.
fn what_is_made_is_read(input: &[u8]) {
    let [kind, at, to, rest @ ..] = input else { return };
    let mut bytes = rest.iter().copied().chain(std::iter::repeat(*to));
    let mut take = || bytes.next().expect("without end");
    let grant_id = GrantId::new(std::array::from_fn(|_| take()));
    let secret = Secret::new(std::array::from_fn(|_| take()));
    let forge = |text: String| forged(&text, *kind, *at, *to);

    let token = AccessToken { grant_id, secret: secret.clone() };
    made(&token, token.to_text(), AccessToken::parse, forge);
    let token = AuthorizationCode { grant_id, secret: secret.clone() };
    made(&token, token.to_text(), AuthorizationCode::parse, forge);
    let token = Ticket { grant_id, secret: secret.clone() };
    made(&token, token.to_text(), Ticket::parse, forge);
    let token = SessionSecret(secret.clone());
    made(&token, token.to_text(), SessionSecret::parse, forge);
    let token = ClientSecret(secret.clone());
    made(&token, token.to_text(), ClientSecret::parse, forge);
    let generation = u64::from_be_bytes(std::array::from_fn(|_| take()));
    let token = RefreshToken { grant_id, generation, secret, mark: std::array::from_fn(|_| take()) };
    made(&token, token.to_text(), RefreshToken::parse, forge);
}

fn made<T: PartialEq + std::fmt::Debug>(
    token: &T,
    text: String,
    read: fn(&str) -> Option<T>,
    forge: impl Fn(String) -> Option<String>,
) {
    assert_eq!(read(&text).as_ref(), Some(token), "{text}");
    let shown = format!("{token:?}");
    assert!(!shown.contains(&text[text.len() - 30..]), "{shown} shows {text}");
    if let Some(other) = forge(text.clone())
        && other != text
    {
        assert_ne!(read(&other).as_ref(), Some(token), "{other} passes for {text}");
    }
}

/// `text` with one change.
fn forged(text: &str, kind: u8, at: u8, to: u8) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let at = usize::from(at) % bytes.len();
    match kind % 5 {
        0 => bytes[at] = to,
        1 => bytes.insert(at, to),
        2 => drop(bytes.remove(at)),
        3 => bytes.push(to),
        _ => bytes[at] ^= 0x20,
    }
    String::from_utf8(bytes).ok()
}
