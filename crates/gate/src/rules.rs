//! What single calls need beyond what the whole resource needs: scopes by method and by what is named.
//!
//! Every rule that matches applies; a call needs the scopes of all of them, a batch those of all its messages.
//!
//! The upstream's idea of a name may be wider than ours: it may ignore case, or resolve `file:///a/../b` and `%62`. So a
//! pattern matches when any reading of the name does, and an exception (`!`) only when all do: a doubt asks for more.

use grantd_oauth_types::ScopeSet;
use url::Url;

use crate::message::Message;

/// Scopes that some calls need.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GateRule {
    /// Patterns of JSON-RPC methods, such as `tools/*`; none: every method.
    pub methods: Vec<String>,
    /// Patterns of what is named (a tool, a prompt, a URI, a task), such as `write_*`; none: whatever is named, and calls
    /// that name nothing.
    pub names: Vec<String>,
    /// What such calls need; all of them.
    pub scopes: ScopeSet,
}

/// What a call names, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Names<'a> {
    /// These; none: nothing.
    These(&'a [String]),
    /// It may name anything.
    Unknown,
}

/// What a method that names this needs.
pub(crate) fn needed(rules: &[GateRule], method: &str, names: Names<'_>) -> ScopeSet {
    let readings: Vec<_> = match names {
        Names::These(names) => names.iter().map(|name| readings(name)).collect(),
        Names::Unknown => Vec::new(),
    };
    let matches = |rule: &&GateRule| {
        let method = rule.methods.is_empty() || admits(&rule.methods, &[method.to_owned()]);
        let named = || match names {
            _ if rule.names.is_empty() => true,
            Names::Unknown => true,
            Names::These(_) => readings.iter().any(|readings| admits(&rule.names, readings)),
        };
        method && named()
    };
    rules.iter().filter(matches).fold(ScopeSet::default(), |all, rule| all.union(&rule.scopes))
}

/// What all messages of a body need. A response needs nothing: it answers a question that the server asked.
pub(crate) fn needed_by_all(rules: &[GateRule], messages: &[Message]) -> ScopeSet {
    let needs = messages
        .iter()
        .filter_map(|message| Some(needed(rules, message.method.as_deref()?, Names::These(&message.names))));
    needs.fold(ScopeSet::default(), |all, needed| all.union(&needed))
}

/// How a name may be read: as it stands, trimmed, decoded, and as the URL that is meant.
fn readings(name: &str) -> Vec<String> {
    let mut found = vec![name.to_owned()];
    let mut add = |reading: String| {
        if !found.contains(&reading) {
            found.push(reading);
        }
    };
    add(name.trim().to_owned());
    if name.contains([':', '%', '/']) {
        let decoded = percent_encoding::percent_decode_str(name.trim()).decode_utf8_lossy().into_owned();
        for text in [name.trim(), decoded.as_str()] {
            if let Ok(url) = Url::parse(text) {
                add(url.to_string());
                add(percent_encoding::percent_decode_str(url.as_str()).decode_utf8_lossy().into_owned());
            }
        }
        add(decoded);
    }
    found
}

/// Whether a list of patterns admits a name in any of its readings. Only exceptions: everything but those.
fn admits(patterns: &[String], readings: &[String]) -> bool {
    let exceptions = || patterns.iter().filter_map(|pattern| pattern.strip_prefix('!'));
    let mut positive = patterns.iter().filter(|pattern| !pattern.starts_with('!')).peekable();
    let is_excepted = |reading: &String| exceptions().any(|pattern| glob(pattern, reading));
    if positive.peek().is_none() {
        return !readings.iter().all(is_excepted);
    }
    let matches = |reading: &&String| {
        let lower = reading.to_ascii_lowercase();
        patterns.iter().any(|pattern| !pattern.starts_with('!') && glob(&pattern.to_ascii_lowercase(), &lower))
    };
    readings.iter().any(|reading| matches(&reading)) && !readings.iter().all(is_excepted)
}

/// Whether a text matches a pattern in which `*` stands for anything.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(methods: &[&str], names: &[&str], scopes: &str) -> GateRule {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        GateRule { methods: own(methods), names: own(names), scopes: ScopeSet::parse_lenient(scopes) }
    }

    #[test]
    fn patterns() {
        for (pattern, text, matches) in [
            ("write", "write", true),
            ("write", "write_", false),
            ("write_*", "write_article", true),
            ("write_*", "write_", true),
            ("write_*", "rewrite_x", false),
            ("*_write", "a_write", true),
            ("*_write", "a_write_", false),
            ("*", "", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a**a", "aa", true),
            ("", "", true),
            ("", "a", false),
            ("[a]?", "[a]?", true),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn every_rule_that_matches_applies_and_a_doubt_asks_for_more() {
        let rules = [
            rule(&["tools/call"], &["write_*"], "write"),
            rule(&["tools/call"], &["*_all"], "admin"),
            rule(&["tools/call"], &["!read_*", "!echo"], "trusted"),
            rule(&["resources/*"], &["file:///private/*"], "private"),
            rule(&["resources/*"], &["*", "!file:///public/*"], "files"),
            rule(&["!initialize", "!notifications/*", "!ping"], &[], "read"),
        ];
        for (method, names, expected) in [
            ("initialize", &[][..], ""),
            ("notifications/initialized", &[], ""),
            ("tools/list", &[], "read"),
            ("tools/call", &["read_article"], "read"),
            ("tools/call", &["echo"], "read"),
            ("tools/call", &["ECHO"], "read trusted"),
            ("tools/call", &["new_tool"], "read trusted"),
            ("tools/call", &["write_article"], "read trusted write"),
            ("tools/call", &["Write_Article"], "read trusted write"),
            ("tools/call", &[" write_article"], "read trusted write"),
            ("Tools/Call", &["write_article"], "read trusted write"),
            ("tools/call", &["write_all"], "admin read trusted write"),
            ("resources/read", &["file:///public/a"], "read"),
            ("resources/read", &["file:///private/a"], "files private read"),
            ("resources/read", &["file:///public/../private/a"], "files private read"),
            ("resources/read", &["file:///public/%2e%2e/private/a"], "files private read"),
            ("resources/read", &["file:///public/%2e%2e%2fprivate/a"], "files private read"),
            ("resources/read", &["file:///%70rivate/a"], "files private read"),
            ("resources/read", &["FILE:///private/a"], "files private read"),
            ("resources/read", &["other:x"], "files read"),
            ("subscriptions/listen", &["a", "b"], "read"),
        ] {
            let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(needed(&rules, method, Names::These(&owned)).to_string(), expected, "{method} {names:?}");
        }
        assert_eq!(needed(&rules, "tools/call", Names::Unknown).to_string(), "admin read trusted write");
    }
}
