//! Redirect URIs: what may be registered, and what matches (RFC 6749 §3.1.2, RFC 8252 §7, OAuth 2.1 §2.3.1).
//!
//! What [`RedirectUri::parse`] accepts at registration is accepted at authorization as well. The text is kept as it was
//! sent: it is echoed byte for byte.

use std::fmt;

use url::{Host, Url};

use crate::host;

/// A redirect URI, as sent and as parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectUri {
    text: String,
    url: Url,
}

/// Where an answer would go, for the person and for the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectKind {
    /// A web site.
    Https,
    /// A program on the person's own machine, by port. Any local program may listen there.
    Loopback,
    /// A program on the person's own machine, by private-use scheme. Any local program may claim it.
    PrivateUse,
}

/// Schemes that execute or show what they carry, reach the local machine, or start something that is no OAuth client.
const FORBIDDEN_SCHEMES: [&str; 67] = [
    "javascript",
    "data",
    "vbscript",
    "livescript",
    "mocha",
    "blob",
    "file",
    "about",
    "filesystem",
    "view-source",
    "ws",
    "wss",
    "ftp",
    "ftps",
    "sftp",
    "gopher",
    "chrome",
    "chrome-extension",
    "moz-extension",
    "edge",
    "opera",
    "resource",
    "jar",
    "intent",
    "android-app",
    "market",
    "itms-apps",
    "mailto",
    "tel",
    "sms",
    "smsto",
    "facetime",
    "callto",
    "magnet",
    "search",
    "search-ms",
    "shell",
    "smb",
    "nfs",
    "ssh",
    "telnet",
    "ldap",
    "ldaps",
    "afp",
    "rtsp",
    "brave",
    "firefox",
    "wyciwyg",
    "feed",
    "content",
    "mms",
    "facetime-audio",
    "itms",
    "itms-services",
    "res",
    "mk",
    "mhtml",
    "hcp",
    "jscript",
    "applescript",
    "x-apple.systempreferences",
    "steam",
    "git",
    "svn",
    "cid",
    "mid",
    "urn",
];
/// The beginnings of such families: handlers of Windows.
const FORBIDDEN_FAMILIES: [&str; 1] = ["ms-"];
/// The longest scheme, in bytes.
const MAX_SCHEME: usize = 64;
/// The longest host, and the longest label of one, in bytes (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

impl RedirectUri {
    /// The longest URI accepted, in bytes.
    pub const MAX_LEN: usize = 2048;

    /// Reads a redirect URI; the error says what is wrong, for `invalid_redirect_uri`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > Self::MAX_LEN {
            return Err("a redirect URI may have at most 2048 bytes");
        }
        // The URL standard strips or repairs these silently; what is shown, stored and sent must be the same text.
        if text.bytes().any(|b| !b.is_ascii_graphic() || b == b'\\') {
            return Err(
                "a redirect URI must be ASCII, without spaces, control characters or backslashes; percent-encode the rest",
            );
        }
        let url = Url::parse(text).map_err(|_| "a redirect URI must be an absolute URI")?;
        if url.fragment().is_some() {
            return Err("a redirect URI must not have a fragment");
        }
        if url.scheme().len() > MAX_SCHEME || url.host_str().is_some_and(is_long) {
            return Err("the scheme or the host of the redirect URI is too long");
        }
        // The parser drops an `@` with nothing before it.
        let authority = authority(text, url.scheme());
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err("a redirect URI must not have user information");
        }
        if matches!(url.scheme(), "https" | "http") {
            if authority.is_none_or(str::is_empty) {
                return Err("a redirect URI must begin with https:// (or http://) and a host");
            }
            if !url.host_str().is_some_and(host::is_plain) {
                return Err("the host of a redirect URI has letters, digits, dots and hyphens only");
            }
        }
        match url.scheme() {
            "https" if url.host().is_some() => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err("an http redirect URI must be on localhost, 127.0.0.1 or [::1]; use https elsewhere"),
            scheme
                if FORBIDDEN_SCHEMES.contains(&scheme)
                    || FORBIDDEN_FAMILIES.iter().any(|family| scheme.starts_with(family)) =>
            {
                return Err("this scheme cannot receive an authorization response");
            }
            _ => {}
        }
        Ok(Self { text: text.to_owned(), url })
    }

    /// The URI as it was sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the answer goes.
    pub fn kind(&self) -> RedirectKind {
        match self.url.scheme() {
            "https" => RedirectKind::Https,
            "http" => RedirectKind::Loopback,
            _ => RedirectKind::PrivateUse,
        }
    }

    /// The host in lower case, or nothing for private-use schemes.
    pub fn host(&self) -> Option<&str> {
        match self.kind() {
            RedirectKind::PrivateUse => None,
            _ => self.url.host_str(),
        }
    }

    /// The scheme in lower case.
    pub fn scheme(&self) -> &str {
        self.url.scheme()
    }

    /// Whether a request's URI (`self`) is the registered one. Exact, but for the port of loopback URIs: native clients
    /// take a free one each time (RFC 8252 §7.3), and do so on `localhost` as well.
    pub fn matches(&self, registered: &Self) -> bool {
        if self.text == registered.text {
            return true;
        }
        self.kind() == RedirectKind::Loopback
            && registered.kind() == RedirectKind::Loopback
            && self.url.host() == registered.url.host()
            && self.url.path() == registered.url.path()
            && self.url.query() == registered.url.query()
    }

    /// The URI with response parameters appended (RFC 6749 §4.1.2). Spaces become `%20`, never `+`: some clients decode
    /// nothing else.
    pub fn with_params<'a>(&self, params: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut out = self.text.clone();
        let mut separator = match self.text.find('?') {
            None => "?",
            Some(at) if at + 1 == self.text.len() => "",
            Some(_) => "&",
        };
        for (name, value) in params {
            out.push_str(separator);
            out.push_str(name);
            out.push('=');
            out.extend(percent_encoding::utf8_percent_encode(value, UNRESERVED_ONLY));
            separator = "&";
        }
        out
    }
}

