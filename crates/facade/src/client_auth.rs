//! Who calls the token endpoint (RFC 6749 §2.3.1): read, not judged. Whether the secret or the assertion is right is the
//! service's work.
//!
//! 1. `Authorization: Basic`, its parts percent-encoded (Python, Go) or raw (TypeScript).
//! 2. `client_id` and `client_secret` in the body; `client_id` may be there beside Basic when it is the same.
//! 3. An empty secret is no secret: Go and C# send one for public clients.
//! 4. `client_assertion` in the body (RFC 7521 §4.2), which may stand for the `client_id`, too.
//!
//! Other `Authorization` schemes are left aside: some HTTP libraries add a stale bearer token to every request.

use axum::response::Response;
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use grantd_oauth_types::OAuthErrorCode;
use grantd_proto::v1::ClientAuthentication;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{
    errors::Failure,
    form::{Params, decode},
};

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether the caller tried Basic: then a 401 must say that Basic is understood.
pub(crate) fn tried_basic(headers: &HeaderMap) -> bool {
    headers.get_all(header::AUTHORIZATION).iter().any(|value| basic_credentials(value.as_bytes()).is_some())
}

/// What a client is told that was not served, with the challenge that RFC 6749 §5.2 wants where it tried Basic.
pub(crate) fn failure(failure: &Failure, headers: &HeaderMap) -> Response {
    let mut response = failure.json();
    if response.status() == StatusCode::UNAUTHORIZED && tried_basic(headers) {
        let challenge = HeaderValue::from_static("Basic realm=\"grantd\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Reads the client's credentials.
pub(crate) fn read(headers: &HeaderMap, params: &Params) -> Result<ClientAuthentication, Failure> {
    let body = ClientAuthentication {
        client_id: params.text("client_id")?,
        client_secret: params.text("client_secret")?,
        client_assertion_type: params.text("client_assertion_type")?,
        client_assertion: params.text("client_assertion")?,
    };
    let client = match basic(headers)? {
        None => body,
        Some(basic) => {
            let differs = |body: &str, basic: &str| !body.is_empty() && body != basic;
            // Two identities are none. 401 and not 400: it makes clients register anew, which heals this.
            if differs(&body.client_id, &basic.client_id) || differs(&body.client_secret, &basic.client_secret) {
                return Err(invalid_client("the Authorization header and the body name different credentials"));
            }
            ClientAuthentication { client_id: basic.client_id, client_secret: basic.client_secret, ..body }
        }
    };
    if client.client_id.is_empty() && client.client_assertion.is_empty() {
        return Err(invalid_client("the client_id is missing"));
    }
    Ok(client)
}

fn invalid_client(description: &str) -> Failure {
    Failure::oauth(OAuthErrorCode::InvalidClient, description)
}

/// Reads the Basic header, when there is one.
fn basic(headers: &HeaderMap) -> Result<Option<ClientAuthentication>, Failure> {
    let mut found = headers.get_all(header::AUTHORIZATION).iter().filter_map(|v| basic_credentials(v.as_bytes()));
    let Some(encoded) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(Failure::invalid_request("there are two Authorization headers"));
    }
    let malformed = || Failure::invalid_request("the Basic Authorization header is malformed");
    let text = BASE64.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(malformed)?;
    if text.contains('\0') {
        return Err(malformed());
    }
    let (client_id, client_secret) = text.split_once(':').ok_or_else(malformed)?;
    let (client_id, client_secret) = (part(client_id), part(client_secret));
    Ok(Some(ClientAuthentication { client_id, client_secret, ..ClientAuthentication::default() }))
}

/// What follows the scheme, when the scheme is Basic.
fn basic_credentials(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(5)?;
    let is_basic = scheme.eq_ignore_ascii_case(b"basic") && rest.first().is_none_or(u8::is_ascii_whitespace);
    is_basic.then(|| rest.trim_ascii())
}

/// One half: decoded when it is proper percent-encoding, else literal. Our own ids and secrets have no `%`, so this
/// cannot mix up two clients.
fn part(text: &str) -> String {
    decode(text.as_bytes(), false).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD as BASE64_STANDARD;
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn basic_of(pair: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    }

    fn check(authorization: &[&str], body: &str) -> Result<(String, String), u16> {
        let params = Params::parse(body.as_bytes()).unwrap();
        read(&headers(authorization), &params)
            .map(|client| (client.client_id, client.client_secret))
            .map_err(|failure| failure.parts().0.as_u16())
    }

    fn ok(id: &str, secret: &str) -> Result<(String, String), u16> {
        Ok((id.to_owned(), secret.to_owned()))
    }

    #[test]
    fn every_way_clients_authenticate() {
        for (pair, body, result) in [
            (None, "client_id=a", ok("a", "")),
            (None, "client_id=a&client_secret=", ok("a", "")),
            (None, "client_id=a&client_secret=s", ok("a", "s")),
            (Some("a:s"), "", ok("a", "s")),
            (Some("a:s"), "client_id=a", ok("a", "s")),
            (Some("a:s"), "client_id=a&client_secret=s", ok("a", "s")),
            (Some("a:s"), "client_id=a&client_secret=", ok("a", "s")),
            (Some("a:"), "", ok("a", "")),
            (Some("a%2Db:s%5F"), "", ok("a-b", "s_")),
            (Some("a%2:s+%zz"), "", ok("a%2", "s+%zz")),
            (Some("a:s:t"), "", ok("a", "s:t")),
            (Some("https%3A%2F%2Fa.example%2Fc:"), "", ok("https://a.example/c", "")),
            (None, "", Err(401)),
            (None, "client_id=", Err(401)),
            (None, "client_secret=s", Err(401)),
            (Some(":s"), "", Err(401)),
            (Some(":s"), "client_id=a", Err(401)),
            (Some("a:s"), "client_id=b", Err(401)),
            (Some("a:s"), "client_id=a&client_secret=t", Err(401)),
            (Some("a:"), "client_id=a&client_secret=t", Err(401)),
            (Some("a"), "client_id=a", Err(400)),
            (Some("a\0:s"), "", Err(400)),
            (None, "client_id=a&client_id=b", Err(400)),
        ] {
            let header = pair.map(basic_of);
            let values: Vec<&str> = header.iter().map(String::as_str).collect();
            assert_eq!(check(&values, body), result, "{pair:?} {body}");
        }
    }

    #[test]
    fn an_assertion_may_stand_for_the_id() {
        let read = |authorization: &[&str], body: &str| {
            let params = Params::parse(body.as_bytes()).unwrap();
            let client = read(&headers(authorization), &params).map_err(|failure| failure.parts().0.as_u16())?;
            Ok((client.client_id, client.client_assertion_type, client.client_assertion))
        };
        let found = |id: &str, kind: &str, assertion: &str| Ok((id.to_owned(), kind.to_owned(), assertion.to_owned()));
        let basic = basic_of("a:");
        for (authorization, body, result) in [
            (&[][..], "client_assertion_type=t&client_assertion=j", found("", "t", "j")),
            (&[], "client_id=a&client_assertion_type=t&client_assertion=j", found("a", "t", "j")),
            (&[], "client_assertion=j", found("", "", "j")),
            (&[basic.as_str()], "client_assertion_type=t&client_assertion=j", found("a", "t", "j")),
            (&[], "client_assertion_type=t", Err(401)),
            (&[], "client_assertion_type=t&client_assertion=", Err(401)),
            (&[], "client_assertion=j&client_assertion=k", Err(400)),
        ] {
            assert_eq!(read(authorization, body), result, "{body}");
        }
    }

    #[test]
    fn headers_as_they_come() {
        assert_eq!(check(&["basic  YTpz "], ""), ok("a", "s"));
        assert_eq!(check(&["BASIC YTpzcw"], ""), ok("a", "ss"));
        assert_eq!(check(&["Basic !!"], "client_id=a"), Err(400));
        assert_eq!(check(&["Basic"], "client_id=a"), Err(400));
        assert_eq!(check(&["Basic /w=="], ""), Err(400));
        assert_eq!(check(&["Bearer x"], "client_id=a"), ok("a", ""));
        assert_eq!(check(&["Basically x"], "client_id=a"), ok("a", ""));
        assert_eq!(check(&["Basic YTpz", "Basic YTpz"], ""), Err(400));
        assert!(tried_basic(&headers(&["Basic !!"])) && !tried_basic(&headers(&["Bearer x"])));
    }

    proptest! {
        #[test]
        fn no_header_panics(value in "[ -~]{0,60}") {
            let headers = headers(&[&value]);
            let _ = (tried_basic(&headers), read(&headers, &Params::default()));
        }
    }
}
