//! The authorization endpoint, as far as one can see without signing in.

use crate::{Answer, Code, Finding, Step, Visit, redirected};

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    let good = visit.answer(Step::Authorize);
    if let Some((observation, answer)) = good
        && let Some(refusal) = refused(answer)
    {
        found.push(Finding::refused(Code::AuthorizeRefused, observation, answer).because(refusal.error));
    }
    if good.is_some_and(|(_, answer)| refused(answer).is_none()) {
        for (step, code) in [
            (Step::AuthorizeOtherPort, Code::AuthorizeLoopbackPort),
            (Step::AuthorizeUnknownScope, Code::AuthorizeUnknownScope),
            (Step::AuthorizeBare, Code::AuthorizeBare),
            (Step::AuthorizeSlashResource, Code::AuthorizeSlashResource),
        ] {
            if let Some((observation, answer)) = visit.answer(step)
                && let Some(refusal) = refused(answer)
            {
                found.push(Finding::refused(code, observation, answer).because(refusal.error));
            }
        }
    }
    if let Some((observation, answer)) = visit.answer(Step::AuthorizeDocument)
        && let Some(refusal) = refused(answer)
    {
        found.push(Finding::refused(Code::AuthorizeDocumentRefused, observation, answer).because(refusal.error));
    }
    for (step, code) in [
        (Step::AuthorizeUnknownClient, Code::AuthorizeUnknownClient),
        (Step::AuthorizeUnknownRedirectUri, Code::AuthorizeUnknownRedirectUri),
    ] {
        let Some((observation, answer)) = visit.answer(step) else { continue };
        if redirected::to_client(observation, answer).is_some() {
            found.push(Finding::refused(Code::AuthorizeOpenRedirect, observation, answer));
        } else if answer.status != 400 {
            found.push(Finding::refused(code, observation, answer));
        }
    }
    for step in [Step::Authorize, Step::AuthorizeError] {
        if let Some((observation, answer)) = visit.answer(step)
            && matches!(answer.status, 307 | 308)
            && redirected::to_client(observation, answer).is_some()
        {
            found.push(Finding::refused(Code::AuthorizeRedirectStatus, observation, answer));
        }
    }
    found
}

struct Refusal {
    error: Option<String>,
}

/// Whether the request came to nothing: an error, or one that goes to the client. A redirect to a place to sign in is none.
fn refused(answer: &Answer) -> Option<Refusal> {
    if answer.status >= 400 {
        return Some(Refusal { error: answer.error() });
    }
    let error = redirected::param(answer.location()?, "error")?;
    Some(Refusal { error: Some(error) })
}
