//! The public URL, and which resource a client means.
//!
//! The input is lines: a public URL, the path of a resource, and what a client sent.

use grantd_oauth_types::PublicUrl;
use url::Url;

pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.split('\n');
    let (public, path, sent) = (lines.next(), lines.next(), lines.next());
    let Some(Ok(public)) = public.map(PublicUrl::parse) else { return };
    normal(&public);
    // The configuration takes only such paths.
    let path = path.unwrap_or_default();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'.' | b'_' | b'~');
    if path.starts_with('/') && path.bytes().all(is_plain) && !path.ends_with('/') && !path.contains("/.") {
        means(&public, path, sent.unwrap_or_default());
    }
}

fn normal(public: &PublicUrl) {
    let again = PublicUrl::parse(public.as_str()).expect("what was normalized is accepted");
    assert_eq!(again.as_str(), public.as_str());
    assert_eq!((again.path(), again.origin()), (public.path(), public.origin()));
    assert!(!public.as_str().ends_with('/') && !public.path().ends_with('/'));
    assert_eq!(format!("{}{}", public.origin(), public.path()), public.as_str());
    // It stands in headers, in quotes, and in JSON.
    assert!(public.as_str().bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'?' | b'#')));
    let url = Url::parse(&public.join("/oauth/token")).expect("an endpoint is a URL");
    assert_eq!(url.origin().ascii_serialization(), public.origin());
    assert_eq!(url.path(), format!("{}/oauth/token", public.path()));
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    assert!(public.is_https() == (url.scheme() == "https") && (public.is_https() || local));
}

fn means(public: &PublicUrl, path: &str, sent: &str) {
    let resource = public.resource(path);
    assert!(resource.is_meant_by(resource.as_str()));
    assert!(resource.is_meant_by(&format!("{resource}/")));
    assert!(resource.is_meant_by(&public.origin()));
    assert!(!resource.is_meant_by(&format!("{resource}#")));
    assert!(!resource.is_meant_by(&format!("{resource}?")));
    assert!(!resource.is_meant_by(&format!("{resource}x")));
    if !resource.is_meant_by(sent) {
        return;
    }
    let url = Url::parse(sent).expect("what means a resource is a URL");
    assert_eq!(url.origin().ascii_serialization(), public.origin(), "{sent}");
    assert!(url.fragment().is_none() && url.query().is_none(), "{sent}");
    // What names one resource names no other.
    if url.path() != "/" {
        assert!(!public.resource(&format!("{path}2")).is_meant_by(sent), "{sent}");
        assert!(!public.resource("/0").is_meant_by(sent) || path == "/0", "{sent}");
    }
}