/// Longer than the DNS lets a name or a part of one be.
fn is_long(host: &str) -> bool {
    host.len() > MAX_HOST || host.split('.').any(|label| label.len() > MAX_LABEL)
}

/// The authority, where RFC 3986 §3 has it. The URL standard also takes `https:/host`, `https:host`, `https:///host` and
/// `https://@host` for `https://host`.
fn authority<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let rest = text.get(scheme.len()..)?.strip_prefix("://")?;
    rest.split(['/', '?', '#']).next()
}

/// Everything but the unreserved characters of RFC 3986.
const UNRESERVED_ONLY: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> RedirectUri {
        RedirectUri::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn what_real_clients_register_is_accepted() {
        for text in [
            "https://claude.ai/api/mcp/auth_callback",
            "http://localhost:3118/callback",
            "http://127.0.0.1/",
            "http://127.0.0.1:33418/",
            "http://[::1]:9/cb",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "vscode://saoudrizwan.claude-dev/mcp-auth/callback/ab",
            "com.example.app:/oauth2redirect",
            "https://a.example/cb?x=1",
            "vscode-insiders://vscode.github-authentication/did-authenticate",
            "windsurf://codeium.windsurf/oauth/callback",
            "zed://mcp/callback",
            "claude://mcp/callback",
            "raycast://oauth",
        ] {
            assert_eq!(uri(text).as_str(), text);
        }
    }

    #[test]
    fn what_cannot_be_safe_is_refused() {
        for text in [
            "",
            "/cb",
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "blob:https://a/b",
            "file:///etc/passwd",
            "about:blank",
            "http://example.com/cb",
            "http://localhost.evil.example/cb",
            "http://127.0.0.1.evil.example/",
            "https://user:pw@a.example/",
            "https://a.example/#f",
            "https://a.example/#",
            "https://a.example/\0",
            "https://a.example/ b",
            "java\tscript:alert(1)",
            "https:\\\\evil.example",
            "ms-msdt:/id",
            "search-ms:query",
            "MailTo:a@b",
            "https://",
            "https:/a.example/cb",
            "https://@a.example/cb",
            "https://\"a\".example/cb",
            "app://@",
            "app://user@x/cb",
            "https:/a.example/x://b.example/cb",
        ] {
            assert!(RedirectUri::parse(text).is_err(), "{text:?}");
        }
        assert!(RedirectUri::parse(&format!("https://a.example/{}", "a".repeat(2048))).is_err());
        for (label, times, fine) in [(63, 3, true), (64, 1, false), (63, 4, false)] {
            let host = format!("{}.", "a".repeat(label)).repeat(times);
            assert_eq!(RedirectUri::parse(&format!("https://{host}example/cb")).is_ok(), fine, "{label} {times}");
        }
        assert!(RedirectUri::parse(&format!("{}://cb", "a".repeat(64))).is_ok());
        assert!(RedirectUri::parse(&format!("{}://cb", "a".repeat(65))).is_err());
    }

    #[test]
    fn matching() {
        for (sent, registered, matches) in [
            ("http://localhost:1/cb", "http://localhost:2/cb", true),
            ("http://localhost:1/cb", "http://localhost/cb", true),
            ("http://127.0.0.1:1/", "http://127.0.0.1/", true),
            ("http://[::1]:1/cb", "http://[::1]:2/cb", true),
            ("http://localhost:1/cb", "http://127.0.0.1:1/cb", false),
            ("http://localhost:1/cb2", "http://localhost:1/cb", false),
            ("http://localhost:1/cb/", "http://localhost:1/cb", false),
            ("http://localhost:1/cb?a", "http://localhost:1/cb", false),
            ("https://a.example:444/cb", "https://a.example/cb", false),
            ("https://a.example/cb", "https://A.example/cb", false),
            ("https://localhost:1/cb", "https://localhost:2/cb", false),
            ("cursor://x/cb", "cursor://x/cb", true),
            ("cursor://x:1/cb", "cursor://x:2/cb", false),
        ] {
            assert_eq!(uri(sent).matches(&uri(registered)), matches, "{sent} {registered}");
        }
    }

    #[test]
    fn parameters_are_appended_byte_for_byte() {
        let params = [("code", "a-b"), ("state", "x y+/=%&é")];
        assert_eq!(
            uri("https://a.example/cb").with_params(params),
            "https://a.example/cb?code=a-b&state=x%20y%2B%2F%3D%25%26%C3%A9"
        );
        assert_eq!(uri("https://a.example/cb?q=1").with_params([("a", "b")]), "https://a.example/cb?q=1&a=b");
        assert_eq!(uri("https://a.example/cb?").with_params([("a", "b")]), "https://a.example/cb?a=b");
        assert_eq!(uri("cursor://x/cb").with_params([("a", "b")]), "cursor://x/cb?a=b");
    }
}
