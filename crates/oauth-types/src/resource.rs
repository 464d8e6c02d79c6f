//! The public URL and resource identifiers (RFC 8414 §2, RFC 8707 §2, RFC 9728 §1.2).

use std::fmt;

use url::Url;

use crate::host;

/// The configured public URL: the issuer, and the origin of every endpoint. Never ends in a slash, has no query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    url: Url,
}

impl PublicUrl {
    /// Reads the configured value; the error says what to change. `http` is for loopback hosts only.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text.trim_end_matches('/'))
            .map_err(|_| "it must be an absolute URL, such as https://mcp.example.com")?;
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => return Err("it must start with https:// (http:// is allowed for localhost only)"),
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err("it must have no query, fragment or user information");
        }
        if !url.host_str().is_some_and(host::is_plain) {
            return Err("its host has letters, digits, dots and hyphens only");
        }
        // The URL type lower-cases scheme and host, drops a default port and gives a bare origin a slash.
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { text, url })
    }

    /// The issuer identifier: no trailing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path of the issuer without a trailing slash; empty for a bare origin.
    pub fn path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Whether it is https: decides the cookie's name and attributes.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// An endpoint below the issuer; `path` starts with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// The resource identifier of a configured path.
    pub fn resource(&self, path: &str) -> ResourceUri {
        ResourceUri(self.join(path))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A resource identifier, byte for byte as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceUri(String);

impl ResourceUri {
    /// Wraps an identifier that was read from a store or a request of ours.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a client that sent `sent` means this resource. Clients add a slash, or send the origin alone; scheme and
    /// host are compared without case.
    pub fn is_meant_by(&self, sent: &str) -> bool {
        if sent == self.0 {
            return true;
        }
        let (Ok(own), Ok(other)) = (Url::parse(&self.0), Url::parse(sent)) else { return false };
        if other.fragment().is_some() || other.query() != own.query() || own.origin() != other.origin() {
            return false;
        }
        let (own, other) = (own.path().trim_end_matches('/'), other.path());
        let other = other.strip_suffix('/').unwrap_or(other);
        other == own || other.is_empty()
    }
}

impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_urls() {
        for (text, normal) in [
            ("https://mcp.example.com", "https://mcp.example.com"),
            ("https://MCP.example.com/", "https://mcp.example.com"),
            ("https://mcp.example.com:443", "https://mcp.example.com"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("https://example.com/auth/", "https://example.com/auth"),
        ] {
            assert_eq!(PublicUrl::parse(text).unwrap().as_str(), normal);
        }
        for bad in
            ["", "mcp.example.com", "http://mcp.example.com", "https://a/?q", "https://a/#f", "https://u@a/", "ftp://a"]
        {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(PublicUrl::parse("https://a.example/auth").unwrap().path(), "/auth");
        assert_eq!(PublicUrl::parse("https://a.example").unwrap().path(), "");
    }

    #[test]
    fn resources_are_meant_with_the_measured_tolerance() {
        let resource = PublicUrl::parse("https://mcp.example.com").unwrap().resource("/mcp");
        for (sent, meant) in [
            ("https://mcp.example.com/mcp", true),
            ("https://mcp.example.com/mcp/", true),
            ("https://MCP.example.com/mcp", true),
            ("https://mcp.example.com:443/mcp", true),
            ("https://mcp.example.com", true),
            ("https://mcp.example.com/", true),
            ("https://mcp.example.com/other", false),
            ("https://mcp.example.com/mcp//", false),
            ("https://mcp.example.com/mcp?x", false),
            ("https://mcp.example.com/mcp#x", false),
            ("https://evil.example/mcp", false),
            ("http://mcp.example.com/mcp", false),
            ("mcp", false),
        ] {
            assert_eq!(resource.is_meant_by(sent), meant, "{sent}");
        }
    }
}
