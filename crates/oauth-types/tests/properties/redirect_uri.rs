//! Redirect URIs: what is accepted leads where it says, and comes back as it was.
//!
//! The input is lines: a redirect URI, another one, and the values of parameters.

use grantd_oauth_types::{RedirectKind, RedirectUri};
use url::Url;

/// Schemes that run, show or fetch what they carry. No answer may go there, whatever else is accepted.
const DANGEROUS: [&str; 9] =
    ["javascript", "data", "vbscript", "blob", "file", "about", "filesystem", "view-source", "intent"];

pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.split('\n');
    let one = lines.next().and_then(accepted);
    let other = lines.next().and_then(accepted);
    if let (Some(one), Some(other)) = (&one, &other) {
        matching(one, other);
    }
    if let Some(one) = &one {
        params(one, &lines.take(5).collect::<Vec<_>>());
    }
}

/// What holds for one URI, if it is accepted.
fn accepted(text: &str) -> Option<RedirectUri> {
    let uri = RedirectUri::parse(text).ok()?;
    assert_eq!(uri.as_str(), text);
    // What is registered is read again from the store, and again when it is asked for.
    assert_eq!(RedirectUri::parse(uri.as_str()), Ok(uri.clone()));
    assert!(uri.matches(&uri));
    assert!(text.bytes().all(|b| b.is_ascii_graphic()) && text.len() <= RedirectUri::MAX_LEN);

    let url = Url::parse(text).expect("an accepted URI is a URL");
    assert_eq!(url.scheme(), uri.scheme());
    assert!(text.get(..uri.scheme().len()).is_some_and(|start| start.eq_ignore_ascii_case(uri.scheme())));
    assert!(!DANGEROUS.contains(&uri.scheme()), "{text}");
    assert!(url.fragment().is_none() && url.username().is_empty() && url.password().is_none());
    // A browser reads `Location` beside the page that it is on.
    for page in ["https://issuer.example/oauth/authorize?x", "http://localhost:8080/a/b", "https://issuer.example"] {
        assert_eq!(Url::parse(page).expect("a URL").join(text).as_ref(), Ok(&url));
    }
    match uri.kind() {
        RedirectKind::PrivateUse => {
            assert_eq!(uri.host(), None);
            assert!(!matches!(uri.scheme(), "http" | "https" | "ws" | "wss" | "ftp"));
        }
        kind => {
            assert_eq!(kind == RedirectKind::Https, uri.scheme() == "https");
            let shown = uri.host().expect("a host");
            assert_eq!(url.host_str(), Some(shown));
            is_the_host_of_rfc_3986(text, shown);
            if kind == RedirectKind::Loopback {
                let local = |ip: &str| ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
                assert!(shown == "localhost" || local(shown.trim_matches(['[', ']'])), "{text}");
            }
        }
    }
    Some(uri)
}

/// Readers of RFC 3986, which many clients are, see the host that the URL standard sees. Numbers and percent-encoding
/// are left out: the RFC has no word on the first, and the standard decodes the second; what is shown is what it goes by.
fn is_the_host_of_rfc_3986(text: &str, shown: &str) {
    let authority =
        text.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next()).expect("an authority");
    assert!(!authority.contains('@'), "{text}");
    if authority.starts_with('[') {
        assert!(shown.starts_with('['));
        return;
    }
    let host = authority.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if !host.contains('%') && !last.starts_with(|c: char| c.is_ascii_digit()) {
        assert_eq!(host, shown, "{text}");
    }
}

fn matching(one: &RedirectUri, other: &RedirectUri) {
    assert_eq!(one.matches(other), other.matches(one));
    if one.matches(other) && one.as_str() != other.as_str() {
        assert_eq!((one.kind(), other.kind()), (RedirectKind::Loopback, RedirectKind::Loopback));
        let portless = |uri: &RedirectUri| {
            let mut url = Url::parse(uri.as_str()).expect("a URL");
            url.set_port(None).expect("http has ports");
            url
        };
        assert_eq!(portless(one), portless(other), "{one} {other}");
    }
}

/// Parameters are appended behind what was there, and are read as they were given.
fn params(uri: &RedirectUri, values: &[&str]) {
    let names = ["code", "state", "iss", "error", "error_description"];
    let params: Vec<(&str, &str)> = names.into_iter().zip(values.iter().copied()).collect();
    let out = uri.with_params(params.iter().copied());
    assert!(out.starts_with(uri.as_str()) && out.bytes().all(|b| b.is_ascii_graphic()), "{out:?}");
    if params.is_empty() {
        return;
    }
    let (before, after) = (Url::parse(uri.as_str()).expect("a URL"), Url::parse(&out).expect("a URL"));
    assert_eq!((before.scheme(), before.host(), before.port()), (after.scheme(), after.host(), after.port()));
    assert_eq!((before.path(), None), (after.path(), after.fragment()), "{out}");
    let mut expected: Vec<_> = before.query_pairs().into_owned().collect();
    expected.extend(params.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(after.query_pairs().into_owned().collect::<Vec<_>>(), expected, "{out}");
    // A client that decodes no `+` reads the same.
    let ours = out.get(uri.as_str().len()..).unwrap_or_default();
    assert!(!ours.contains('+'), "{out}");
}
