//! Which headers pass, in both directions.
//!
//! To the upstream: not the token, not our cookie, not hop-by-hop headers (those that `Connection` names included), and no
//! identity header from outside, however it is spelled. Names are compared with `_` as `-`, because many servers fold them.
//! From the upstream: not hop-by-hop headers, and no cookie, which would be set on the issuer's own origin.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
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

/// Set by the gate alone. Everything that starts with `x-forwarded-` or `x-grantd-` belongs here too.
fn is_ours(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || name.starts_with("x-grantd-")
        || matches!(name, "forwarded" | "x-real-ip" | "x-remote-user" | "remote-user" | "x-auth-request-user")
        || name.starts_with("x-auth-request-")
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

/// What goes to the upstream.
pub(crate) fn to_upstream(
    from: &HeaderMap,
    allowed: &TokenAllowed,
    public: &grantd_oauth_types::PublicUrl,
) -> HeaderMap {
    let hops = named_by_connection(from);
    let mut to = HeaderMap::with_capacity(from.len() + 10);
    for (name, value) in from {
        let folded = name.as_str().replace('_', "-");
        let dropped = HOP_BY_HOP.contains(&folded.as_str())
            || hops.contains(&folded)
            || is_ours(&folded)
            || matches!(folded.as_str(), "authorization" | "cookie" | "origin" | "host" | "content-length" | "expect");
        if !dropped {
            to.append(name.clone(), value.clone());
        }
    }
    let mut set = |name: &'static str, value: &str| {
        if !value.is_empty() {
            to.insert(HeaderName::from_static(name), text(value));
        }
    };
    set("x-forwarded-user", &allowed.subject);
    set("x-forwarded-preferred-username", &allowed.username);
    set("x-forwarded-email", &allowed.email);
    set("x-forwarded-groups", &allowed.groups.join(","));
    set("x-grantd-client-id", &allowed.client_id);
    set("x-grantd-scope", &allowed.scope);
    let url = url::Url::parse(public.as_str()).ok();
    set("x-forwarded-proto", url.as_ref().map_or("", |url| url.scheme()));
    set("x-forwarded-host", public.origin().split_once("://").map_or("", |(_, host)| host));
    to
}

/// A value any server reads the same: visible ASCII stays, everything else is percent-encoded, and so is `%`.
fn text(value: &str) -> HeaderValue {
    let mut safe = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => safe.push(char::from(byte)),
            _ => safe.push_str(&format!("%{byte:02X}")),
        }
    }
    // Only visible ASCII is left.
    HeaderValue::from_str(&safe).unwrap_or(HeaderValue::from_static(""))
}

/// Removes what must not come back from the upstream.
pub(crate) fn from_upstream(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        headers.remove(name.as_str());
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove(header::SET_COOKIE);
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
        let public = grantd_oauth_types::PublicUrl::parse("https://mcp.example.com").unwrap();
        let to = to_upstream(&from, &allowed(), &public);
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
