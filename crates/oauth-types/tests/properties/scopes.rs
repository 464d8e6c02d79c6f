//! Lists of scopes, and what is written with them: challenges and descriptions of errors.
//!
//! The input is two lists, each on its line.

use std::collections::BTreeSet;

use grantd_oauth_types::{BearerChallenge, OAuthError, OAuthErrorCode, Scope, ScopeSet};

pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (one, other) = text.split_once('\n').unwrap_or((text, ""));
    list(one);
    algebra(&ScopeSet::parse_lenient(one), &ScopeSet::parse_lenient(other));
    challenge(&ScopeSet::parse_lenient(one));
    description(text);
}

fn list(sent: &str) {
    let set = ScopeSet::parse_lenient(sent);
    let written = set.to_string();
    assert_eq!(ScopeSet::parse_lenient(&written), set);
    let words: Vec<&str> = written.split(' ').filter(|word| !word.is_empty()).collect();
    assert!(words.is_sorted() && words.iter().collect::<BTreeSet<_>>().len() == words.len(), "{written:?}");
    assert_eq!(words.join(" "), written);
    for word in &words {
        let scope = Scope::parse(word).expect("what a list holds is a scope");
        assert_eq!(scope.as_str(), *word);
        assert!(set.contains(&scope));
    }
    // Nothing is dropped that is a scope, and nothing is made up.
    for word in sent.split([' ', '\t', '\n', '\r', '\x0c']) {
        let valid =
            (1..=256).contains(&word.len()) && word.chars().all(|c| matches!(c, '!'..='~') && c != '"' && c != '\\');
        assert_eq!(words.contains(&word), valid, "{word:?}");
    }
}

fn algebra(one: &ScopeSet, other: &ScopeSet) {
    let (both, either) = (one.intersection(other), one.union(other));
    assert_eq!(both, other.intersection(one));
    assert_eq!(either, other.union(one));
    for set in [one, other] {
        assert!(set.contains_all(&both) && either.contains_all(set));
    }
    assert_eq!(one.contains_all(other), either == *one);
    assert_eq!(one.contains_all(other), other.iter().all(|scope| one.contains(scope)));
}

/// Read back as clients do: by taking what stands between two quotes.
fn challenge(scope: &ScopeSet) {
    let resource_metadata = "https://a.example/.well-known/oauth-protected-resource";
    for error in [None, Some(OAuthErrorCode::InvalidToken), Some(OAuthErrorCode::InsufficientScope)] {
        let value = BearerChallenge { resource_metadata, scope, error }.header_value();
        assert!(value.bytes().all(|b| matches!(b, b' '..=b'~')), "{value:?}");
        let parts: Vec<&str> = value.strip_prefix("Bearer ").expect("the scheme").split('"').collect();
        let found: Vec<(&str, &str)> = parts
            .chunks_exact(2)
            .map(|pair| (pair[0].trim_start_matches(", ").trim_end_matches('='), pair[1]))
            .collect();
        assert_eq!(parts.last(), Some(&""), "{value:?}");
        let scopes = scope.to_string();
        let mut expected = vec![];
        expected.extend(error.map(|error| ("error", error.as_str())));
        expected.push(("resource_metadata", resource_metadata));
        expected.extend((!scope.is_empty()).then_some(("scope", scopes.as_str())));
        assert_eq!(found, expected);
    }
}

fn description(text: &str) {
    let error = OAuthError::new(OAuthErrorCode::InvalidRequest, text);
    // RFC 6749 §5.2: %x20-21 / %x23-5B / %x5D-7E.
    assert!(error.description.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{error}");
    assert_eq!(error.description.chars().count(), text.chars().count());
    assert_eq!(OAuthError::new(error.code, &error.description), error);
}
