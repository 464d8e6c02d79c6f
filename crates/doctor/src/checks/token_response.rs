//! Token responses (RFC 6749 §5.1), each of a sign-in and of a refresh.

use serde_json::Value;

use crate::{Answer, Code, Finding, Observation, Step, Visit};

/// Some clients refresh before every request when less is left, in seconds.
const SHORT: f64 = 300.0;

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    for step in [Step::Exchange, Step::Refresh] {
        let Some((observation, answer)) = visit.answer(step) else { continue };
        if let Some(body) = answer.object().filter(|_| (200..300).contains(&answer.status)) {
            response(observation, answer, &body, &mut found);
        }
    }
    found
}

fn response(observation: &Observation, answer: &Answer, body: &Value, found: &mut Vec<Finding>) {
    let mut say = |code, seen: String| found.push(Finding::at(code, observation, seen));
    if answer.status != 200 {
        say(Code::TokenResponseStatus, answer.status.to_string());
    }
    if !answer.is_served_as_json() {
        say(Code::TokenResponseContentType, format!("{:?}", answer.header("content-type")));
    }
    if !answer.header("cache-control").to_ascii_lowercase().contains("no-store") {
        say(Code::TokenResponseCacheable, format!("Cache-Control: {:?}", answer.header("cache-control")));
    }
    let nulls = crate::finding::nulls(body);
    if !nulls.is_empty() {
        say(Code::TokenResponseNull, format!("null: {}", nulls.join(", ")));
    }
    match body.get("token_type").and_then(Value::as_str) {
        Some("Bearer") => {}
        Some(other) if other.eq_ignore_ascii_case("bearer") => {
            say(Code::TokenTypeCase, format!("token_type is {other}"))
        }
        other => say(Code::TokenResponseLacksType, format!("token_type is {other:?}")),
    }
    match body.get("expires_in") {
        None | Some(Value::Null) => say(Code::TokenResponseLacksExpiresIn, "no expires_in".to_owned()),
        Some(value) if value.is_u64() => {
            if value.as_f64().is_some_and(|seconds| seconds <= SHORT) {
                say(Code::TokenShortLived, format!("expires_in is {value}"));
            }
        }
        Some(value) => say(Code::TokenResponseExpiresInText, format!("expires_in is {value}")),
    }
    // A null has been told. A refresh need not give another one (RFC 6749 §6).
    if body.get("refresh_token").is_none() && observation.step == Step::Exchange {
        say(Code::TokenResponseLacksRefreshToken, "no refresh_token".to_owned());
    }
    if body.get("scope").is_none() {
        say(Code::TokenResponseLacksScope, "no scope".to_owned());
    }
}
