//! Which headers pass, in both directions.
//!
//! To the upstream: not the token, not our cookie, not hop-by-hop headers (those that `Connection` names included), and no
//! identity header from outside, however it is spelled. Names are compared with everything but letters and digits as `-`:
//! CGI and its descendants make `_` of `-`, and some of them of every other character too.
//! From the upstream: not hop-by-hop headers, and nothing that would hold for the issuer's whole origin, such as a cookie.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use grantd_oauth_types::PublicUrl;
use grantd_proto::v1::TokenAllowed;

const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What an upstream says for every page of its origin, which is the issuer's.
const ORIGIN_WIDE: [&str; 4] = ["set-cookie", "alt-svc", "clear-site-data", "strict-transport-security"];

/// Set by the gate alone, or by other proxies of its kind, of which an upstream may believe it.
fn is_ours(name: &str) -> bool {
    matches!(name, "forwarded" | "x-real-ip")
        || ["x-forwarded-", "x-grantd-", "x-auth-request-", "x-remote-", "remote-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// As servers compare names that fold them.
pub(crate) fn folded(name: &str) -> Cow<'_, str> {
    let is_folded = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    if name.bytes().all(is_folded) {
        return Cow::Borrowed(name);
    }
    name.trim().chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

/// The MCP transport's session.
pub(crate) const MCP_SESSION_ID: &str = "mcp-session-id";

/// What goes to the upstream, with what it is told of the person (`identity`) and of the public URL (`origin`).
pub(crate) fn to_upstream(from: &HeaderMap, identity: &HeaderMap, origin: &HeaderMap) -> HeaderMap {
    let hops = named_by_connection(from);
    let hops: Vec<_> = hops.iter().map(|name| folded(name)).collect();
    let mut to = HeaderMap::with_capacity(from.len() + identity.len() + origin.len());
    for (name, value) in from {
        let folded = &*folded(name.as_str());
        let dropped = HOP_BY_HOP.contains(&folded)
            || hops.iter().any(|hop| hop == folded)
            || is_ours(folded)
            || matches!(folded, "authorization" | "cookie" | "origin" | "host" | "content-length" | "expect")
            // The one spelling that was checked to be this person's.
            || (folded == MCP_SESSION_ID && name.as_str() != MCP_SESSION_ID);
        if !dropped {
            to.append(name.clone(), value.clone());
        }
    }
    to.extend(identity.iter().chain(origin).map(|(name, value)| (name.clone(), value.clone())));
    to
}

/// Who calls, and by which client.
pub(crate) fn identity(allowed: &TokenAllowed) -> HeaderMap {
    // A comma in a group's name is not one between two.
    let groups: Vec<_> = allowed.groups.iter().map(|group| text(group).replace(',', "%2C")).collect();
    set([
        ("x-forwarded-user", &*text(&allowed.subject)),
        ("x-forwarded-preferred-username", &text(&allowed.username)),
        ("x-forwarded-email", &text(&allowed.email)),
        ("x-forwarded-groups", &groups.join(",")),
        ("x-grantd-client-id", &text(&allowed.client_id)),
        ("x-grantd-scope", &text(&allowed.scope)),
    ])
}

/// Where the world sees the resource.
pub(crate) fn origin(public: &PublicUrl) -> HeaderMap {
    let origin = public.origin();
    let (scheme, host) = origin.split_once("://").unwrap_or_default();
    set([("x-forwarded-proto", scheme), ("x-forwarded-host", host)])
}

/// Of values of which only visible ASCII is left; empty ones say nothing.
fn set<const N: usize>(headers: [(&'static str, &str); N]) -> HeaderMap {
    let values = headers.into_iter().filter(|(_, value)| !value.is_empty());
    values
        .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?)))
        .collect()
}

/// A value any server reads the same: visible ASCII and the spaces within stay, everything else is percent-encoded, and so
/// is `%`. A space at an end would be cut off on the way, and make one name of two.
fn text(value: &str) -> String {
    let last = value.len().saturating_sub(1);
    let mut safe = String::with_capacity(value.len());
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b'!'..=b'~' if byte != b'%' => safe.push(char::from(byte)),
            b' ' if at > 0 && at < last => safe.push(' '),
            _ => safe.push_str(&format!("%{byte:02X}")),
        }
    }
    safe
}

/// Removes what must not come back from the upstream.
pub(crate) fn from_upstream(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        headers.remove(name.as_str());
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    for name in ORIGIN_WIDE {
        headers.remove(name);
    }
    // What one person was answered is for no cache. Chromium, which stores whatever does not forbid it, also sends a DELETE
    // a second time while an aborted stream of the same URL is still being stored.
    let forbids = |text: &str| text.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("no-store"));
    let mut values = headers.get_all(header::CACHE_CONTROL).iter();
    if !values.any(|value| value.to_str().is_ok_and(forbids)) {
        headers.append(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> TokenAllowed {
        TokenAllowed {
            subject: "s".into(),
            username: "j\u{f6}rg\n".into(),
            groups: vec!["a".into(), "b".into()],
            client_id: "c".into(),
            scope: "x y".into(),
            ..TokenAllowed::default()
        }
    }

    #[test]
    fn nothing_forged_and_nothing_secret_passes() {
        let mut from = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer t"),
            ("cookie", "c"),
            ("origin", "o"),
            ("x-forwarded-user", "mallory"),
            ("x_forwarded_user", "mallory"),
            ("x-forwarded_groups", "mallory"),
            ("x-grantd-scope", "mallory"),
            ("x_auth_request_user", "mallory"),
            ("connection", "close, X-Secret"),
            ("x-secret", "mallory"),
            ("te", "trailers"),
            ("x-kept", "1"),
            ("mcp-session-id", "2"),
        ] {
            from.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
        }
        let public = PublicUrl::parse("https://mcp.example.com").unwrap();
        let to = to_upstream(&from, &identity(&allowed()), &origin(&public));
        assert!(!format!("{to:?}").contains("mallory"), "{to:?}");
        for gone in ["authorization", "cookie", "origin", "te", "connection", "x-secret"] {
            assert!(!to.contains_key(gone), "{gone}");
        }
        assert_eq!(to["x-kept"], "1");
        assert_eq!(to["mcp-session-id"], "2");
        assert_eq!(to["x-forwarded-user"], "s");
        assert_eq!(to["x-forwarded-preferred-username"], "j%C3%B6rg%0A");
        assert_eq!(to["x-forwarded-groups"], "a,b");
        assert_eq!(to["x-forwarded-host"], "mcp.example.com");
        assert!(!to.contains_key("x-forwarded-email"));
    }
}
