//! Findings.

use grantd_oauth_types::OAuthErrorCode;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};
use serde_json::Value;

use crate::{Answer, Code, Facts, Observation};

/// The longest text of a server that is repeated.
const SHOWN: usize = 200;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub code: Code,
    /// Where: method and address, without its query.
    pub place: String,
    /// What was seen there. It may quote the server; never a secret.
    pub seen: String,
    /// Where else the same was seen.
    pub also: Vec<String>,
    /// The OAuth error with which the server refused: what grantd puts on the span of the request as `error.type`.
    pub error: Option<String>,
}

impl Finding {
    /// A finding about an exchange.
    pub fn at(code: Code, observation: &Observation, seen: impl AsRef<str>) -> Self {
        Self { code, place: observation.place(), seen: shown(seen.as_ref()), also: Vec::new(), error: None }
    }

    /// A refusal, with the error that the server gave for it.
    pub fn refused(code: Code, observation: &Observation, answer: &Answer) -> Self {
        let mut seen = String::new();
        for redirect in &observation.redirects {
            seen.push_str(&format!("{} to {}, then ", redirect.status, redirect.to));
        }
        seen.push_str(&answer.in_short());
        let description = answer.json().and_then(|body| Some(body.get("error_description")?.as_str()?.to_owned()));
        if let Some(description) = description {
            seen = format!("{seen}: {description}");
        }
        Self::at(code, observation, seen).because(answer.error())
    }

    /// Adds the error that the server gave, where it is a word of OAuth.
    #[must_use]
    pub fn because(mut self, error: Option<String>) -> Self {
        self.error = error.filter(|error| OAuthErrorCode::parse(error).is_some());
        self
    }

    /// What is known of its code.
    pub fn facts(&self) -> Facts {
        self.code.facts()
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let facts = self.facts();
        let names = |clients: &[crate::Client]| clients.iter().map(|client| client.name()).collect::<Vec<_>>();
        let mut finding = serializer.serialize_struct("Finding", 10)?;
        finding.serialize_field("code", self.code.as_str())?;
        finding.serialize_field("severity", &facts.severity)?;
        finding.serialize_field("place", &self.place)?;
        finding.serialize_field("seen", &self.seen)?;
        match self.also.is_empty() {
            true => finding.skip_field("also")?,
            false => finding.serialize_field("also", &self.also)?,
        }
        match &self.error {
            Some(error) => finding.serialize_field("error", error)?,
            None => finding.skip_field("error")?,
        }
        finding.serialize_field("says", facts.says)?;
        finding.serialize_field("fix", facts.fix)?;
        finding.serialize_field("measured", &names(facts.measured))?;
        finding.serialize_field("reported", &names(facts.reported))?;
        finding.end()
    }
}

/// Text of a server, bounded and without what moves a cursor or reorders what is read.
pub(crate) fn shown(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut chars = text.chars();
    let mut said: String = chars.by_ref().take(SHOWN).map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect();
    if chars.next().is_some() {
        said.push('…');
    }
    said
}

/// The paths of members that are null, such as `client_uri` or `jwks.keys`.
pub(crate) fn nulls(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    // JSON of a server nests at most as deep as the reader allows (128).
    walk(value, "", &mut found);
    found
}

fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Null => found.push(path.to_owned()),
        Value::Array(items) => items.iter().for_each(|item| walk(item, path, found)),
        Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(member, &path, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_server_is_tamed_and_bounded() {
        assert_eq!(shown("a\u{1b}[2J\u{202e}b"), "a\u{fffd}[2J\u{fffd}b");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn nulls_are_found_wherever_they_are() {
        let value = serde_json::json!({"a": null, "b": {"c": [1, {"d": null}]}, "e": "null", "f": []});
        assert_eq!(nulls(&value), ["a", "b.c.d"]);
    }
}
