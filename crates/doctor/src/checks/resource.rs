//! Protected-resource metadata (RFC 9728): where it is, and whether it is about the address that was typed.

use serde_json::Value;
use url::Url;

use crate::{
    Answer, Code, Finding, Observation, Step, Visit,
    challenge::Challenge,
    finding::nulls,
    visit::{RESOURCE_STEPS, is_busy},
};

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    places(visit, &mut found);
    if let Some((observation, metadata)) = visit.resource_metadata() {
        document(visit, observation, &metadata, &mut found);
    }
    if let Some((observation, answer)) = visit.answer(Step::UnknownWellKnown) {
        match answer.status {
            404 | 410 => {}
            _ if is_busy(answer) => found.push(Finding::refused(Code::WellKnownErrorBeside, observation, answer)),
            _ => found.push(Finding::refused(Code::CatchAllPage, observation, answer)),
        }
    }
    found
}

fn places(visit: &Visit, found: &mut Vec<Finding>) {
    let before = found.len();
    let used = visit.resource_metadata().map(|(observation, _)| observation.step);
    let mut is_found = false;
    for step in RESOURCE_STEPS {
        let Some((observation, answer)) = visit.answer(step) else { continue };
        if let Some(code) = fault_of_document(observation, answer, is_found) {
            found.push(Finding::refused(code, observation, answer));
            continue;
        }
        is_found |= Some(step) == used;
        let code = match answer.status {
            200 if answer.object().is_none() => Code::ResourceMetadataNotJson,
            200 if !answer.is_served_as_json() => Code::ResourceMetadataContentType,
            200 => continue,
            404 | 410 if used.is_some() && step == Step::ResourceAtPath => Code::ResourceMetadataNotAtPath,
            404 | 410 if used.is_some() && step == Step::ResourceAtRoot => Code::ResourceMetadataNotAtRoot,
            404 | 410 => continue,
            _ => Code::ResourceMetadataStatus,
        };
        found.push(Finding::at(code, observation, seen(answer)));
    }
    // Nobody needs it where nobody needs a token.
    let is_needed = visit.answer(Step::McpInitialize).is_some_and(|(_, answer)| matches!(answer.status, 401 | 403));
    if let Some((observation, answer)) = visit.answer(Step::ResourceAtPath)
        && found.len() == before
        && used.is_none()
        && is_needed
    {
        found.push(Finding::at(Code::NoResourceMetadata, observation, answer.in_short()));
    }
}

/// What is wrong with any document's answer, whatever it is about. Clients stop at the first document that they find, so
/// what comes after it breaks nobody.
pub(super) fn fault_of_document(observation: &Observation, answer: &Answer, is_found: bool) -> Option<Code> {
    let redirects = !observation.redirects.is_empty() || (300..400).contains(&answer.status);
    match (is_busy(answer), is_found) {
        (true, true) => Some(Code::WellKnownErrorBeside),
        (true, false) => Some(Code::WellKnownError),
        (false, false) if redirects => Some(Code::MetadataRedirect),
        (false, _) => None,
    }
}

/// The status and the type of a document.
pub(super) fn seen(answer: &Answer) -> String {
    format!("{}, {:?}", answer.in_short(), answer.header("content-type"))
}

pub(super) fn has_scopes(metadata: &Value) -> bool {
    metadata.get("scopes_supported").and_then(Value::as_array).is_some_and(|scopes| !scopes.is_empty())
}

fn document(visit: &Visit, observation: &Observation, metadata: &Value, found: &mut Vec<Finding>) {
    let mut say = |code, seen: String| found.push(Finding::at(code, observation, seen));
    let nulls = nulls(metadata);
    if !nulls.is_empty() {
        say(Code::ResourceMetadataNull, format!("null: {}", nulls.join(", ")));
    }
    match metadata.get("resource").and_then(Value::as_str) {
        None => say(Code::ResourceMissing, "no resource".to_owned()),
        Some(resource) => {
            if let Some(code) = compare(&visit.typed, resource) {
                say(code, format!("resource is {resource}, and {} was typed", visit.typed));
            }
        }
    }
    let servers = metadata.get("authorization_servers").and_then(Value::as_array);
    if servers.is_none_or(|servers| servers.first().and_then(Value::as_str).is_none()) {
        say(Code::NoAuthorizationServers, "no authorization_servers".to_owned());
    }
    let challenge =
        visit.answer(Step::McpInitialize).map(|(_, answer)| Challenge::read(answer.header("www-authenticate")));
    if !has_scopes(metadata) && challenge.is_none_or(|challenge| challenge.get("scope").is_none_or(str::is_empty)) {
        say(Code::NoScopes, "no scopes_supported, and no scope in the challenge".to_owned());
    }
    if let Some(methods) = metadata.get("bearer_methods_supported").and_then(Value::as_array)
        && !methods.iter().any(|method| method == "header")
    {
        say(Code::BearerMethods, format!("bearer_methods_supported is {}", Value::from(methods.clone())));
    }
}

/// Compares the resource with the address as it was typed, as clients do: as text, and where an address has no path, with or
/// without the slash that every URL library adds.
fn compare(typed: &str, resource: &str) -> Option<Code> {
    if typed == resource {
        return None;
    }
    let (Ok(url), Ok(named)) = (Url::parse(typed), Url::parse(resource)) else { return Some(Code::ResourceMismatch) };
    if url == named {
        return None;
    }
    if url.origin() != named.origin() || url.query() != named.query() {
        return Some(Code::ResourceMismatch);
    }
    let (path, named) = (url.path(), named.path());
    if named.strip_suffix('/') == Some(path) {
        Some(Code::ResourceTrailingSlash)
    } else if path.strip_suffix('/') == Some(named) {
        Some(Code::UrlHasSlash)
    } else if path.strip_prefix(named).is_some_and(|rest| named.ends_with('/') || rest.starts_with('/')) {
        Some(Code::ResourceIsParent)
    } else {
        Some(Code::ResourceMismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_is_compared_as_clients_do() {
        for (typed, resource, code) in [
            ("https://a.example/mcp", "https://a.example/mcp", None),
            ("https://a.example", "https://a.example/", None),
            ("https://a.example/", "https://a.example", None),
            ("https://a.example:443/mcp", "https://a.example/mcp", None),
            ("https://a.example/mcp", "https://a.example/mcp/", Some(Code::ResourceTrailingSlash)),
            ("https://a.example/mcp/", "https://a.example/mcp", Some(Code::UrlHasSlash)),
            ("https://a.example/mcp", "https://a.example", Some(Code::ResourceIsParent)),
            ("https://a.example/a/mcp", "https://a.example/a", Some(Code::ResourceIsParent)),
            ("https://a.example/mcp", "https://a.example/mc", Some(Code::ResourceMismatch)),
            ("https://a.example/mcp", "https://a.example/mcp2", Some(Code::ResourceMismatch)),
            ("https://a.example/mcp", "http://a.example/mcp", Some(Code::ResourceMismatch)),
            ("https://a.example/mcp", "https://b.example/mcp", Some(Code::ResourceMismatch)),
            ("https://a.example/mcp", "https://a.example/mcp?x=1", Some(Code::ResourceMismatch)),
            ("https://a.example/mcp", "mcp", Some(Code::ResourceMismatch)),
        ] {
            assert_eq!(compare(typed, resource), code, "{typed} {resource}");
        }
    }
}
