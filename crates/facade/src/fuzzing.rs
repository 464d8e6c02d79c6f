//! What holds for every input of the facade's parsers. They are private, and stay so: this module is there for the fuzz
//! targets (feature `fuzzing`) and for the tests that feed their corpora to the same functions, and in no other build.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use grantd_oauth_types::{RedirectKind, RedirectUri};
use grantd_proto::v1::{Client, RegisterClientResponse};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use url::{Url, form_urlencoded};

use crate::{
    authorize::Asked,
    browser, client_auth,
    cookie::SessionCookie,
    destination::Destination,
    errors::Failure,
    form::Params,
    manage, register,
    text::{LINE, NAME, clean},
};

/// Queries and bodies. The input is one of them.
pub fn form(input: &[u8]) {
    let pairs = || input.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    // Read by the url crate, which repairs: where there is nothing to repair both must agree, else ours must refuse.
    let is_sound = |half: &[u8]| {
        let digits = |at: usize| half.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
        let encoded = half.iter().enumerate().all(|(at, byte)| *byte != b'%' || digits(at));
        encoded && percent_decode(half).decode_utf8().is_ok_and(|text| !text.contains('\0'))
    };
    let sound = pairs().all(|pair| pair.splitn(2, |byte| *byte == b'=').all(is_sound)) && pairs().count() <= 256;
    let read = Params::parse(input);
    assert_eq!(read.is_ok(), sound);
    let Ok(params) = read else { return };

    let theirs: Vec<(String, String)> = form_urlencoded::parse(input).into_owned().collect();
    assert_eq!(Params::parse(input).as_ref(), Ok(&params));
    for (name, _) in &theirs {
        let values: Vec<&str> = theirs.iter().filter(|(other, _)| other == name).map(|(_, v)| v.as_str()).collect();
        let first = values.first().copied();
        assert_eq!(params.one(name).ok(), values.iter().all(|value| Some(*value) == first).then_some(first));
        let all = params.all(name);
        assert_eq!(all.first().map(String::as_str), first);
        let set = |values: &mut dyn Iterator<Item = &str>| values.map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(set(&mut all.iter().map(String::as_str)), set(&mut values.iter().copied()));
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(&theirs).finish();
    assert_eq!(Params::parse(encoded.as_bytes()), Ok(params));
    if let Ok(query) = std::str::from_utf8(input) {
        authorize(query);
    }
}

/// The query that leads back to an authorization request says what the first one said, and leads nowhere else.
fn authorize(query: &str) {
    let Ok(asked) = Asked::parse(query) else { return };
    assert!(asked.query.bytes().all(|b| b.is_ascii_graphic() && b != b'#'), "{}", asked.query);
    let back = format!("/oauth/authorize?{}", asked.query);
    assert!(HeaderValue::try_from(&back).is_ok());
    let url = Url::parse("https://issuer.example/oauth/sign-in").and_then(|page| page.join(&back));
    // A browser encodes the apostrophe, which says the same.
    assert!(url.is_ok_and(|url| {
        url.host_str() == Some("issuer.example")
            && url.path() == "/oauth/authorize"
            && url.query() == Some(&asked.query.replace('\'', "%27"))
    }));
    // What leads back may be longer than what came.
    match Asked::parse(&asked.query) {
        Ok(again) => {
            let mut expected = asked.request.clone();
            expected.prompt.clear();
            expected.request_id.clone_from(&again.request.request_id);
            assert_eq!(again.request, expected, "{query}");
            assert_eq!(again.query, asked.query);
        }
        Err(failure) => assert_eq!(failure, Failure::invalid_request("the request is too long")),
    }
}

/// Client authentication. The input is `Authorization` headers, a line each, then an empty line and a form body.
pub fn client_auth(input: &[u8]) {
    let (head, body) = split(input);
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::AUTHORIZATION, value);
        }
    }
    let Ok(params) = Params::parse(body) else { return };
    let is_basic = |value: &&HeaderValue| {
        let mut words = value.as_bytes().splitn(2, u8::is_ascii_whitespace);
        words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"basic"))
    };
    let basic: Vec<&HeaderValue> = headers.get_all(header::AUTHORIZATION).iter().filter(is_basic).collect();
    assert_eq!(client_auth::tried_basic(&headers), !basic.is_empty());
    let read = client_auth::read(&headers, &params);
    if let Ok(client) = &read {
        assert!(!(client.client_id.is_empty() && client.client_assertion.is_empty()) && basic.len() <= 1);
        // An assertion is what the body says, and nothing else.
        for (said, name) in
            [(&client.client_assertion, "client_assertion"), (&client.client_assertion_type, "client_assertion_type")]
        {
            assert_eq!(params.text(name).ok().as_ref(), Some(said), "{name}");
        }
        assert!(!client.client_id.contains('\0') && !client.client_secret.contains('\0'));
        // What the body says is never overruled.
        for (said, name) in [(&client.client_id, "client_id"), (&client.client_secret, "client_secret")] {
            let body = params.text(name);
            assert!(body.is_ok_and(|body| body == *said || (!basic.is_empty() && body.is_empty())), "{name}");
        }
    }
    if !basic.is_empty() {
        return;
    }
    // Sent by Basic instead, encoded or as it is, it is the same client.
    let Ok(client) = read else { return };
    // Only the body has assertions.
    if client.client_id.is_empty() || !(client.client_assertion.is_empty() && client.client_assertion_type.is_empty()) {
        return;
    }
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut spellings = vec![format!("{}:{}", encode(&client.client_id), encode(&client.client_secret))];
    if !client.client_id.contains([':', '%']) && !client.client_secret.contains('%') {
        spellings.push(format!("{}:{}", client.client_id, client.client_secret));
    }
    for pair in spellings {
        let padded = STANDARD.encode(pair);
        for text in [padded.trim_end_matches('='), &padded] {
            let Ok(value) = HeaderValue::try_from(format!("Basic {text}")) else { continue };
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            assert_eq!(client_auth::read(&headers, &params).as_ref(), Ok(&client));
            assert_eq!(client_auth::read(&headers, &Params::default()).as_ref(), Ok(&client));
        }
    }
}

