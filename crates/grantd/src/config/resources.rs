//! `[[resource]]` and `[scopes]`: what is protected, and what may be granted.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use grantd_core::users::OWNER_GROUP;
use grantd_oauth_types::{ClientId, Scope as ScopeToken};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, value::MapAccessDeserializer},
};

use super::{
    Config, Purpose,
    problems::Problems,
    rules::{self, Rule},
};

/// One protected resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Resource {
    /// Where it is served; the first is its identifier, below the public URL.
    pub(crate) paths: Vec<String>,
    /// Where the MCP server is.
    pub(crate) upstream: Option<String>,
    /// An authority to believe beside the usual ones, where the MCP server is asked by TLS.
    pub(crate) ca_file: Option<PathBuf>,
    /// What it is called, for people.
    pub(crate) name: Option<String>,
    /// What may be asked for; all of `[scopes]` unless given.
    pub(crate) scopes: Option<Vec<String>>,
    /// What a client gets that asks for nothing; all of `scopes` unless given.
    pub(crate) default_scopes: Option<Vec<String>>,
    /// What every call needs.
    pub(crate) required_scopes: Vec<String>,
    /// Whose members may approve access.
    pub(crate) allow_groups: Vec<String>,
    /// Clients, by id, that may introspect its tokens.
    pub(crate) introspection_clients: Vec<String>,
    /// Whether `Mcp-Method` and `Mcp-Name` stand for the body in rules.
    pub(crate) trust_mcp_headers: bool,
    /// Whether lists of tools lack those that the token may not call.
    pub(crate) hide_forbidden_tools: bool,
    /// Scopes that some calls need.
    pub(crate) rule: Vec<Rule>,
}

impl Default for Resource {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            upstream: None,
            ca_file: None,
            name: None,
            scopes: None,
            default_scopes: None,
            required_scopes: Vec::new(),
            allow_groups: vec![OWNER_GROUP.to_owned()],
            introspection_clients: Vec::new(),
            trust_mcp_headers: false,
            hide_forbidden_tools: false,
            rule: Vec::new(),
        }
    }
}

/// What may be granted, by its token.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Scopes(pub(crate) BTreeMap<String, Scope>);

/// One scope.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Scope {
    /// For the consent page.
    pub(crate) description: String,
    /// Only their members may grant it; empty: whoever may use the resource.
    pub(crate) allow_groups: Vec<String>,
    /// What whoever has it may do too.
    pub(crate) implies: Vec<String>,
}

