//! The headers that repeat what the body says: `Mcp-Method` and `Mcp-Name` (MCP 2026-07-28, Standard Request Headers).
//!
//! An upstream older than that executes the body whatever they say, so the body rules, and headers that were sent must agree
//! with it. Only where the operator says that the upstream compares them itself (`trust_mcp_headers`) do they stand for the
//! body; then they must be there, and the request must be of a revision that makes upstreams compare them.

use axum::http::HeaderMap;
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    headers::folded,
    message::{Fault, MAX_METHOD, Message, is_mirrored},
};

const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const VERSION: &str = "mcp-protocol-version";
/// The first revision whose servers must refuse headers that disagree with the body.
const COMPARED_SINCE: &str = "2026-07-28";

/// HeaderMismatch.
const HEADER_MISMATCH: i32 = -32020;

fn mismatch(text: impl Into<String>) -> Fault {
    Fault::new(HEADER_MISMATCH, text)
}

/// A header that may be sent once, in any spelling that a server may take for it.
fn one<'a>(headers: &'a HeaderMap, name: &str, shown: &str) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.iter().filter(|(known, _)| folded(known.as_str()) == name);
    let (first, second) = (values.next(), values.next());
    match (first, second) {
        (None, _) => Ok(None),
        (Some((known, value)), None) if known.as_str() == name => value
            .to_str()
            .map(|text| Some(text.trim()))
            .map_err(|_| mismatch(format!("{shown} is not ASCII; encode it"))),
        _ => Err(mismatch(format!("send {shown} once"))),
    }
}

/// The name that an `Mcp-Name` carries, decoded.
fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

fn name(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let Some(value) = one(headers, NAME, "Mcp-Name")? else { return Ok(None) };
    decoded(value).map(Some).ok_or_else(|| mismatch("Mcp-Name is no Base64 of a text, though it says so"))
}

/// Refuses headers that disagree with a message of the body.
pub(crate) fn agree(headers: &HeaderMap, messages: &[Message]) -> Result<(), Fault> {
    let (method, name) = (one(headers, METHOD, "Mcp-Method")?, name(headers)?);
    for message in messages {
        if method.is_some() && method != message.method.as_deref() {
            return Err(mismatch("Mcp-Method does not match the method of the body").of(message));
        }
        if let Some(name) = &name
            && !message.names.contains(name)
        {
            return Err(mismatch("Mcp-Name does not match what the body names").of(message));
        }
    }
    Ok(())
}

/// The method that the headers say, and the name where the method has one that is repeated.
pub(crate) fn trusted(headers: &HeaderMap) -> Result<(String, Option<String>), Fault> {
    let version = one(headers, VERSION, "MCP-Protocol-Version")?.unwrap_or_default();
    let is_date = version.len() == COMPARED_SINCE.len()
        && version.bytes().zip(COMPARED_SINCE.bytes()).all(|(byte, model)| match model {
            b'-' => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !is_date || version < COMPARED_SINCE {
        return Err(mismatch(format!("MCP-Protocol-Version must be {COMPARED_SINCE} or newer here")));
    }
    let method = one(headers, METHOD, "Mcp-Method")?.filter(|method| (1..=MAX_METHOD).contains(&method.len()));
    let method = method.ok_or_else(|| mismatch("Mcp-Method is missing, or none"))?.to_owned();
    let name = name(headers)?;
    if name.is_none() && is_mirrored(&method) {
        return Err(mismatch(format!("Mcp-Name is missing; {method} needs it")));
    }
    // Other methods may name something that no header repeats.
    let name = name.filter(|_| is_mirrored(&method));
    Ok((method, name))
}