/// A member that every answer has.
const METHOD: &str = "token_endpoint_auth_method";

/// Registrations. The input is the JSON body.
pub fn register(input: &[u8]) {
    let Ok(metadata) = register::read(input) else { return };
    for redirect_uri in &metadata.redirect_uris {
        asked_for(redirect_uri);
    }
    // What is answered is read as what was sent, also by a client that sends it back.
    for client_secret in ["", "secret"] {
        let client = Client { client_id: "id".to_owned(), metadata: Some(metadata.clone()), ..Client::default() };
        let answer = RegisterClientResponse {
            client: Some(client),
            client_secret: client_secret.to_owned(),
            ..Default::default()
        };
        let json = register::registered(answer).and_then(|answer| serde_json::to_value(answer).ok());
        let Some(serde_json::Value::Object(members)) = json else { unreachable!("it has a client and metadata") };
        let is_public = metadata.token_endpoint_auth_method == "none";
        assert_eq!(members.contains_key("client_secret"), !is_public && !client_secret.is_empty());
        assert_eq!(members.contains_key("client_secret"), members.contains_key("client_secret_expires_at"));
        // The method is the service's to fill in; of all others the absent ones are left out.
        let is_said =
            |(name, value): (&String, &serde_json::Value)| name == METHOD || (!value.is_null() && value != "");
        assert!(members.iter().all(is_said), "{members:?}");
        let text = serde_json::Value::Object(members).to_string();
        assert_eq!(register::read(text.as_bytes()).as_ref(), Ok(&metadata), "{text}");
    }
}

