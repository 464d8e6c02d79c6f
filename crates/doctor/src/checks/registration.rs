//! Registration (RFC 7591), and its end (RFC 7592).

use serde_json::Value;

use crate::{Answer, Code, Finding, Observation, Step, Visit, finding::nulls};

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some((first, answer)) = visit.answer(Step::Register) else { return found };
    match visit.registration() {
        None => refused(visit, first, answer, &mut found),
        Some((observation, accepted, body)) => {
            match observation.step {
                Step::RegisterPlain => found.push(Finding::refused(Code::RegistrationRefusesApps, first, answer)),
                Step::RegisterSecret => found.push(Finding::refused(Code::RegistrationRefusesPublic, first, answer)),
                _ => {}
            }
            registered(visit, observation, accepted, &body, &mut found);
        }
    }
    if let Some((observation, answer)) = visit.answer(Step::Unregister)
        && !(200..300).contains(&answer.status)
    {
        found.push(Finding::refused(Code::RegistrationNotDeleted, observation, answer));
    }
    found
}

fn refused(visit: &Visit, observation: &Observation, answer: &Answer, found: &mut Vec<Finding>) {
    let code = match answer.status {
        200..=299 => Code::RegistrationNotJson,
        300..=399 => Code::RegistrationRedirect,
        // Nobody said that it would be there.
        404 | 405 if visit.server_metadata().is_none() => Code::NoRegistration,
        _ => Code::RegistrationRefused,
    };
    found.push(Finding::refused(code, observation, answer));
}

fn registered(visit: &Visit, observation: &Observation, answer: &Answer, body: &Value, found: &mut Vec<Finding>) {
    let mut say = |code, seen: String| found.push(Finding::at(code, observation, seen));
    if answer.status != 201 {
        say(Code::RegistrationStatus, answer.in_short());
    }
    if !answer.is_served_as_json() {
        say(Code::RegistrationContentType, format!("{:?}", answer.header("content-type")));
    }
    let (secret, others): (Vec<_>, Vec<_>) = nulls(body).into_iter().partition(|name| name == "client_secret");
    if !secret.is_empty() {
        say(Code::RegistrationSecretNull, "client_secret is null".to_owned());
    }
    if !others.is_empty() {
        say(Code::RegistrationNull, format!("null: {}", others.join(", ")));
    }
    match body.get("client_id").and_then(Value::as_str) {
        None | Some("") => say(Code::RegistrationLacksClientId, "no client_id".to_owned()),
        Some(id) => {
            if !id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~')) {
                say(Code::ClientIdCharacters, format!("client_id is {id}"));
            }
        }
    }
    match body.get("redirect_uris").and_then(Value::as_array) {
        None => say(Code::RegistrationLacksRedirectUris, "no redirect_uris".to_owned()),
        Some(uris) if uris.iter().any(|uri| uri == &visit.redirect_uri) => {}
        Some(uris) => say(Code::RegistrationChangesRedirectUris, Value::from(uris.clone()).to_string()),
    }
    if body.get("token_endpoint_auth_method").is_none_or(|method| !method.is_string()) {
        say(Code::RegistrationLacksMethod, "no token_endpoint_auth_method".to_owned());
    }
    if body.get("client_secret").is_some_and(Value::is_string) {
        if observation.step != Step::RegisterSecret {
            say(Code::RegistrationSecretForPublic, "a client_secret, where none was asked for".to_owned());
        }
        if body.get("client_secret_expires_at").is_none() {
            say(Code::RegistrationLacksExpiry, "client_secret without client_secret_expires_at".to_owned());
        }
    }
}
