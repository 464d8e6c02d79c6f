//! What is seen only when a person signs in: the code, the tokens, and their end.

use crate::{Answer, Code, Finding, Step, Visit, observation::Observation};

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    let (Some(callback), Some(authorize)) = (&visit.callback, visit.find(Step::Authorize)) else { return found };
    if callback.method != "GET" {
        found.push(Finding::at(Code::CallbackNotGet, authorize, format!("it came as {}", callback.method)));
    }
    if callback.code.is_none() {
        let seen = callback.error.clone().unwrap_or_else(|| "neither code nor error".to_owned());
        found.push(Finding::at(Code::SignInRefused, authorize, seen).because(callback.error.clone()));
    }
    for (step, code) in [(Step::Exchange, Code::ExchangeRefused), (Step::Refresh, Code::RefreshRefused)] {
        if let Some((observation, answer)) = visit.answer(step)
            && !has_token(answer)
        {
            found.push(Finding::refused(code, observation, answer));
        }
    }
    for step in [Step::McpCall, Step::McpCallAfterRefresh] {
        let Some((observation, answer)) = visit.answer(step) else { continue };
        match answer.status {
            200..=299 => {}
            401 | 403 => {
                let error = crate::challenge::Challenge::read(answer.header("www-authenticate"));
                let error = error.get("error").map(str::to_owned);
                found.push(Finding::refused(Code::AccessTokenRefused, observation, answer).because(error));
            }
            _ => found.push(Finding::refused(Code::McpCallFailed, observation, answer)),
        }
    }
    // Only where initialize goes through: else the same is told twice.
    if let Some((observation, answer)) = visit.answer(Step::McpStream)
        && visit.answer(Step::McpCall).is_some_and(|(_, call)| call.status < 300)
        && (matches!(answer.status, 401 | 403) || answer.status >= 500)
    {
        found.push(Finding::refused(Code::StreamRefused, observation, answer));
    }
    reuse(visit, &mut found);
    for (step, code) in [(Step::RefreshRevoked, Code::RevokedTokenWorks), (Step::CodeAgain, Code::CodeAcceptedTwice)] {
        if let Some((observation, answer)) = visit.answer(step)
            && has_token(answer)
            && was_revoked(visit, observation)
        {
            found.push(Finding::refused(code, observation, answer));
        }
    }
    found
}

/// A refused revocation revokes nothing, and that is told.
fn was_revoked(visit: &Visit, observation: &Observation) -> bool {
    observation.step != Step::RefreshRevoked
        || visit.answer(Step::Revoke).is_some_and(|(_, answer)| answer.status == 200)
}

fn reuse(visit: &Visit, found: &mut Vec<Finding>) {
    let Some((observation, answer)) = visit.answer(Step::RefreshAgain).filter(|(_, answer)| !has_token(answer)) else {
        return;
    };
    let newest = visit.answer(Step::RefreshNewest);
    let code = match newest {
        Some((_, newest)) if !has_token(newest) => Code::RefreshReuseRevokes,
        _ => Code::RefreshReuseRefused,
    };
    found.push(Finding::refused(code, observation, answer));
}

fn has_token(answer: &Answer) -> bool {
    (200..300).contains(&answer.status)
        && answer.json().is_some_and(|body| body.get("access_token").is_some_and(serde_json::Value::is_string))
}