impl<'de> Deserialize<'de> for Scope {
    /// A text is the description.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Table {
            #[serde(default)]
            description: String,
            #[serde(default)]
            allow_groups: Vec<String>,
            #[serde(default)]
            implies: Vec<String>,
        }

        struct Either;

        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Scope;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a description, or a table with description, allow_groups and implies")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Scope, E> {
                Ok(Scope { description: text.to_owned(), ..Scope::default() })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Scope, A::Error> {
                let Table { description, allow_groups, implies } =
                    Table::deserialize(MapAccessDeserializer::new(map)).map_err(A::Error::custom)?;
                Ok(Scope { description, allow_groups, implies })
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// The default scopes, where none are configured.
const ONE_SCOPE: [(&str, &str); 1] = [("mcp", "Use the tools of this server")];
/// Those of the demo.
const DEMO_SCOPES: [(&str, &str); 2] =
    [("read:articles", "Read your articles"), ("write:articles", "Write and publish articles")];

/// Makes the default resource, and fills in scopes.
pub(super) fn complete(config: &mut Config, purpose: Purpose, problems: &mut Problems) {
    if config.scopes.0.is_empty() && config.resource.iter().all(|resource| resource.scopes.is_none()) {
        let scopes: &[(&str, &str)] = if purpose == Purpose::Demo { &DEMO_SCOPES } else { &ONE_SCOPE };
        for (name, description) in scopes {
            let scope = Scope { description: (*description).to_owned(), ..Scope::default() };
            config.scopes.0.insert((*name).to_owned(), scope);
        }
    }
    if config.resource.is_empty() {
        config.resource.push(Resource { paths: vec!["/mcp".to_owned()], ..Resource::default() });
    }
    match (config.resource.as_mut_slice(), &config.upstream) {
        ([only], Some(upstream)) => only.upstream = Some(upstream.clone()),
        (_, Some(_)) => {
            problems
                .add("upstream", "there are several [[resource]]; give each its own upstream and leave this one out");
        }
        (_, None) => {}
    }
    let all: Vec<_> = config.scopes.0.keys().cloned().collect();
    for resource in &mut config.resource {
        let scopes = resource.scopes.get_or_insert_with(|| all.clone()).clone();
        resource.default_scopes.get_or_insert(scopes);
    }
}

/// Paths that are grantd's own.
const RESERVED: [&str; 7] = ["/oauth", "/.well-known", "/healthz", "/readyz", "/authorize", "/token", "/register"];

/// Refuses resources and scopes that cannot work.
pub(super) fn check(config: &Config, purpose: Purpose, problems: &mut Problems) {
    let base = config.public_url.path();
    problems.require(
        !RESERVED.iter().any(|reserved| base == *reserved || base.starts_with(&format!("{reserved}/"))),
        "public_url",
        "its path begins like one of grantd's own; choose another",
    );
    for name in config.scopes.0.keys() {
        problems.require(
            ScopeToken::parse(name).is_some(),
            format!("scopes.{name}"),
            "a scope is printable ASCII without spaces, quotes and backslashes (RFC 6749 §3.3)",
        );
    }
    for (name, scope) in &config.scopes.0 {
        check_implied(config, name, scope, problems);
    }
    let mut seen: Vec<&str> = Vec::new();
    for (at, resource) in config.resource.iter().enumerate() {
        let key = |name: &str| format!("resource[{at}].{name}");
        problems.require(
            !resource.paths.is_empty(),
            key("paths"),
            "name at least one path, such as paths = [\"/mcp\"]",
        );
        for path in &resource.paths {
            // With a public URL that has a path, everything is served below that too.
            let below = path.strip_prefix(base).filter(|below| below.starts_with('/'));
            if let Err(text) = check_path(path).and_then(|()| below.map_or(Ok(()), check_path)) {
                problems.add(key("paths"), format!("{path:?}: {text}"));
            }
            problems.require(!seen.contains(&path.as_str()), key("paths"), format!("{path:?} is there twice"));
            seen.push(path);
        }
        check_scopes(config, resource, &key, problems);
        rules::check(resource, &key, problems);
        problems.require(
            !resource.allow_groups.is_empty(),
            key("allow_groups"),
            "nobody could approve access: name a group, such as allow_groups = [\"owner\"]",
        );
        for id in resource.introspection_clients.iter().filter(|id| ClientId::parse(id).is_none()) {
            problems.add(key("introspection_clients"), format!("{id:?} is no client id"));
        }
        match &resource.upstream {
            Some(upstream) => {
                if let Err(text) = check_upstream(upstream) {
                    let from_top = config.upstream.as_ref() == Some(upstream);
                    problems.add(if from_top { "upstream".to_owned() } else { key("upstream") }, text);
                }
                problems.require(
                    resource.ca_file.is_none() || upstream.starts_with("https://"),
                    key("ca_file"),
                    "the upstream is not asked by TLS, so it has no effect; write https:// in `upstream`, or leave it out",
                );
            }
            None if matches!(purpose, Purpose::Serve | Purpose::Facade) => problems.add(
                "",
                format!(
                    "where is your MCP server? Say --upstream http://localhost:3000/mcp, or set GRANTD_UPSTREAM, or resource[{at}].upstream in the file. To try grantd without one: grantd demo"
                ),
            ),
            // The demo brings its own; the token service forwards nothing.
            None => {}
        }
    }
    problems.require(
        purpose != Purpose::Demo || config.resource.len() == 1,
        "resource",
        "the demo protects its one built-in server; use `grantd serve` for several resources",
    );
}

fn check_scopes(config: &Config, resource: &Resource, key: &dyn Fn(&str) -> String, problems: &mut Problems) {
    let scopes = resource.scopes.as_deref().unwrap_or_default();
    let defaults = resource.default_scopes.as_deref().unwrap_or_default();
    problems.require(
        !scopes.is_empty(),
        key("scopes"),
        "a resource needs at least one scope; there is nothing to grant otherwise",
    );
    for scope in scopes {
        problems.require(
            config.scopes.0.contains_key(scope),
            key("scopes"),
            format!("{scope:?} is not in [scopes]; describe there what it allows, because the consent page shows it"),
        );
    }
    problems.require(
        !defaults.is_empty() || scopes.is_empty(),
        key("default_scopes"),
        "a client that asks for no scope would get none; leave it out to grant all of the resource's scopes",
    );
    for scope in defaults.iter().filter(|scope| !scopes.contains(scope)) {
        problems.add(key("default_scopes"), format!("{scope:?} is not one of the resource's scopes {scopes:?}"));
    }
    let by_default = with_implied(config, defaults);
    for scope in &resource.required_scopes {
        if !scopes.contains(scope) {
            problems.add(key("required_scopes"), format!("{scope:?} is not one of the resource's scopes {scopes:?}"));
        } else if !by_default.contains(&scope) {
            problems.add(
                key("required_scopes"),
                format!("{scope:?} is neither in default_scopes nor implied there: a client that asks for no scope would get a token that is good for nothing"),
            );
        }
    }
}

/// Scopes, with what they imply.
fn with_implied<'a>(config: &'a Config, scopes: &'a [String]) -> Vec<&'a String> {
    let (mut all, mut new) = (Vec::new(), scopes.iter().collect::<Vec<_>>());
    while let Some(scope) = new.pop() {
        if !all.contains(&scope) {
            all.push(scope);
            new.extend(config.scopes.0.get(scope).into_iter().flat_map(|scope| &scope.implies));
        }
    }
    all
}

/// Refuses what is implied and does not exist, and circles.
fn check_implied(config: &Config, name: &str, scope: &Scope, problems: &mut Problems) {
    let key = format!("scopes.{name}.implies");
    for implied in scope.implies.iter().filter(|implied| !config.scopes.0.contains_key(*implied)) {
        problems.add(key.clone(), format!("{implied:?} is not in [scopes]"));
    }
    let (mut seen, mut new) = (Vec::new(), scope.implies.iter().collect::<Vec<_>>());
    while let Some(implied) = new.pop() {
        if implied == name {
            return problems
                .add(key, "it implies itself, maybe by way of others; scopes that imply each other are one");
        }
        if !seen.contains(&implied) {
            seen.push(implied);
            new.extend(config.scopes.0.get(implied).into_iter().flat_map(|scope| &scope.implies));
        }
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()+,;=:@".contains(&byte);
    if !path.starts_with('/') || path.len() < 2 || path.ends_with('/') {
        return Err("a path starts with a slash and does not end in one, such as \"/mcp\"");
    }
    if !path.bytes().all(plain) {
        return Err("a path has only letters, digits and -._~!$&'()+,;=:@");
    }
    if path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
        return Err("a path has no empty, \".\" or \"..\" segments");
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    if RESERVED.iter().any(|reserved| reserved.trim_start_matches('/') == first) || path == "/register" {
        return Err("this path is grantd's own; choose another");
    }
    Ok(())
}

fn check_upstream(upstream: &str) -> Result<(), &'static str> {
    let url = url::Url::parse(upstream).map_err(|_| "write an absolute URL, such as http://localhost:3000/mcp")?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("an upstream is an http:// or https:// URL, such as http://localhost:3000/mcp");
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("an upstream has no user information and no fragment");
    }
    Ok(())
}
