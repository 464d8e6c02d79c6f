//! The client id as a URL (draft, section "Client Identifier").

use std::fmt;

use url::{Host, Url};

/// A client id that is the URL of its document. Its text is normal: what is fetched, compared, stored and shown is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdUrl {
    url: Url,
    host: String,
}

/// Why a client id is no URL of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClientIdUrlError(&'static str);

impl ClientIdUrl {
    /// The longest one, in bytes.
    pub const MAX_LEN: usize = 2048;

    /// Reads a client id; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ClientIdUrlError> {
        if text.len() > Self::MAX_LEN {
            return Err(ClientIdUrlError("a client_id URL may have at most 2048 bytes"));
        }
        let url = Url::parse(text).map_err(|_| ClientIdUrlError("this client_id is no URL"))?;
        if url.scheme() != "https" {
            return Err(ClientIdUrlError("a client_id URL must begin with https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ClientIdUrlError("a client_id URL must not have user information"));
        }
        if url.fragment().is_some() {
            return Err(ClientIdUrlError("a client_id URL must not have a fragment"));
        }
        if url.path() == "/" {
            return Err(ClientIdUrlError("a client_id URL must have a path"));
        }
        // The URL standard resolves dot segments, drops default ports and repairs much else.
        if url.as_str() != text {
            return Err(ClientIdUrlError(
                "a client_id URL must be in its normal form: no dot segments, a host in lower case, no default port",
            ));
        }
        // A person is asked to trust the host, and an address says nothing to them.
        let host = match url.host() {
            Some(Host::Domain(host)) if !host.ends_with('.') => host.to_owned(),
            _ => return Err(ClientIdUrlError("a client_id URL must have a domain name as its host")),
        };
        Ok(Self { url, host })
    }

    /// The client id, byte for byte.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Where to connect.
    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }

    /// For the `Host` header.
    pub(crate) fn authority(&self) -> String {
        self.url.port().map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    /// What to ask for.
    pub(crate) fn path_and_query(&self) -> String {
        self.url.query().map_or_else(|| self.url.path().to_owned(), |query| format!("{}?{query}", self.url.path()))
    }

    /// Whose claims the document holds: a domain name in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for ClientIdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ClientIdUrl;

    #[test]
    fn ids_of_real_clients_are_read() {
        for (text, host) in [
            ("https://claude.ai/oauth/claude-code-client-metadata", "claude.ai"),
            ("https://claude.ai/oauth/mcp-oauth-client-metadata", "claude.ai"),
            ("https://chatgpt.com/oauth/codex/client.json", "chatgpt.com"),
            ("https://vscode.dev/oauth/client-metadata.json", "vscode.dev"),
            ("https://zed.dev/oauth/client-metadata.json", "zed.dev"),
            ("https://goose-docs.ai/oauth/client-metadata.json", "goose-docs.ai"),
            ("https://a.example:8443/c?v=1", "a.example"),
        ] {
            let url = ClientIdUrl::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((url.as_str(), url.host()), (text, host));
        }
    }

    #[test]
    fn what_is_no_url_of_a_document_is_refused() {
        for text in [
            "",
            "an-id",
            "http://a.example/c",
            "https://a.example",
            "https://a.example/",
            "https://a.example/?c",
            "https://a.example/c#",
            "https://u@a.example/c",
            "https://u:p@a.example/c",
            "https://@a.example/c",
            "https://a.example/b/../c",
            "https://a.example/./c",
            "https://a.example/b/%2e%2e/c",
            "https://A.example/c",
            "HTTPS://a.example/c",
            "https://a.example:443/c",
            "https:/a.example/c",
            "https:\\\\a.example\\c",
            "https://a.example/c ",
            "https://a.example/\tc",
            "https://a.example./c",
            "https://127.0.0.1/c",
            "https://2130706433/c",
            "https://[::1]/c",
        ] {
            assert!(ClientIdUrl::parse(text).is_err(), "{text:?}");
        }
        assert!(ClientIdUrl::parse(&format!("https://a.example/{}", "c".repeat(2048))).is_err());
    }
}
