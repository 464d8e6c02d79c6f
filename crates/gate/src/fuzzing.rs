//! What holds for every input of the gate's parsers. They are private, and stay so: this module is there for the fuzz
//! targets (feature `fuzzing`) and for the tests that feed their corpora to the same functions, and in no other build.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use grantd_oauth_types::{AccessToken, PublicUrl, ResourceUri, ScopeSet};
use grantd_proto::v1::TokenAllowed;
use url::Url;

mod messages;
mod names;
mod streams;

pub use self::{
    messages::message,
    names::rules,
    streams::{list, stream},
};
use crate::{
    GateConfig, GateResource,
    check::{Bearer, bearer},
    cors, headers, proxy,
};

/// What the gate says of a person.
const IDENTITY: [&str; 6] = [
    "x-forwarded-user",
    "x-forwarded-preferred-username",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-grantd-client-id",
    "x-grantd-scope",
];

/// Requests at the gate. The input is headers, a line each, then an empty line, then lines: the request target, and a
/// person's subject, user name, address, client, scope and groups.
pub fn gate(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (head, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut from = HeaderMap::new();
    for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.trim().as_bytes())) {
            from.append(name, value);
        }
    }
    let mut lines = rest.split('\n');
    let target = lines.next().unwrap_or_default();
    let mut line = || lines.next().unwrap_or_default().to_owned();
    let mut allowed = TokenAllowed {
        subject: line(),
        username: line(),
        email: line(),
        client_id: line(),
        scope: line(),
        ..TokenAllowed::default()
    };
    allowed.groups = lines.map(str::to_owned).collect();

    let Ok(public) = PublicUrl::parse("https://issuer.example:8443/auth") else { unreachable!("a public URL") };
    credentials(&from);
    to_upstream(&from, &allowed, &public);
    from_upstream(&from);
    origin(&from, public);
    upstream_url(target);
}

fn credentials(from: &HeaderMap) {
    let sent: Vec<&HeaderValue> = from.get_all(header::AUTHORIZATION).iter().collect();
    match bearer(from) {
        Bearer::Twice => assert!(sent.len() > 1),
        Bearer::Token(token) => {
            assert!(matches!(&sent[..], [value] if !value.as_bytes().is_empty()));
            assert_eq!(token.trim_matches(' '), token);
            // What is asked about is what was sent, to the letter.
            if let Some(read) = AccessToken::parse(token) {
                assert_eq!(read.to_text(), token);
            }
        }
        Bearer::None => {
            let is_bearer = |value: &&HeaderValue| {
                let bytes = value.as_bytes();
                bytes.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"bearer "))
            };
            assert!(sent.len() <= 1 && !sent.iter().any(is_bearer));
        }
    }
}

/// As a server behind CGI folds names.
fn folded(name: &str) -> String {
    name.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b.to_ascii_lowercase()) } else { '-' }).collect()
}

fn to_upstream(from: &HeaderMap, allowed: &TokenAllowed, public: &PublicUrl) {
    let to = headers::to_upstream(from, &headers::identity(allowed), &headers::origin(public));
    let claims = ["x-forwarded-", "x-grantd-", "x-auth-request-", "x-remote-", "remote-"];
    let gone = [
        "forwarded",
        "x-real-ip",
        "authorization",
        "cookie",
        "origin",
        "host",
        "connection",
        "transfer-encoding",
        "content-length",
        "te",
    ];
    for name in to.keys() {
        let folded = folded(name.as_str());
        assert!(!gone.contains(&folded.as_str()), "{name}");
        if claims.iter().any(|claim| folded.starts_with(claim)) {
            let is_ours =
                IDENTITY.contains(&name.as_str()) || matches!(name.as_str(), "x-forwarded-proto" | "x-forwarded-host");
            assert!(is_ours && to.get_all(name).iter().count() == 1, "{name}");
        }
        assert!(folded != headers::MCP_SESSION_ID || name == headers::MCP_SESSION_ID, "{name}");
    }
    assert_eq!(to.get("x-forwarded-proto").map(HeaderValue::as_bytes), Some(&b"https"[..]));
    assert_eq!(to.get("x-forwarded-host").map(HeaderValue::as_bytes), Some(&b"issuer.example:8443"[..]));

    // Whoever decodes percent-encoding gets what TokenService said, whatever letters it is made of.
    let said = |name: &str| {
        let value = to.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        assert!(value.iter().all(|b| matches!(b, b' '..=b'~')) && value.trim_ascii() == value, "{value:?}");
        value
    };
    let [user, username, email, groups, client, scope] = IDENTITY.map(said);
    for (value, meant) in [
        (user, &allowed.subject),
        (username, &allowed.username),
        (email, &allowed.email),
        (client, &allowed.client_id),
        (scope, &allowed.scope),
    ] {
        assert_eq!(decoded(value), meant.as_bytes());
    }
    let found: Vec<Vec<u8>> = groups.split(|b| *b == b',').map(decoded).collect();
    let meant: Vec<&[u8]> = allowed.groups.iter().map(String::as_bytes).collect();
    assert!(found == meant || (groups.is_empty() && meant.concat().is_empty()));

    // What has nothing to do with any of this passes as it came.
    if !from.contains_key(header::CONNECTION) {
        for name in ["accept", "content-type", "mcp-session-id", "mcp-protocol-version", "last-event-id", "x-kept"] {
            assert!(from.get_all(name).iter().eq(to.get_all(name)), "{name}");
        }
    }
}