/// Who manages which registration. The input is `Authorization` headers, a line each, then an empty line and a JSON body.
pub fn manage(input: &[u8]) {
    let (head, body) = split(input);
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::AUTHORIZATION, value);
        }
    }
    let sent: Vec<&[u8]> = headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
    let token = manage::token(&headers);
    if let Ok(token) = &token {
        // Never empty: the service would take the facade for an administrator.
        assert!(!token.is_empty() && token.trim() == token);
        let [only] = sent[..] else { unreachable!("one header, or nobody knows which is meant") };
        assert!(only.len() > 7 && only.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer ")));
        assert_eq!(only.get(7..).map(<[u8]>::trim_ascii), Some(token.as_bytes()));
    }
    let is_plain =
        |value: &[u8]| value.get(7..).is_some_and(|token| token.iter().all(u8::is_ascii_graphic) && !token.is_empty());
    if let [only] = sent[..]
        && only.get(..7) == Some(b"Bearer ")
        && is_plain(only)
    {
        assert!(token.is_ok(), "{only:?}");
    }

    // Where a member stands twice both readers take the last, so what is judged is what is registered.
    const ID: &str = "gdcl_x";
    const OF_THE_SERVER: [&str; 4] =
        ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"];
    let Ok(serde_json::Value::Object(mut members)) = serde_json::from_slice(body) else {
        assert!(register::claims(body, ID).is_err());
        return;
    };
    let text = |members: &serde_json::Map<String, serde_json::Value>, name: &str| match members.get(name) {
        None | Some(serde_json::Value::Null) => Some(String::new()),
        Some(serde_json::Value::String(text)) if !text.contains('\0') => Some(text.clone()),
        Some(_) => None,
    };
    let given = |name: &str| members.get(name).is_some_and(|value| !value.is_null());
    let expected = text(&members, "client_secret").filter(|_| {
        !OF_THE_SERVER.iter().any(|name| given(name)) && text(&members, "client_id").as_deref() == Some(ID)
    });
    assert_eq!(register::claims(body, ID).ok().map(|claims| claims.client_secret), expected);
    // Without what only the server may say, and with the right id, it is an update.
    members.retain(|name, _| !OF_THE_SERVER.contains(&name.as_str()));
    members.insert("client_id".to_owned(), ID.into());
    let update = register::claims(serde_json::Value::Object(members.clone()).to_string().as_bytes(), ID);
    assert_eq!(update.ok().map(|claims| claims.client_secret), text(&members, "client_secret"));
    assert!(register::claims(serde_json::Value::Object(members).to_string().as_bytes(), "gdcl_y").is_err());
}

/// What can be registered can be asked for, also by way of the sign-in form.
fn asked_for(redirect_uri: &str) {
    let Ok(registered) = RedirectUri::parse(redirect_uri) else { return };
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("redirect_uri", redirect_uri).finish();
    let back = Asked::parse(&query).and_then(|asked| Asked::parse(&asked.query));
    let sent = back.ok().map(|asked| asked.request.redirect_uri);
    assert_eq!(sent.as_deref(), Some(redirect_uri));
    assert!(sent.and_then(|sent| RedirectUri::parse(&sent).ok()).is_some_and(|sent| sent.matches(&registered)));
}

/// Cookies, `Accept`, and what browsers say of a request. The input is headers, a line each.
pub fn browser(input: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(at);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    cookie(&headers);

    let (json, html) = (browser::prefers_json(&headers), browser::prefers_html(&headers));
    assert!(!(json && html));
    let mut reversed = HeaderMap::new();
    let accept: Vec<&HeaderValue> = headers.get_all(header::ACCEPT).iter().collect();
    for value in accept.into_iter().rev() {
        let ranges: Vec<&str> = value.to_str().map(|text| text.rsplit(',').collect()).unwrap_or_default();
        if let Ok(value) = HeaderValue::try_from(ranges.join(",")) {
            reversed.append(header::ACCEPT, value);
        }
    }
    assert_eq!((browser::prefers_json(&reversed), browser::prefers_html(&reversed)), (json, html));

    let said = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    if browser::is_own_form(&headers, "https://issuer.example") {
        assert!(matches!(said("origin"), None | Some(b"null" | b"https://issuer.example")));
        assert!(matches!(said("sec-fetch-site"), None | Some(b"same-origin" | b"none")));
        assert!(said("origin") != Some(b"null") || said("sec-fetch-site") == Some(b"same-origin"));
    }
    if browser::is_deliberate(&headers) {
        assert!(said("sec-fetch-site") != Some(b"cross-site"));
        assert!(matches!(said("sec-fetch-dest"), None | Some(b"document")));
        assert!(!headers.get_all("sec-purpose").iter().any(|value| value.as_bytes().starts_with(b"prefetch")));
    }
}

