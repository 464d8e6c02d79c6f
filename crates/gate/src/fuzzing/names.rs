//! Rules: patterns, and what a name may be read as.

use grantd_oauth_types::ScopeSet;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    GateRule,
    rules::{self, Names},
};

/// Patterns against names. The input is lines: patterns of names, an empty line, then names.
pub fn rules(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (patterns, names) = text.split_once("\n\n").unwrap_or((&text, ""));
    let patterns: Vec<String> = patterns.lines().take(8).map(str::to_owned).collect();
    let names: Vec<String> = names.lines().take(8).map(str::to_owned).collect();
    for pattern in &patterns {
        for name in &names {
            assert_eq!(rules::glob(pattern, name), stands_for(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }
    let rule = |names: Vec<String>| GateRule { methods: vec![], names, scopes: ScopeSet::parse_lenient("s") };
    let together = [rule(patterns.clone())];
    let asks =
        |rules: &[GateRule], names: &[String]| !rules::needed(rules, "tools/call", Names::These(names)).is_empty();
    // Who may name anything needs whatever any name needs.
    let unknown = !rules::needed(&together, "tools/call", Names::Unknown).is_empty();
    for name in &names {
        let alone = std::slice::from_ref(name);
        assert!(!asks(&together, alone) || unknown);
        assert!(!asks(&together, alone) || asks(&together, &names), "one among several: {name}");
        for pattern in &patterns {
            // To the letter, and in any case, a pattern holds; an exception holds to the letter only.
            match pattern.strip_prefix('!') {
                None => {
                    let one = [rule(vec![pattern.clone()])];
                    assert!(!rules::glob(pattern, name) || asks(&one, alone), "{pattern} {name}");
                    assert_eq!(asks(&one, alone), asks(&one, &[name.to_ascii_uppercase()]), "{pattern} {name}");
                }
                Some(except) => {
                    let one = [rule(vec![pattern.clone()])];
                    assert!(rules::glob(except, name) || asks(&one, alone), "{pattern} {name}");
                }
            }
        }
        // However it is encoded, it asks for no less.
        if !name.contains('%') && name.trim() == name {
            let all: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
            for encoded in [utf8_percent_encode(name, NON_ALPHANUMERIC).to_string(), all] {
                assert!(!asks(&together, alone) || asks(&together, &[encoded]), "{name} in {patterns:?}");
            }
        }
    }
}

/// Whether a text matches a pattern, by the textbook: every prefix of one against every prefix of the other.
fn stands_for(pattern: &[u8], text: &[u8]) -> bool {
    let mut matches = vec![false; text.len() + 1];
    if let Some(first) = matches.first_mut() {
        *first = true;
    }
    for letter in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            let before = at.checked_sub(1);
            let had = |row: &[bool], at: Option<usize>| at.and_then(|at| row.get(at).copied()).unwrap_or_default();
            let holds = match letter {
                b'*' => had(&matches, Some(at)) || had(&next, before),
                _ => had(&matches, before) && before.and_then(|at| text.get(at)) == Some(letter),
            };
            if let Some(place) = next.get_mut(at) {
                *place = holds;
            }
        }
        matches = next;
    }
    matches.last().copied().unwrap_or_default()
}
