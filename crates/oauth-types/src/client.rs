//! Client ids and the enumerations of client metadata (RFC 7591 §2).

use std::fmt;

use crate::Digest;

/// A client id as grantd gives it, or any text of that alphabet; or the https URL of a metadata document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

impl ClientId {
    /// Reads a client id: 1 to 128 characters of `A-Za-z0-9_-`, or an https URL of at most 2048. Whether such a URL may be
    /// one is judged where its document is fetched.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        let url = || {
            let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'<' | b'>' | b'{' | b'}');
            text.len() <= 2048 && text.starts_with("https://") && text.bytes().all(is_plain)
        };
        (plain || url()).then(|| Self(text.to_owned()))
    }

    /// Whether it is the URL of a metadata document.
    pub fn is_url(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// What stands for it in the keys of a store: the id, or the hash of a URL.
    pub fn key(&self) -> String {
        if self.is_url() { Digest::of(self.0.as_bytes()).to_string() } else { self.0.clone() }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As it goes over the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads it; `None` for a value grantd does not support.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words! {
    /// How a client authenticates at the token endpoint. What a client uses in fact may differ: real clients send a
    /// secret by either method, whatever they registered.
    TokenEndpointAuthMethod {
        /// A public client; PKCE protects its codes.
        None = "none",
        /// RFC 6749 §2.3.1, in the Authorization header. The default of RFC 7591.
        ClientSecretBasic = "client_secret_basic",
        /// RFC 6749 §2.3.1, in the body.
        ClientSecretPost = "client_secret_post",
    }
}
words! {
    /// The grants grantd supports.
    GrantType {
        /// RFC 6749 §4.1.
        AuthorizationCode = "authorization_code",
        /// RFC 6749 §6.
        RefreshToken = "refresh_token",
    }
}
words! {
    /// OpenID Connect Registration §2. Informative: any type may use any redirect URI.
    ApplicationType {
        /// On the person's machine.
        Native = "native",
        /// On a server.
        Web = "web",
    }
}
