//! Clients that run in a web page (the Fetch standard, CORS protocol).

use http::HeaderMap;

use crate::{Code, Finding, Step, Visit};

/// What a browser needs to send, by what it asked first.
const PREFLIGHTS: [(Step, &[&str]); 4] = [
    (Step::McpPreflight, crate::probe::MCP_HEADERS),
    (Step::ResourcePreflight, &["mcp-protocol-version"]),
    (Step::RegisterPreflight, &["content-type"]),
    (Step::TokenPreflight, &["content-type", "authorization"]),
];

/// What a client in a browser must be able to read.
const ANSWERS: [Step; 4] = [Step::McpFromBrowser, Step::ResourceAtPath, Step::ServerOauth, Step::TokenFromBrowser];

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    for (step, needed) in PREFLIGHTS {
        let Some((observation, answer)) = visit.answer(step) else { continue };
        let allowed = words(&answer.headers, "access-control-allow-headers");
        // A * does not stand for `authorization`.
        let is_allowed =
            |name: &str| allowed.iter().any(|allowed| allowed == name || (allowed == "*" && name != "authorization"));
        let missing: Vec<_> = needed.iter().filter(|name| !is_allowed(name)).copied().collect();
        let problem = if !(200..300).contains(&answer.status) {
            answer.in_short()
        } else if !is_open(&answer.headers) {
            "no Access-Control-Allow-Origin".to_owned()
        } else if !missing.is_empty() {
            format!("not allowed: {}", missing.join(", "))
        } else {
            continue;
        };
        found.push(Finding::at(Code::CorsPreflight, observation, problem));
    }
    for step in ANSWERS {
        let Some((observation, answer)) = visit.answer(step) else { continue };
        if matches!(answer.status, 300..=399) || (answer.status == 404 && step != Step::McpFromBrowser) {
            continue;
        }
        let exposed = words(&answer.headers, "access-control-expose-headers");
        let is_exposed = |name: &str| exposed.iter().any(|exposed| exposed == name || exposed == "*");
        let problem = if !is_open(&answer.headers) {
            format!("{} without Access-Control-Allow-Origin", answer.status)
        } else if step == Step::McpFromBrowser && !(is_exposed("www-authenticate") && is_exposed("mcp-session-id")) {
            format!("exposed: {}", exposed.join(", "))
        } else {
            continue;
        };
        found.push(Finding::at(Code::CorsHeaders, observation, problem));
    }
    found
}

fn is_open(headers: &HeaderMap) -> bool {
    let allowed = headers.get("access-control-allow-origin").and_then(|value| value.to_str().ok());
    allowed.is_some_and(|allowed| allowed == "*" || allowed == crate::probe::ORIGIN)
}

fn words(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|word| word.trim().to_ascii_lowercase()).collect()
}
