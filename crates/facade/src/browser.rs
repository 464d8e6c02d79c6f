//! Where a request came from, as the browser tells it (Fetch Metadata, the `Origin` header, RFC 9110 §12.5.1).
//!
//! A decision is made by a person who clicked in a page of ours, in the foreground. Programs that follow the links with
//! plain HTTP send none of these headers and are let through: they hold the cookie, so they are the person's own.
//! `Sec-Fetch-Mode` is never looked at: Node's `fetch` sends `cors` for what is a plain request.

use http::{HeaderMap, header};

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// Whether the browser fetched this ahead of a click that may never come.
fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().any(|name| {
        headers.get_all(name).iter().any(|value| {
            let value = value.to_str().unwrap_or("prefetch").to_ascii_lowercase();
            value.contains("prefetch") || value.contains("prerender") || value.contains("preview")
        })
    })
}

/// Whether a decision link may count as a click in our consent page.
pub(crate) fn is_deliberate(headers: &HeaderMap) -> bool {
    !is_prefetch(headers)
        && value(headers, "sec-fetch-site") != Some("cross-site")
        && value(headers, "sec-fetch-dest").is_none_or(|dest| dest == "document")
}

/// Whether a form was posted from a page of this origin. A page that loses its `Origin` to a strict referrer policy says
/// `null`; then the browser must vouch for it otherwise.
pub(crate) fn is_own_form(headers: &HeaderMap, origin: &str) -> bool {
    let site = value(headers, "sec-fetch-site");
    let same_site = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    let same_origin = match value(headers, "origin") {
        None => true,
        Some("null") => site == Some("same-origin"),
        Some(other) => other == origin,
    };
    same_site && same_origin
}

/// Whether this is a step of a form's way through our own pages. There `form-action` stops a redirect that leaves this
/// origin, so the person needs a link.
pub(crate) fn is_from_own_page(headers: &HeaderMap) -> bool {
    value(headers, "sec-fetch-site") == Some("same-origin")
}

/// Whether the caller would rather have JSON than a page.
pub(crate) fn prefers_json(headers: &HeaderMap) -> bool {
    let (json, html) = wishes(headers);
    json > html
}

/// Whether the caller asked for a page, and rather than for JSON.
pub(crate) fn prefers_html(headers: &HeaderMap) -> bool {
    let (json, html) = wishes(headers);
    html > json
}

/// How much the caller wants JSON, and how much a page; 0 where `Accept` names neither.
fn wishes(headers: &HeaderMap) -> (f32, f32) {
    let (mut json, mut html) = (0.0_f32, 0.0_f32);
    for range in headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok()).unwrap_or(1.0_f32);
        if media == "application/json" || media.ends_with("+json") {
            json = json.max(quality);
        } else if media == "text/html" || media == "application/xhtml+xml" {
            html = html.max(quality);
        }
    }
    (json, html)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn decisions() {
        for (pairs, deliberate) in [
            (&[][..], true),
            (
                &[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")],
                true,
            ),
            (&[("sec-fetch-site", "none"), ("sec-fetch-dest", "document")], true),
            (&[("sec-fetch-mode", "cors")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-dest", "empty")], false),
            (&[("sec-fetch-dest", "iframe")], false),
            (&[("sec-fetch-dest", "image")], false),
            (&[("sec-purpose", "prefetch")], false),
            (&[("sec-purpose", "prefetch;prerender")], false),
            (&[("purpose", "prefetch")], false),
            (&[("x-moz", "prefetch")], false),
        ] {
            assert_eq!(is_deliberate(&headers(pairs)), deliberate, "{pairs:?}");
        }
    }

    #[test]
    fn forms() {
        for (pairs, own) in [
            (&[][..], true),
            (&[("origin", "https://a.example")], true),
            (&[("origin", "https://a.example"), ("sec-fetch-site", "same-origin")], true),
            (&[("origin", "null"), ("sec-fetch-site", "same-origin")], true),
            (&[("origin", "null")], false),
            (&[("origin", "https://a.example:444")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "https://a.example"), ("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
        ] {
            assert_eq!(is_own_form(&headers(pairs), "https://a.example"), own, "{pairs:?}");
        }
    }

    #[test]
    fn accept() {
        for (accept, json) in [
            ("application/json", true),
            ("application/json, */*", true),
            ("application/json;q=0.9, text/html", false),
            ("text/html;q=0.5, application/json;q=0.6", true),
            ("text/html, application/json", false),
            ("*/*", false),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("", false),
            (";;q=,,=", false),
        ] {
            assert_eq!(prefers_json(&headers(&[("accept", accept)])), json, "{accept}");
        }
        assert!(!prefers_json(&HeaderMap::new()));
    }
}
