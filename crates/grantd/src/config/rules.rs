//! `[[resource.rule]]`: scopes that some calls of a resource need.

use grantd_gate::{GateRule, METHODS};
use serde::{Deserialize, Serialize};

use super::{build, problems::Problems, resources::Resource};

/// Scopes that some calls need. Every rule that matches a call applies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rule {
    /// Patterns of methods; none: every method.
    pub(crate) methods: Vec<String>,
    /// Patterns of what is named; none: whatever is named, and calls that name nothing.
    pub(crate) names: Vec<String>,
    /// What such calls need.
    pub(crate) scopes: Vec<String>,
}

impl Rule {
    /// For the gate.
    pub(super) fn gate(&self) -> GateRule {
        GateRule { methods: self.methods.clone(), names: self.names.clone(), scopes: build::scopes(&self.scopes) }
    }
}

/// Refuses rules that could never do what they look like.
pub(super) fn check(resource: &Resource, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
    let scopes = resource.scopes.as_deref().unwrap_or_default();
    for (at, rule) in resource.rule.iter().enumerate() {
        let key = |name: &str| key(&format!("rule[{at}].{name}"));
        problems.require(!rule.scopes.is_empty(), key("scopes"), "say which scopes such calls need");
        for scope in rule.scopes.iter().filter(|scope| !scopes.contains(scope)) {
            problems.add(key("scopes"), format!("{scope:?} is not one of the resource's scopes {scopes:?}"));
        }
        for pattern in &rule.methods {
            let method = pattern.strip_prefix('!').unwrap_or(pattern);
            problems.require(
                !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_graphic()),
                key("methods"),
                format!("{pattern:?} is no pattern of a method, such as \"tools/call\", \"tools/*\" or \"!ping\""),
            );
            if let Some(meant) = misspelt(method) {
                problems.add(key("methods"), format!("MCP has no method {method:?}; did you mean {meant:?}?"));
            }
        }
        for pattern in &rule.names {
            problems.require(
                !matches!(pattern.as_str(), "" | "!") && !pattern.chars().any(char::is_control),
                key("names"),
                format!("{pattern:?} is no pattern of a name, such as \"write_*\" or \"!read_*\""),
            );
        }
        // A rule that applies to nothing protects nothing.
        let names_nothing = |pattern: &String| METHODS.iter().any(|(method, named)| method == pattern && !named);
        problems.require(
            rule.names.is_empty() || rule.methods.is_empty() || !rule.methods.iter().all(names_nothing),
            key("names"),
            "these methods name nothing, so the rule would never apply; leave names out",
        );
    }
    for (set, name) in
        [(resource.trust_mcp_headers, "trust_mcp_headers"), (resource.hide_forbidden_tools, "hide_forbidden_tools")]
    {
        problems.require(
            !set || !resource.rule.is_empty(),
            key(name),
            "without a [[resource.rule]] it has no effect; leave it out, or say what calls need",
        );
    }
}

/// The method that was likely meant by one that does not exist. Methods of extensions are spelled otherwise altogether.
fn misspelt(method: &str) -> Option<&'static str> {
    if method.contains('*') || METHODS.iter().any(|(known, _)| *known == method) {
        return None;
    }
    let distance = |known: &str| strsim::damerau_levenshtein(known, &method.to_ascii_lowercase());
    let nearest = METHODS.iter().map(|(known, _)| (distance(&known.to_ascii_lowercase()), *known)).min()?;
    (nearest.0 <= 2).then_some(nearest.1)
}
