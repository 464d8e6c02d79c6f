//! What was asked and what came back: the facts that every check judges.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde_json::Value;
use url::Url;

/// Why a request was sent. Each is sent once at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// `initialize` without a token.
    McpInitialize,
    /// GET without a token, a `User-Agent` and a version that is new: how rmcp, Codex and mcp-remote begin.
    McpGet,
    /// `server/discover` without a token: how clients of MCP 2026-07-28 begin.
    McpDiscover,
    /// A body that is no JSON, without a token.
    McpUnreadable,
    /// DELETE without a token.
    McpDelete,
    /// `initialize` with a token that was made up.
    McpBadToken,
    /// `initialize` at the address with a slash more or less.
    McpOtherSlash,
    /// `initialize` from a web page of another origin, without a token.
    McpFromBrowser,
    /// What a browser asks before it calls the MCP endpoint.
    McpPreflight,
    /// Resource metadata where the challenge says, when that is none of the usual places.
    ResourceAtHeader,
    /// Resource metadata at the well-known path followed by the path of the endpoint.
    ResourceAtPath,
    /// Resource metadata at the well-known path alone.
    ResourceAtRoot,
    /// What a browser asks before it reads the resource metadata.
    ResourcePreflight,
    /// A well-known address that does not exist.
    UnknownWellKnown,
    /// RFC 8414, the path of the issuer inserted.
    ServerOauth,
    /// OpenID Connect Discovery, the path of the issuer inserted.
    ServerOpenid,
    /// OpenID Connect Discovery, appended to the issuer as OpenID says.
    ServerOpenidAppended,
    /// RFC 8414 for the address of the MCP endpoint, where older clients look.
    ServerAtResource,
    /// Registration of a client as apps are: without a secret, with redirect URIs of several kinds.
    Register,
    /// Once more with a loopback redirect URI only, when the first was refused.
    RegisterPlain,
    /// Once more with a secret, when both were refused.
    RegisterSecret,
    /// What a browser asks before it registers.
    RegisterPreflight,
    /// Deleting the registration (RFC 7592 §2.3).
    Unregister,
    /// A good authorization request.
    Authorize,
    /// With a client that nobody knows.
    AuthorizeUnknownClient,
    /// With a redirect URI that the client did not register.
    AuthorizeUnknownRedirectUri,
    /// With another loopback port than was registered.
    AuthorizeOtherPort,
    /// With scopes that nobody knows.
    AuthorizeUnknownScope,
    /// Without scope and state.
    AuthorizeBare,
    /// With a slash at the end of a resource that has no path.
    AuthorizeSlashResource,
    /// A request that must be refused, with an answer to the client.
    AuthorizeError,
    /// With a client id that is the URL of a metadata document.
    AuthorizeDocument,
    /// A refresh token that was made up.
    TokenUnknownRefresh,
    /// The same with an empty secret.
    TokenEmptySecret,
    /// The refresh token that was made up, from a web page of another origin.
    TokenFromBrowser,
    /// A code that was made up.
    TokenUnknownCode,
    /// A client that nobody knows.
    TokenUnknownClient,
    /// What a browser asks before it calls the token endpoint.
    TokenPreflight,
    /// Revoking a token that was made up.
    RevokeUnknown,
    /// The code for tokens.
    Exchange,
    /// `initialize` with the access token.
    McpCall,
    /// The end of the session that `initialize` began.
    McpEnd,
    /// GET with the access token.
    McpStream,
    /// A refresh, without scope and resource.
    Refresh,
    /// `initialize` with the new access token.
    McpCallAfterRefresh,
    /// The refresh token that was just used, again.
    RefreshAgain,
    /// The newest refresh token, after the old one was refused.
    RefreshNewest,
    /// Revoking the newest refresh token.
    Revoke,
    /// It, after it was revoked.
    RefreshRevoked,
    /// The code, a second time.
    CodeAgain,
}

/// A redirect that was followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 307 or 308.
    pub status: u16,
    /// Where to.
    pub to: Url,
}

/// One request and its outcome.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Why it was sent.
    pub step: Step,
    /// How.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Redirects within one origin that were followed.
    pub redirects: Vec<Redirect>,
    /// What came of it.
    pub outcome: Result<Answer, Failure>,
}

impl Observation {
    /// The answer, if there is one.
    pub fn answer(&self) -> Option<&Answer> {
        self.outcome.as_ref().ok()
    }

    /// Its address, fit to show: the query may hold much.
    pub fn place(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        format!("{} {url}", self.method)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No connection. With the reason of the system.
    Connect(String),
    /// No secure connection. With the reason of TLS.
    Tls(String),
    /// Nothing came in time.
    TimedOut(Duration),
    /// What came is no whole answer, or too much.
    Broken(String),
}

/// An answer.
#[derive(Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header.
    pub headers: HeaderMap,
    /// The body; empty for streams of events, which are not read.
    pub body: Bytes,
    /// How long all of it took.
    pub elapsed: Duration,
}

impl fmt::Debug for Answer {
    /// Without headers and body, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes, {:?})", self.status, self.body.len(), self.elapsed)
    }
}

impl Answer {
    /// A header's value; empty when it is absent or no text.
    pub fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The media type, without parameters, in lower case.
    pub fn media_type(&self) -> String {
        self.header(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether it is served as JSON.
    pub fn is_served_as_json(&self) -> bool {
        let media_type = self.media_type();
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
    }

    /// The body as JSON, whatever it is served as.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body as a JSON object.
    pub fn object(&self) -> Option<Value> {
        self.json().filter(Value::is_object)
    }

    /// The OAuth error in the body (RFC 6749 §5.2).
    pub fn error(&self) -> Option<String> {
        self.json()?.get("error")?.as_str().map(str::to_owned)
    }

    /// Whether the body is a page.
    pub fn is_html(&self) -> bool {
        let start = self.body.get(..self.body.len().min(256)).unwrap_or_default().to_ascii_lowercase();
        let start = String::from_utf8_lossy(&start).trim_start().to_owned();
        self.media_type() == "text/html" || start.starts_with("<!doctype html") || start.starts_with("<html")
    }

    /// Where it redirects to.
    pub fn location(&self) -> Option<&str> {
        let location = self.header(header::LOCATION);
        (matches!(self.status, 300..=399) && !location.is_empty()).then_some(location)
    }

    /// The status, the error and the media type in a few words.
    pub fn in_short(&self) -> String {
        let mut said = self.status.to_string();
        if let Some(error) = self.error() {
            said = format!("{said} {error}");
        } else if self.is_html() {
            said.push_str(" with an HTML page");
        }
        if let Some(to) = self.location() {
            // Without its query, where a code may be.
            said = format!("{said} to {}", to.split(['?', '#']).next().unwrap_or_default());
        }
        said
    }
}
