//! What comes to the client with an answer: `state` (RFC 6749 §4.1.2) and `iss` (RFC 9207). It is seen without signing in
//! where the server refuses a bad request to the client itself, and else when somebody signs in.

use serde_json::Value;

use crate::{Code, Finding, Observation, Step, Visit, redirected};

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    for step in [Step::Authorize, Step::AuthorizeError] {
        let Some((observation, answer)) = visit.answer(step) else { continue };
        let Some(to) = redirected::to_client(observation, answer) else { continue };
        let param = |name| redirected::param(to.as_str(), name);
        if to.query().is_some_and(|query| query.contains('+')) {
            found.push(Finding::at(Code::SpaceAsPlus, observation, "a + in the query"));
        }
        judge(visit, observation, param("state"), param("iss"), &mut found);
    }
    if let (Some(callback), Some(observation)) = (&visit.callback, visit.find(Step::Authorize)) {
        if callback.has_plus {
            found.push(Finding::at(Code::SpaceAsPlus, observation, "a + in the query"));
        }
        judge(visit, observation, callback.state.clone(), callback.iss.clone(), &mut found);
    }
    found
}

fn judge(
    visit: &Visit,
    observation: &Observation,
    state: Option<String>,
    iss: Option<String>,
    found: &mut Vec<Finding>,
) {
    if state.as_ref() != Some(&visit.state) {
        let seen = format!("sent {:?}, came back {state:?}", visit.state);
        found.push(Finding::at(Code::StateChanged, observation, seen));
    }
    let metadata = visit.server_metadata().map(|(_, metadata)| metadata).unwrap_or_default();
    let is_promised = metadata.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true));
    let issuer = metadata.get("issuer").and_then(Value::as_str);
    match iss {
        None if is_promised => found.push(Finding::at(Code::IssMissing, observation, "no iss")),
        None => {}
        Some(iss) if !is_promised => {
            found.push(Finding::at(Code::IssNotAdvertised, observation, format!("iss is {iss}")))
        }
        // That the metadata and the resource have different names for it has been said.
        Some(iss) if issuer != Some(&iss) && iss != visit.issuer() => {
            let seen = format!("iss is {iss}, and issuer {}", issuer.unwrap_or("absent"));
            found.push(Finding::at(Code::IssMismatch, observation, seen));
        }
        Some(_) => {}
    }
}
