//! Metadata of the authorization server (RFC 8414): where it is, whose it is, and whether clients can read it.

use serde_json::Value;
use url::Url;

use super::resource::{fault_of_document, seen};
use crate::{
    Code, Finding, Observation, Step, Visit,
    finding::nulls,
    visit::{SERVER_STEPS, is_loopback},
};

/// The members of OpenID Connect Discovery that make a document complete (§3).
const OPENID: [&str; 3] = ["jwks_uri", "subject_types_supported", "id_token_signing_alg_values_supported"];
/// The endpoints that a client of MCP calls.
const ENDPOINTS: [&str; 4] =
    ["authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"];

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    places(visit, &mut found);
    if let Some((observation, metadata)) = visit.server_metadata() {
        document(observation, &metadata, &mut found);
        issuer(visit, observation, &metadata, &mut found);
        endpoints(visit, observation, &metadata, &mut found);
        clients(visit, observation, &metadata, &mut found);
    }
    found
}

fn places(visit: &Visit, found: &mut Vec<Finding>) {
    let before = found.len();
    let used = visit.server_metadata().map(|(observation, _)| observation.step);
    let is_anywhere = used.is_some();
    let mut is_found = false;
    for step in SERVER_STEPS {
        let Some((observation, answer)) = visit.answer(step) else { continue };
        if let Some(code) = fault_of_document(observation, answer, is_found) {
            found.push(Finding::refused(code, observation, answer));
        }
        match (answer.status, answer.object()) {
            // Whoever serves a page for everything is told so elsewhere.
            (200, None) if !is_found => {
                found.push(Finding::at(Code::ServerMetadataNotJson, observation, seen(answer)));
            }
            (200, Some(_)) if !is_found && !answer.is_served_as_json() => {
                found.push(Finding::at(Code::ServerMetadataContentType, observation, seen(answer)));
            }
            (200, Some(metadata)) if step != Step::ServerOauth => {
                let missing: Vec<_> = OPENID.into_iter().filter(|name| metadata.get(name).is_none()).collect();
                if !missing.is_empty() {
                    let seen = format!("it lacks {}", missing.join(", "));
                    found.push(Finding::at(Code::OpenidIncomplete, observation, seen));
                }
            }
            _ => {}
        }
        is_found |= Some(step) == used;
    }
    // Where nobody is asked for a token, nobody needs an authorization server.
    let is_needed = visit.answer(Step::McpInitialize).is_some_and(|(_, answer)| matches!(answer.status, 401 | 403));
    if let Some((observation, answer)) = visit.answer(Step::ServerOauth)
        && found.len() == before
        && !is_anywhere
        && is_needed
    {
        found.push(Finding::at(Code::NoServerMetadata, observation, answer.in_short()));
    }
    if let Some((observation, answer)) = visit.answer(Step::ServerAtResource)
        && is_anywhere
    {
        if let Some(code) = fault_of_document(observation, answer, true) {
            found.push(Finding::refused(code, observation, answer));
        } else if answer.status != 200 {
            found.push(Finding::at(Code::ServerMetadataNotAtResource, observation, answer.in_short()));
        }
    }
}

fn lists(metadata: &Value, member: &str, word: &str) -> bool {
    metadata.get(member).and_then(Value::as_array).is_some_and(|words| words.iter().any(|known| known == word))
}

fn document(observation: &Observation, metadata: &Value, found: &mut Vec<Finding>) {
    let mut say = |code, seen: String| found.push(Finding::at(code, observation, seen));
    let nulls = nulls(metadata);
    if !nulls.is_empty() {
        say(Code::ServerMetadataNull, format!("null: {}", nulls.join(", ")));
    }
    let required = ["issuer", "authorization_endpoint", "token_endpoint"];
    let missing: Vec<_> =
        required.into_iter().filter(|name| !metadata.get(name).is_some_and(Value::is_string)).collect();
    if !missing.is_empty() {
        say(Code::LacksEndpoint, format!("it lacks {}", missing.join(", ")));
    }
    if !lists(metadata, "response_types_supported", "code") {
        say(
            Code::LacksResponseTypes,
            format!("response_types_supported: {}", member(metadata, "response_types_supported")),
        );
    }
    match metadata.get("code_challenge_methods_supported").and_then(Value::as_array) {
        None => say(Code::PkceNotAdvertised, "no code_challenge_methods_supported".to_owned()),
        Some(_) if lists(metadata, "code_challenge_methods_supported", "S256") => {}
        Some(_) => say(Code::PkceLacksS256, member(metadata, "code_challenge_methods_supported")),
    }
    if !lists(metadata, "grant_types_supported", "refresh_token") {
        say(
            Code::RefreshNotAdvertised,
            format!("grant_types_supported: {}", member(metadata, "grant_types_supported")),
        );
    }
}

fn member(metadata: &Value, name: &str) -> String {
    metadata.get(name).map_or_else(|| "absent".to_owned(), Value::to_string)
}

/// Three names must be one: what the resource says, what the document says, and (in `iss`) what comes to the client.
fn issuer(visit: &Visit, observation: &Observation, metadata: &Value, found: &mut Vec<Finding>) {
    // A guess of the client binds nobody.
    let is_named = visit.resource_metadata().is_some_and(|(_, metadata)| {
        metadata.get("authorization_servers").and_then(|servers| servers.get(0)).is_some()
    });
    let (Some(issuer), expected) = (metadata.get("issuer").and_then(Value::as_str), visit.issuer()) else { return };
    if !is_named || issuer == expected {
        return;
    }
    let code = match issuer.trim_end_matches('/') == expected.trim_end_matches('/') {
        true if issuer.ends_with('/') => Code::IssuerTrailingSlash,
        true => Code::AuthorizationServerTrailingSlash,
        false => Code::IssuerMismatch,
    };
    let seen = format!("issuer is {issuer}, and authorization_servers names {expected}");
    found.push(Finding::at(code, observation, seen));
}

fn endpoints(visit: &Visit, observation: &Observation, metadata: &Value, found: &mut Vec<Finding>) {
    let own = Url::parse(&visit.issuer()).map(|url| url.origin());
    for name in ENDPOINTS {
        let Some(text) = metadata.get(name).and_then(Value::as_str) else { continue };
        let seen = format!("{name} is {text}");
        match Url::parse(text) {
            Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) => {
                if own.as_ref().is_ok_and(|own| *own != url.origin()) {
                    found.push(Finding::at(Code::EndpointElsewhere, observation, seen));
                }
            }
            _ => found.push(Finding::at(Code::EndpointNotHttps, observation, seen)),
        }
    }
}

/// How a client that nobody has set up gets in.
fn clients(visit: &Visit, observation: &Observation, metadata: &Value, found: &mut Vec<Finding>) {
    let mut say = |code, seen: &str| found.push(Finding::at(code, observation, seen));
    let registers = metadata.get("registration_endpoint").is_some_and(Value::is_string);
    match (registers, visit.takes_documents()) {
        (false, false) => say(Code::NoRegistration, "neither registration_endpoint nor metadata documents"),
        (false, true) => say(Code::DocumentsOnly, "metadata documents, and no registration_endpoint"),
        (true, _) => {}
    }
    let methods = "token_endpoint_auth_methods_supported";
    if !lists(metadata, methods, "none") {
        let code = if visit.takes_documents() { Code::DocumentsWithoutNone } else { Code::NoneNotAdvertised };
        say(code, &format!("{methods}: {}", member(metadata, methods)));
    }
}
