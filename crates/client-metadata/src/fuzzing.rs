//! What holds for every client id and every head of an answer. This module is there for the fuzz target (feature `fuzzing`) and
//! for the test that feeds its corpus to the same function, and in no other build. Documents have a property in `tests`.

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use url::{Host, Url};

use crate::{
    fetch::{self, FetchError},
    url::ClientIdUrl,
};

/// A client id, and how its host answers. The input is the client id, then headers, a line each; what follows an empty line is
/// left aside.
pub fn client_id(input: &[u8]) {
    let end = input.windows(2).position(|two| two == b"\n\n").unwrap_or(input.len());
    let head = String::from_utf8_lossy(input.get(..end).unwrap_or_default());
    let (client_id, headers) = head.split_once('\n').unwrap_or((&head, ""));
    answer(headers);
    let Ok(url) = ClientIdUrl::parse(client_id) else { return };
    is_plain(&url, client_id);
}

/// Whoever reads the id reads the same, and it is asked for at the host that a person is shown.
fn is_plain(id: &ClientIdUrl, text: &str) {
    assert_eq!((id.as_str(), &id.to_string()[..]), (text, text));
    assert!(text.len() <= ClientIdUrl::MAX_LEN && text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
    let Ok(url) = Url::parse(text) else { unreachable!("it was read") };
    assert_eq!((url.scheme(), url.host()), ("https", Some(Host::Domain(id.host()))));
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none() && url.path() != "/");
    assert!(id.host().bytes().all(|byte| !byte.is_ascii_uppercase()) && !id.host().ends_with('.'), "{text}");
    // No part of the text is left out, and none is asked of another.
    assert_eq!(format!("https://{}{}", id.authority(), id.path_and_query()), text);
    assert_eq!(id.port(), url.port().unwrap_or(443));
    let (host, rest) = text.trim_start_matches("https://").split_at(id.authority().len());
    assert!(
        host.starts_with(id.host()) && rest.starts_with('/') && !host.contains(['@', '\\', '/', '?', '#']),
        "{text}"
    );
    // It can be asked for, as it is.
    let request = Request::get(id.path_and_query()).header(header::HOST, id.authority()).body(());
    let sent = request.map(|request| request.uri().clone());
    assert_eq!(
        sent.ok().as_ref().and_then(Uri::path_and_query).map(|sent| sent.as_str()),
        Some(&id.path_and_query()[..])
    );
}

/// For how long an answer is kept: never for longer than its host says, and always within the bounds.
fn answer(headers: &str) {
    let mut response = Response::new(());
    for (name, value) in headers.lines().filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.trim().as_bytes()))
        {
            response.headers_mut().append(name, value);
        }
    }
    let kept = fetch::checked(&response).map(|kept| kept.as_secs());
    let all = |name: &str| -> String {
        let values = response.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.collect::<Vec<_>>().join(",").to_ascii_lowercase()
    };
    let is_json = all("content-type").contains("json");
    match kept {
        Ok(kept) => {
            assert!(is_json && (300..=24 * 3600).contains(&kept));
            let cache_control = all("cache-control");
            let mut directives = cache_control.split(',').map(str::trim);
            assert!(kept == 300 || !directives.clone().any(|one| one == "no-store" || one == "no-cache"));
            let ages = directives.by_ref().filter_map(|one| one.strip_prefix("max-age=")?.parse::<u64>().ok());
            assert!(ages.max().is_none_or(|most| kept <= most.max(300)), "{cache_control}");
        }
        Err(error) => assert_eq!(error, FetchError::ContentType),
    }
    *response.status_mut() = StatusCode::FOUND;
    assert_eq!(fetch::checked(&response), Err(FetchError::Status(302)));
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    #[test]
    fn client_id() {
        super::replay::replay("client_id", super::client_id);
    }
}