fn decoded(value: &[u8]) -> Vec<u8> {
    let mut bytes = value.iter();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().and_then(|b| char::from(*b).to_digit(16)).unwrap_or_default();
        out.push(if *byte == b'%' { u8::try_from(digit() * 16 + digit()).unwrap_or_default() } else { *byte });
    }
    out
}

fn from_upstream(headers: &HeaderMap) {
    let mut left = headers.clone();
    headers::from_upstream(&mut left);
    for gone in ["connection", "keep-alive", "transfer-encoding", "upgrade", "set-cookie", "strict-transport-security"]
    {
        assert!(!left.contains_key(gone), "{gone}");
    }
    let stores = |headers: &HeaderMap| {
        let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        !values.flat_map(|text| text.split(',')).any(|one| one.trim().eq_ignore_ascii_case("no-store"))
    };
    assert!(!stores(&left));
    let same = |name: &HeaderName| left.get_all(name).iter().eq(headers.get_all(name));
    assert!(left.keys().filter(|name| *name != header::CACHE_CONTROL).all(same));
}

fn origin(from: &HeaderMap, public_url: PublicUrl) {
    let config = GateConfig {
        public_url,
        resources: vec![],
        cache_max_age: Duration::ZERO,
        cache_entries: 0,
        stream_max_age: Duration::ZERO,
        call_timeout: Duration::ZERO,
        max_calls: 0,
        upstream_timeout: Duration::ZERO,
        max_body: 0,
        allowed_origins: vec!["https://app.example".to_owned()],
    };
    for origin in from.get_all(header::ORIGIN) {
        if !cors::origin_allowed(&config, origin) {
            continue;
        }
        let text = origin.to_str().unwrap_or_default();
        // What a browser sends is the serialization of an origin; nothing that only contains a good one may pass.
        let is_local = Url::parse(text).is_ok_and(|url| {
            let hosts = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{}://{host}", url.scheme()));
            let origin = url.origin().ascii_serialization();
            origin != text
                || hosts
                    .iter()
                    .any(|host| origin.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')))
        });
        assert!(is_local || matches!(text, "https://issuer.example:8443" | "https://app.example"), "{text}");
    }
}

/// Whatever was asked for, the upstream is asked, and at its first path for what is configured.
fn upstream_url(target: &str) {
    let Ok(request) = target.parse::<Uri>() else { return };
    let Ok(upstream) = Url::parse("http://10.0.0.7:3000/base/mcp?key=1") else { unreachable!("a URL") };
    let resource = GateResource {
        identifier: ResourceUri::new("https://issuer.example/mcp"),
        name: String::new(),
        paths: vec!["/mcp".to_owned(), "/other".to_owned()],
        upstream,
        upstream_tls: None,
        scopes: ScopeSet::default(),
        default_scopes: ScopeSet::default(),
        required_scopes: ScopeSet::default(),
        rules: Vec::new(),
        trust_mcp_headers: false,
        hide_forbidden_tools: false,
    };
    for path in ["/mcp", "/other"] {
        let Some(uri) = proxy::target(&resource, path, &request) else { continue };
        assert_eq!((uri.scheme_str(), uri.authority().map(|a| a.as_str())), (Some("http"), Some("10.0.0.7:3000")));
        let query = uri.query().unwrap_or_default();
        if path == "/mcp" {
            assert_eq!(uri.path(), "/base/mcp");
            assert!(query == "key=1" || query.strip_prefix("key=1&") == request.query(), "{query}");
        } else {
            assert_eq!((uri.path(), uri.query()), (request.path(), request.query()));
        }
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::replay::replay;

    #[test]
    fn gate() {
        replay("gate", super::gate);
    }

    #[test]
    fn message() {
        replay("message", super::message);
    }

    #[test]
    fn rules() {
        replay("rules", super::rules);
    }

    #[test]
    fn stream() {
        replay("stream", super::stream);
    }

    #[test]
    fn list() {
        replay("list", super::list);
    }
}
