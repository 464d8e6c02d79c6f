//! What holds for every client id and every document. This module is there for the fuzz target (feature `fuzzing`) and for
//! the test that feeds its corpus to the same function, and in no other build.

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use serde_json::{Map, Value};
use url::{Host, Url};

use crate::{
    document::{Document, DocumentError},
    fetch::{self, FetchError},
    url::ClientIdUrl,
};

/// A client id, and what its host answers. The input is the client id, then headers, a line each, an empty line, and the body.
pub fn client_document(input: &[u8]) {
    let at = input.windows(2).position(|two| two == b"\n\n");
    let (head, body) = at.and_then(|at| Some((input.get(..at)?, input.get(at + 2..)?))).unwrap_or((input, b""));
    let head = String::from_utf8_lossy(head);
    let (client_id, headers) = head.split_once('\n').unwrap_or((&head, ""));
    answer(headers);
    let Ok(url) = ClientIdUrl::parse(client_id) else { return };
    is_plain(&url, client_id);
    document(&url, body);
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

/// A document is read as any reader of JSON reads it, and what would make it no public client's is refused.
fn document(url: &ClientIdUrl, body: &[u8]) {
    let read = Document::read(url, body);
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
        assert!(matches!(read, Err(DocumentError::Unreadable { .. })));
        return;
    };
    // Where a member stands twice, it is refused; written once, all readers agree.
    let once = Value::Object(members.clone()).to_string();
    let plainly = Document::read(url, once.as_bytes());
    assert_eq!(plainly, expected(url, &members), "{once}");
    if let Ok(read) = read {
        assert_eq!(Ok(read), plainly);
    }
}

fn expected(url: &ClientIdUrl, members: &Map<String, Value>) -> Result<Document, DocumentError> {
    let given = |name: &str| members.get(name).filter(|value| !value.is_null());
    let text = |name: &str| given(name).and_then(Value::as_str);
    let texts = |name: &str| -> Vec<String> {
        let all = given(name).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let is_text = |name: &str| given(name).is_none_or(Value::is_string);
    let is_list = |name: &str| {
        given(name).is_none_or(|value| value.as_array().is_some_and(|all| all.iter().all(Value::is_string)))
    };
    let readable = ["client_id", "client_name", "token_endpoint_auth_method"].iter().all(|name| is_text(name))
        && ["redirect_uris", "token_endpoint_auth_methods_supported"].iter().all(|name| is_list(name));
    if !readable {
        // Where, is for the reader to say.
        return Document::read(url, Value::Object(members.clone()).to_string().as_bytes())
            .and(Err(DocumentError::NoRedirectUris));
    }
    if text("client_id") != Some(url.as_str()) {
        return Err(DocumentError::OtherClientId);
    }
    let method = text("token_endpoint_auth_method").unwrap_or("none");
    if given("client_secret").or(given("client_secret_expires_at")).is_some() || method.starts_with("client_secret_") {
        return Err(DocumentError::Secret);
    }
    if method != "none" && !texts("token_endpoint_auth_methods_supported").contains(&"none".to_owned()) {
        return Err(DocumentError::AuthMethod);
    }
    let redirect_uris = texts("redirect_uris");
    if redirect_uris.is_empty() {
        return Err(DocumentError::NoRedirectUris);
    }
    Ok(Document { redirect_uris, client_name: text("client_name").unwrap_or_default().to_owned() })
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
    fn client_document() {
        super::replay::replay("client_document", super::client_document);
    }
}
