//! Parameters of queries and bodies: `application/x-www-form-urlencoded`, read strictly (RFC 6749 appendix B).
//!
//! Broken percent-encoding, text that is not UTF-8 and NUL are refused, never repaired: two parsers that repair
//! differently are how checks are bypassed. A parameter that comes twice with one value is one parameter (Codex sends
//! `resource` so); with two values the request is ambiguous and refused (RFC 6749 §3.1, §3.2).

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::errors::Failure;

/// More parameters than any client sends; bounds the memory a body of `&a&a&a` takes.
const MAX_PARAMS: usize = 256;

/// How long a body may take. A few kilobytes, also over a bad line.
const PATIENCE: Duration = Duration::from_secs(15);

/// Parameters in the order they came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query or a body.
    pub(crate) fn parse(input: &[u8]) -> Result<Self, Failure> {
        let mut params = Vec::new();
        for pair in input.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if params.len() == MAX_PARAMS {
                return Err(Failure::invalid_request("there are too many parameters"));
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let mut half = || decode(halves.next().unwrap_or_default(), true);
            match (half(), half()) {
                (Some(name), Some(value)) => params.push((name, value)),
                _ => return Err(Failure::invalid_request("a parameter is not properly percent-encoded UTF-8 text")),
            }
        }
        Ok(Self(params))
    }

    /// The one value of a parameter.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Failure> {
        let mut values = self.values(name);
        let first = values.next();
        match values.find(|value| Some(*value) != first) {
            None => Ok(first),
            Some(_) => Err(Failure::invalid_request(format!("the parameter {name} is there twice"))),
        }
    }

    /// The one value of a parameter, owned; empty when absent.
    pub(crate) fn text(&self, name: &str) -> Result<String, Failure> {
        self.one(name).map(|value| value.unwrap_or_default().to_owned())
    }

    /// The different values of a parameter that may come several times.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let mut all = Vec::new();
        for value in self.values(name) {
            if !all.iter().any(|known| known == value) {
                all.push(value.to_owned());
            }
        }
        all
    }

    fn values<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The one value of a parameter that must be there.
pub(crate) fn required(params: &Params, name: &str) -> Result<String, Failure> {
    let value = params.text(name)?;
    if value.is_empty() { Err(Failure::invalid_request(format!("the {name} is missing"))) } else { Ok(value) }
}

/// Decodes percent-encoding; nothing when it is broken, not UTF-8, or holds NUL. `form` reads `+` as a space.
pub(crate) fn decode(input: &[u8], form: bool) -> Option<String> {
    let mut out = Vec::with_capacity(input.len());
    let mut rest = input.iter();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' if form => b' ',
            byte => *byte,
        });
    }
    if out.contains(&0) {
        return None;
    }
    String::from_utf8(out).ok()
}

/// Reads a form body of at most `limit` bytes.
pub(crate) async fn body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Params, Failure> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Failure::invalid_request("the content type must be application/x-www-form-urlencoded"));
    }
    Params::parse(&bytes(body, limit).await?)
}

/// Reads a body of at most `limit` bytes, while its sender is not too slow.
pub(crate) async fn bytes(body: Body, limit: usize) -> Result<bytes::Bytes, Failure> {
    match tokio::time::timeout(PATIENCE, Limited::new(body, limit).collect()).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure::TooLarge),
        Ok(Err(_)) => Err(Failure::invalid_request("the request body ended early")),
        Err(_) => Err(Failure::invalid_request("the request body came too slowly")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(input: &str, name: &str) -> Result<Option<String>, Failure> {
        Ok(Params::parse(input.as_bytes())?.one(name)?.map(str::to_owned))
    }

    #[test]
    fn values() {
        for (input, read) in [
            ("", None),
            ("b=1", None),
            ("a", Some("")),
            ("a=", Some("")),
            ("a=1", Some("1")),
            ("&&a=1&&", Some("1")),
            ("a=1=2", Some("1=2")),
            ("a=x+y%20z%2B", Some("x y z+")),
            ("%61=%c3%A9", Some("é")),
            ("a=1&a=1", Some("1")),
            ("A=2&a=1", Some("1")),
        ] {
            assert_eq!(one(input, "a").unwrap().as_deref(), read, "{input}");
        }
    }

    #[test]
    fn what_is_ambiguous_or_broken_is_refused() {
        for input in ["a=1&a=2", "a=1&a", "a=%", "a=%4", "a=%zz", "a=%00", "a=\0", "a=%ff", "a=%+1", "%=1", "b=%&a=1"] {
            assert!(one(input, "a").is_err(), "{input}");
        }
        assert!(Params::parse(b"a=\xff").is_err());
        assert!(Params::parse("a&".repeat(MAX_PARAMS + 1).as_bytes()).is_err());
        assert!(Params::parse("a&".repeat(MAX_PARAMS).as_bytes()).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let trickle = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, std::io::Error>("a"), ()))
        });
        let failure = bytes(Body::from_stream(trickle), 1000).await.unwrap_err();
        assert_eq!(failure, Failure::invalid_request("the request body came too slowly"));
    }

    proptest! {
        #[test]
        fn no_input_panics(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(params) = Params::parse(&input) {
                let _ = params.one("a");
            }
        }

        #[test]
        fn what_was_encoded_is_read(value in "[^\0]{0,40}") {
            let encoded: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("a", &value).finish();
            prop_assert_eq!(one(&encoded, "a").unwrap(), Some(value));
        }
    }
}
