//! The challenge of the 401 (RFC 6750 §3, RFC 9728 §5.1). Clients read it with regular expressions and parsers of their own.

use url::Url;

use crate::{Code, Finding, Step, Visit, challenge::Challenge};

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some((observation, answer)) = visit.answer(Step::McpInitialize).filter(|(_, answer)| answer.status == 401)
    else {
        return found;
    };
    let mut say = |code, seen: &str| found.push(Finding::at(code, observation, seen));
    if answer.is_html() {
        say(Code::ChallengeHtmlBody, &answer.in_short());
    }
    let headers: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
    let Some(header) = headers.first().and_then(|header| header.to_str().ok()) else {
        say(Code::ChallengeMissing, "401 without WWW-Authenticate");
        return found;
    };
    if headers.len() > 1 {
        say(Code::ChallengeRepeated, &format!("{} headers, the first: {header}", headers.len()));
    }
    let challenge = Challenge::read(header);
    if !challenge.scheme.eq_ignore_ascii_case("bearer") {
        say(Code::ChallengeNotBearer, header);
        return found;
    }
    if challenge.scheme != "Bearer" {
        say(Code::ChallengeSchemeCase, header);
    }
    if challenge.has_escapes {
        say(Code::ChallengeEscapes, header);
    }
    if challenge.params.iter().any(|(_, value)| value.is_empty()) {
        say(Code::ChallengeEmptyValue, header);
    }
    let is_misleading =
        |value: &str| ["scope=", "error=", "resource_metadata="].iter().any(|name| value.contains(name));
    if challenge.params.iter().any(|(_, value)| is_misleading(value)) {
        say(Code::ChallengeMisleading, header);
    }
    if challenge.get("realm").is_some() {
        say(Code::ChallengeRealm, header);
    }
    if challenge.get("error").is_some() {
        say(Code::ChallengeErrorWithoutToken, header);
    }
    match challenge.get("resource_metadata") {
        None => say(Code::ChallengeLacksMetadata, header),
        Some(url) if Url::parse(url).is_err() && !url.is_empty() => say(Code::ChallengeMetadataRelative, header),
        Some(_) => {}
    }
    let metadata_has_scopes =
        visit.resource_metadata().is_some_and(|(_, metadata)| super::resource::has_scopes(&metadata));
    if challenge.get("scope").is_none() && metadata_has_scopes {
        say(Code::ChallengeLacksScope, header);
    }
    found
}
