//! The token endpoint's refusals (RFC 6749 §5.2). Clients live on them: which word comes decides whether a client refreshes,
//! registers again, asks its person, or is stuck.

use crate::{Answer, Code, Finding, Step, Visit};

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    let steps = [Step::TokenUnknownRefresh, Step::TokenUnknownCode, Step::TokenUnknownClient, Step::RefreshRevoked];
    for step in steps {
        let Some((observation, answer)) = visit.answer(step) else { continue };
        let is_fine = match step {
            Step::TokenUnknownClient => is(answer, "invalid_client"),
            // A client that has been lost meanwhile may hear so.
            Step::TokenUnknownCode => is(answer, "invalid_grant"),
            // That it works at all is told elsewhere.
            Step::RefreshRevoked if answer.status == 200 => true,
            _ => is(answer, "invalid_grant") || is(answer, "invalid_client"),
        };
        let code = match step {
            _ if (300..400).contains(&answer.status) => Code::TokenRedirect,
            _ if is_fine && answer.json().is_some() && !answer.is_served_as_json() && answer.status >= 400 => {
                Code::TokenContentType
            }
            _ if is_fine => continue,
            Step::TokenUnknownCode => Code::TokenUnknownCode,
            Step::TokenUnknownClient => Code::TokenUnknownClient,
            _ => Code::TokenUnknownRefresh,
        };
        found.push(Finding::refused(code, observation, answer));
    }
    let is_grant = |step| visit.answer(step).is_some_and(|(_, answer)| is(answer, "invalid_grant"));
    if let Some((observation, answer)) = visit.answer(Step::TokenEmptySecret)
        && is_grant(Step::TokenUnknownRefresh)
        && !is_grant(Step::TokenEmptySecret)
    {
        found.push(Finding::refused(Code::TokenEmptySecret, observation, answer));
    }
    for step in [Step::RevokeUnknown, Step::Revoke] {
        if let Some((observation, answer)) = visit.answer(step)
            && answer.status != 200
        {
            found.push(Finding::refused(Code::RevocationStatus, observation, answer));
        }
    }
    found
}

/// Whether it is refused with this word and the status that goes with it. Clients go by the word: 400 is good for
/// `invalid_client` too (RFC 6749 §5.2), and 401 for no other.
fn is(answer: &Answer, error: &str) -> bool {
    let status = answer.status == 400 || (answer.status == 401 && error == "invalid_client");
    status && answer.error().as_deref() == Some(error)
}
