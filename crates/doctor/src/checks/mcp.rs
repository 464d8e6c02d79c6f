//! The MCP endpoint, for who has no token, or a bad one (RFC 6750 §3.1).

use crate::{Code, Finding, Step, Visit};

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some((first, answer)) = visit.answer(Step::McpInitialize) else { return found };
    if let Some(redirect) = first.redirects.last() {
        let seen = format!("{} to {}", redirect.status, redirect.to);
        found.push(Finding::at(Code::McpRedirectFollowed, first, seen));
    }
    let code = match answer.status {
        401 => None,
        403 => Some(Code::FirstAnswer403),
        200..=299 => Some(Code::OpenServer),
        300..=399 => Some(Code::McpRedirect),
        _ => Some(Code::FirstAnswerNot401),
    };
    if let Some(code) = code {
        // What else is asked is answered alike, and for the same reason.
        found.push(Finding::refused(code, first, answer));
        return found;
    }
    for (step, code) in [
        (Step::McpGet, Code::GetProbeNot401),
        (Step::McpDiscover, Code::DiscoverNot401),
        (Step::McpUnreadable, Code::BodyReadBeforeAuth),
        (Step::McpDelete, Code::DeleteNot401),
        (Step::McpOtherSlash, Code::SlashNotServed),
    ] {
        // Whoever redirects from the address that was typed to the other has been told.
        if let Some((observation, answer)) = visit.answer(step)
            && answer.status != 401
            && first.redirects.is_empty()
        {
            found.push(Finding::refused(code, observation, answer));
        }
    }
    if let Some((observation, answer)) = visit.answer(Step::McpBadToken) {
        match answer.status {
            401 => {
                let challenge = answer.header("www-authenticate");
                let first_has_one = visit
                    .answer(Step::McpInitialize)
                    .is_some_and(|(_, first)| first.headers.contains_key("www-authenticate"));
                if first_has_one && !challenge.contains("invalid_token") {
                    found.push(Finding::at(Code::BadTokenNoError, observation, challenge));
                }
            }
            200..=299 => found.push(Finding::refused(Code::BadTokenAccepted, observation, answer)),
            _ => found.push(Finding::refused(Code::BadTokenStatus, observation, answer)),
        }
    }
    found
}