fn cookie(headers: &HeaderMap) {
    for (cookie, name) in [(SessionCookie::new(true), "__Host-grantd"), (SessionCookie::new(false), "grantd-session")] {
        let Some(secret) = cookie.read(headers) else { continue };
        assert!(secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')));
        let pair = format!("{name}={secret}");
        assert!(headers.get_all(header::COOKIE).iter().any(|value| value.to_str().is_ok_and(|v| v.contains(&pair))));
        // As a browser keeps and sends it, it is read again.
        let Some(set) = cookie.set(&secret, 60) else { unreachable!("what was read can be set") };
        let set = set.to_str().unwrap_or_default();
        let attributes = if name.starts_with("__Host-") { "; Secure" } else { "" };
        assert_eq!(set, format!("{pair}; Path=/; Max-Age=60; HttpOnly; SameSite=Lax{attributes}"));
        let Ok(sent) = HeaderValue::try_from(pair) else { unreachable!("visible ASCII") };
        assert_eq!(cookie.read(&HeaderMap::from_iter([(header::COOKIE, sent)])), Some(secret));
    }
}

/// Text of strangers on a page. The input is a text, which may be a redirect URI.
pub fn text(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for max in [1, 20, NAME, LINE] {
        let shown = clean(&text, max);
        is_fit_to_show(&shown, max + 1);
        assert_eq!(clean(&shown, max), shown, "{text:?}");
    }
    let Ok(redirect) = RedirectUri::parse(&text) else { return };
    let destination = Destination::of(&redirect);
    assert!(destination.place.bytes().all(|b| b.is_ascii_graphic()) && destination.name.contains(&destination.place));
    is_fit_to_show(&destination.uri, LINE + 1);
    // The place that is shown is where a browser goes.
    let Ok(url) = Url::parse(&text) else { unreachable!("a redirect URI is a URL") };
    let place = match (redirect.kind(), url.host_str(), url.port()) {
        (RedirectKind::PrivateUse, ..) => format!("{}:", url.scheme()),
        (_, Some(host), Some(port)) => format!("{host}:{port}"),
        (_, host, _) => host.unwrap_or_default().to_owned(),
    };
    assert_eq!(destination.place, place);
    assert!(!place.is_empty() && (destination.is_app() == (redirect.kind() == RedirectKind::PrivateUse)));
}

/// One line of bounded length, that reads as it is stored.
fn is_fit_to_show(shown: &str, max: usize) {
    assert!(shown.chars().count() <= max, "{shown:?}");
    assert_eq!(shown.trim(), shown);
    assert!(!shown.contains("  "), "{shown:?}");
    for c in shown.chars() {
        let is_break = c.is_control() || (c.is_whitespace() && c != ' ');
        // Unicode: Bidi_Control, Default_Ignorable_Code_Point, and two letters that are blank.
        let is_bidi =
            matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let is_ignorable = matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
        let is_blank = matches!(c, '\u{2800}' | '\u{16fe4}');
        assert!(!is_break && !is_bidi && !is_ignorable && !is_blank, "{c:?} in {shown:?}");
        assert!(!matches!(c, '"' | '“' | '”'), "{shown:?}");
    }
}

/// What stands before the first empty line, and behind it.
fn split(input: &[u8]) -> (&[u8], &[u8]) {
    match input.windows(2).position(|two| two == b"\n\n") {
        Some(at) => {
            let (head, rest) = input.split_at(at);
            (head, rest.get(2..).unwrap_or_default())
        }
        None => (input, b""),
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::replay::replay;

    #[test]
    fn form() {
        replay("form", super::form);
    }

    #[test]
    fn client_auth() {
        replay("client_auth", super::client_auth);
    }

    #[test]
    fn register() {
        replay("register", super::register);
    }

    #[test]
    fn manage() {
        replay("manage", super::manage);
    }

    #[test]
    fn browser() {
        replay("browser", super::browser);
    }

    #[test]
    fn text() {
        replay("text", super::text);
    }
}
