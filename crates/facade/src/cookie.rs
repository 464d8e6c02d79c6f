//! The session cookie (RFC 6265bis).
//!
//! On https it is `__Host-grantd`: the browser itself guarantees that this host set it, over TLS. On plain-http localhost
//! neither that prefix nor `Secure` is possible, and cookies ignore ports there: a client's callback listener on this
//! machine would receive it. So there each redirect to a client ends the session and clears the cookie
//! (see `answer`).

use http::{HeaderMap, HeaderValue, header};

/// The cookie of this deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionCookie {
    secure: bool,
}

impl SessionCookie {
    pub(crate) const fn new(https: bool) -> Self {
        Self { secure: https }
    }

    fn name(self) -> &'static str {
        if self.secure { "__Host-grantd" } else { "grantd-session" }
    }

    /// Whether the cookie goes to other ports of this host too.
    pub(crate) const fn leaks_to_other_ports(self) -> bool {
        !self.secure
    }

    /// The session secret a browser sent; nothing when there is none or it cannot be one.
    pub(crate) fn read(self, headers: &HeaderMap) -> Option<String> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.name())
            // On localhost anything that listens on another port may have set one of this name before.
            .find(|(_, value)| is_token(value))
            .map(|(_, value)| value.to_owned())
    }

    /// `Set-Cookie` for a new session.
    pub(crate) fn set(self, secret: &str, expires_in: i64) -> Option<HeaderValue> {
        let mut value = is_token(secret).then(|| self.header(secret, expires_in.max(0)))?;
        value.set_sensitive(true);
        Some(value)
    }

    /// `Set-Cookie` that takes it away.
    pub(crate) fn clear(self) -> HeaderValue {
        self.header("", 0)
    }

    fn header(self, value: &str, max_age: i64) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}", self.name());
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

fn is_token(value: &str) -> bool {
    (1..=256).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(https: bool, cookies: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        SessionCookie::new(https).read(&headers)
    }

    #[test]
    fn reading() {
        assert_eq!(read(true, &["__Host-grantd=gds_a"]).as_deref(), Some("gds_a"));
        assert_eq!(read(true, &["a=b; __Host-grantd=gds_a;c=d"]).as_deref(), Some("gds_a"));
        assert_eq!(read(true, &["a=b", "__Host-grantd=gds_a"]).as_deref(), Some("gds_a"));
        assert_eq!(read(false, &["grantd-session=gds_a"]).as_deref(), Some("gds_a"));
        for none in ["", "grantd-session=gds_a", "x__Host-grantd=a", "__Host-grantd=", "__Host-grantd=a b", "=", ";;"] {
            assert_eq!(read(true, &[none]), None, "{none}");
        }
    }

    #[test]
    fn writing() {
        let https = SessionCookie::new(true);
        assert_eq!(
            https.set("gds_a", 60).unwrap(),
            "__Host-grantd=gds_a; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            SessionCookie::new(false).set("gds_a", 60).unwrap(),
            "grantd-session=gds_a; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
        );
        assert_eq!(https.clear(), "__Host-grantd=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(https.set("a; Domain=evil.example", 60), None);
    }
}
