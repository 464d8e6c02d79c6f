//! Which keys exist, and what an unknown one was meant to be.
//!
//! The known keys are read off the structs themselves: a full sample, serialized. So a new field is known, documented
//! (a test compares `config.default.toml`) and reachable from the environment without another list.

use serde_json::Value;

use super::Config;

/// Stands for any key, where the operator names the keys.
pub(crate) const ANY: &str = "*";

/// The known keys as a tree: objects for tables, one-element arrays for arrays of tables.
pub(crate) fn schema() -> Value {
    serde_json::to_value(Config::sample()).unwrap_or_default()
}

/// The child of a table's schema.
pub(crate) fn child<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema.get(key).or_else(|| schema.get(ANY))
}

/// Every path of the tree that leads to a value, such as `tokens.access_ttl` or `resource.paths`.
pub(crate) fn leaves(schema: &Value) -> Vec<String> {
    fn walk(schema: &Value, prefix: &str, into: &mut Vec<String>) {
        match schema {
            Value::Object(members) if !members.is_empty() => {
                for (key, value) in members {
                    walk(value, &join(prefix, key), into);
                }
            }
            Value::Array(items) if items.first().is_some_and(Value::is_object) => {
                items.iter().for_each(|item| walk(item, prefix, into));
            }
            _ => into.push(prefix.to_owned()),
        }
    }
    let mut found = Vec::new();
    walk(schema, "", &mut found);
    found
}

/// `prefix.key`.
pub(crate) fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// Reports every key of `table` that the schema does not know, with its full path and the path that was likely meant.
pub(crate) fn unknown(
    table: &toml::Table,
    schema: &Value,
    prefix: &str,
    report: &mut dyn FnMut(String, Option<String>),
) {
    for (key, value) in table {
        let path = join(prefix, key);
        match (child(schema, key), value) {
            (None, _) => report(path, nearest(prefix, key, schema)),
            (Some(known @ Value::Object(_)), toml::Value::Table(table)) => unknown(table, known, &path, report),
            (Some(Value::Array(known)), toml::Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    if let (Some(known @ Value::Object(_)), Some(table)) = (known.first(), item.as_table()) {
                        unknown(table, known, &format!("{path}[{at}]"), report);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The known key nearest to `key`: one beside it that is spelled alike, or one of that name in another section.
fn nearest(prefix: &str, key: &str, siblings: &Value) -> Option<String> {
    let alike = |name: &&str| {
        let distance = strsim::damerau_levenshtein(name, key);
        (distance <= 2.max(name.len() / 3)).then_some(distance)
    };
    let beside = siblings
        .as_object()
        .into_iter()
        .flat_map(|members| members.keys())
        .map(String::as_str)
        .filter_map(|name| alike(&name).map(|distance| (distance, join(prefix, name))))
        .min();
    let elsewhere = || {
        leaves(&schema())
            .into_iter()
            .filter_map(|path| alike(&path.rsplit('.').next().unwrap_or_default()).map(|distance| (distance, path)))
            .min()
    };
    beside.or_else(elsewhere).map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(text: &str) -> Vec<(String, Option<String>)> {
        let mut found = Vec::new();
        unknown(&text.parse().unwrap(), &schema(), "", &mut |path, meant| found.push((path, meant)));
        found
    }

    #[test]
    fn unknown_keys_have_neighbours() {
        for (text, path, near) in [
            ("[tokens]\nacces_ttl = 1", "tokens.acces_ttl", Some("tokens.access_ttl")),
            ("[tokns]\naccess_ttl = 1", "tokns", Some("tokens")),
            ("access_ttl = 1", "access_ttl", Some("tokens.access_ttl")),
            ("publicurl = 1", "publicurl", Some("public_url")),
            ("[[resource]]\npath = 1", "resource[0].path", Some("resource[0].paths")),
            (
                "[[token_service.caller]]\nroll = 1",
                "token_service.caller[0].roll",
                Some("token_service.caller[0].role"),
            ),
            ("[scopes]\na = {descripton = 1}", "scopes.a.descripton", Some("scopes.a.description")),
            ("zzzzzzzzzzzz = 1", "zzzzzzzzzzzz", None),
        ] {
            assert_eq!(meant(text), [(path.to_owned(), near.map(str::to_owned))], "{text}");
        }
        assert_eq!(meant("[scopes]\n\"read:x\" = \"Read\"\nlog = \"Log\""), []);
    }

    #[test]
    fn optional_keys_are_known() {
        let leaves = leaves(&schema());
        for key in
            ["upstream", "tokens.grant_max_age", "token_service.key", "resource.name", "token_service.caller.role"]
        {
            assert!(leaves.iter().any(|leaf| leaf == key), "{key}: {leaves:?}");
        }
    }
}
