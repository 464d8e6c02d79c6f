//! The text form of everything secret that leaves grantd.
//!
//! A token is a prefix of its kind (so that secret scanners find leaks) and one base64url blob that names its grant and
//! holds a 256-bit secret. Only `A-Za-z0-9_-` occur: some clients put tokens into headers and URLs without encoding.
//! What does not parse here is refused without asking the store. Every field is of fixed width and base64 is decoded
//! strictly, so a token has exactly one text form.
//!
//! The types have a redacted `Debug` and no `Display`; [`to_text`](AccessToken::to_text) is the one way out.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{Digest, Secret};

/// The id of a grant: 128 random bits. Not a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantId([u8; 16]);

impl GrantId {
    /// Wraps random bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, for derivation.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads the text form (22 characters).
    pub fn parse(text: &str) -> Option<Self> {
        decode::<16>(text).map(Self)
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantId({self})")
    }
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The length check comes first, so that a huge input is not decoded.
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    let mut bytes = [0; N];
    let written = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (written == N).then_some(bytes)
}

fn encode(prefix: &str, parts: &[&[u8]]) -> String {
    let mut text = String::with_capacity(prefix.len() + 96);
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(parts.concat(), &mut text);
    text
}

/// Takes `N` bytes off the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    *bytes = tail;
    Some(*head)
}

macro_rules! grant_secret {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name {
            /// The grant it belongs to.
            pub grant_id: GrantId,
            /// What proves it.
            pub secret: Secret,
        }

        impl $name {
            /// What its text starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Reads the text form; `None` when it is not one.
            pub fn parse(text: &str) -> Option<Self> {
                let bytes = decode::<48>(text.strip_prefix(Self::PREFIX)?)?;
                let rest = &mut bytes.as_slice();
                Some(Self { grant_id: GrantId(take(rest)?), secret: Secret::new(take(rest)?) })
            }

            /// The text that goes to its holder, and nowhere else.
            pub fn to_text(&self) -> String {
                encode(Self::PREFIX, &[self.grant_id.as_bytes(), self.secret.expose()])
            }

            /// What may be stored of it.
            pub fn digest(&self) -> Digest {
                self.secret.digest()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({}, redacted)"), self.grant_id)
            }
        }
    };
}

grant_secret! {
    /// An access token (RFC 6749 §1.4).
    AccessToken, "gda_"
}
grant_secret! {
    /// An authorization code (RFC 6749 §1.3.1).
    AuthorizationCode, "gdc_"
}
grant_secret! {
    /// What a consent page's approve and deny links carry.
    Ticket, "gdt_"
}

/// A refresh token (RFC 6749 §1.5): its generation, its secret and a mark that proves grantd made it even when its hash
/// is long forgotten.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// The grant it belongs to.
    pub grant_id: GrantId,
    /// Which rotation of the grant it is; the first is 1.
    pub generation: u64,
    /// What proves it.
    pub secret: Secret,
    /// A MAC over generation and secret; see the ratchet in `grantd-core`.
    pub mark: [u8; 16],
}

impl RefreshToken {
    /// What its text starts with.
    pub const PREFIX: &'static str = "gdr_";

    /// Reads the text form; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = decode::<72>(text.strip_prefix(Self::PREFIX)?)?;
        let rest = &mut bytes.as_slice();
        Some(Self {
            grant_id: GrantId(take(rest)?),
            generation: u64::from_be_bytes(take(rest)?),
            secret: Secret::new(take(rest)?),
            mark: take(rest)?,
        })
    }

    /// The text that goes to its holder, and nowhere else.
    pub fn to_text(&self) -> String {
        let generation = self.generation.to_be_bytes();
        encode(Self::PREFIX, &[self.grant_id.as_bytes(), &generation, self.secret.expose(), &self.mark])
    }

    /// What may be stored of it.
    pub fn digest(&self) -> Digest {
        self.secret.digest()
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshToken({}, generation {}, redacted)", self.grant_id, self.generation)
    }
}

macro_rules! lone_secret {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(pub Secret);

        impl $name {
            /// What its text starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Reads the text form; `None` when it is not one.
            pub fn parse(text: &str) -> Option<Self> {
                decode::<32>(text.strip_prefix(Self::PREFIX)?).map(|bytes| Self(Secret::new(bytes)))
            }

            /// The text that goes to its holder, and nowhere else.
            pub fn to_text(&self) -> String {
                encode(Self::PREFIX, &[self.0.expose()])
            }

            /// What may be stored of it.
            pub fn digest(&self) -> Digest {
                self.0.digest()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}

lone_secret! {
    /// The value of a sign-in cookie.
    SessionSecret, "gds_"
}
lone_secret! {
    /// A confidential client's secret (RFC 6749 §2.3.1).
    ClientSecret, "gdk_"
}
lone_secret! {
    /// By which a client manages its registration (RFC 7592 §3). It has nothing to do with its tokens.
    RegistrationAccessToken, "gdm_"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn access_round_trips(id: [u8; 16], secret: [u8; 32]) {
            let token = AccessToken { grant_id: GrantId::new(id), secret: Secret::new(secret) };
            let text = token.to_text();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(AccessToken::parse(&text), Some(token));
        }

        #[test]
        fn refresh_round_trips(id: [u8; 16], generation: u64, secret: [u8; 32], mark: [u8; 16]) {
            let token = RefreshToken { grant_id: GrantId::new(id), generation, secret: Secret::new(secret), mark };
            prop_assert_eq!(RefreshToken::parse(&token.to_text()), Some(token));
        }

        #[test]
        fn no_input_panics(text in ".{0,200}") {
            let _ = (AccessToken::parse(&text), RefreshToken::parse(&text), SessionSecret::parse(&text), GrantId::parse(&text));
        }

        #[test]
        fn a_token_has_one_text_form(secret: [u8; 32], at in 4_usize..47, to in proptest::char::range('!', '~')) {
            let text = SessionSecret(Secret::new(secret)).to_text();
            let mut other = text.clone();
            other.replace_range(at..=at, &to.to_string());
            prop_assume!(other != text);
            prop_assert_ne!(SessionSecret::parse(&other), SessionSecret::parse(&text));
        }
    }

    #[test]
    fn kinds_do_not_mix() {
        let token = AccessToken { grant_id: GrantId::new([7; 16]), secret: Secret::new([9; 32]) };
        let text = token.to_text();
        assert_eq!(AuthorizationCode::parse(&text), None);
        assert_eq!(Ticket::parse(&text), None);
        assert_eq!(AccessToken::parse(&format!("{text}A")), None);
        assert_eq!(AccessToken::parse(&format!("{text}=")), None);
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = AccessToken { grant_id: GrantId::new([7; 16]), secret: Secret::new([9; 32]) };
        let shown = format!("{token:?} {:?}", SessionSecret(Secret::new([9; 32])));
        assert!(shown.contains("redacted"));
        assert!(!shown.contains(&URL_SAFE_NO_PAD.encode([9; 30])));
    }
}
