//! What ARCHITECTURE.md says of the crates is so, and the tests that it names exist.

use std::{collections::BTreeMap, fs, path::PathBuf};

/// The arrows between our crates, and no others.
const ARROWS: [(&str, &[&str]); 14] = [
    ("client-metadata", &[]),
    ("core", &["oauth-types"]),
    ("doctor", &["oauth-types"]),
    ("facade", &["oauth-types", "proto"]),
    ("gate", &["oauth-types", "proto"]),
    (
        "grantd",
        &[
            "client-metadata",
            "core",
            "doctor",
            "facade",
            "gate",
            "oauth-types",
            "proto",
            "store",
            "store-embedded",
            "store-redis",
            "telemetry",
            "token-service",
        ],
    ),
    ("oauth-types", &[]),
    ("proto", &[]),
    ("store", &["core", "oauth-types"]),
    ("store-embedded", &["store"]),
    ("store-redis", &["store"]),
    ("store-testkit", &["store"]),
    ("telemetry", &[]),
    ("token-service", &["client-metadata", "core", "oauth-types", "proto", "store"]),
];

/// Libraries that stay behind one crate of ours.
const BEHIND: [(&str, &str); 2] = [("fred", "store-redis"), ("redb", "store-embedded")];

/// What the rules must not reach for.
const NOT_IN_RULES: [&str; 10] =
    ["async-trait", "axum", "futures", "hyper", "opentelemetry", "rand", "tokio", "tonic", "tracing", "serde"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Each crate, by the name of its folder, with what it depends on (not for its tests).
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let of = |folder: fs::DirEntry| {
        let text = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let sections = ["dependencies", "build-dependencies"].into_iter().filter_map(|section| manifest.get(section));
        let mut names: Vec<_> = sections.flat_map(|section| section.as_table().unwrap().keys().cloned()).collect();
        names.sort();
        (folder.file_name().into_string().unwrap(), names)
    };
    fs::read_dir(root().join("crates")).unwrap().map(|folder| of(folder.unwrap())).collect()
}

#[test]
fn arrows_between_our_crates_are_the_documented_ones() {
    let found: Vec<(String, Vec<String>)> = dependencies()
        .into_iter()
        .map(|(name, all)| {
            let ours = all.iter().filter_map(|name| name.strip_prefix("grantd-")).map(str::to_owned).collect();
            (name, ours)
        })
        .collect();
    let found: Vec<(&str, Vec<&str>)> =
        found.iter().map(|(name, ours)| (name.as_str(), ours.iter().map(String::as_str).collect())).collect();
    let documented: Vec<(&str, Vec<&str>)> = ARROWS.iter().map(|(name, ours)| (*name, ours.to_vec())).collect();
    assert_eq!(found, documented, "a new arrow is a decision: ARCHITECTURE.md says why, and then this table");
}

#[test]
fn a_library_stays_behind_its_crate() {
    for (name, all) in dependencies() {
        for (library, home) in BEHIND {
            assert!(name == home || !all.iter().any(|found| found == library), "{library} is named in {name}");
        }
        if ["core", "oauth-types"].contains(&name.as_str()) {
            let reached: Vec<_> = all.iter().filter(|found| NOT_IN_RULES.contains(&found.as_str())).collect();
            assert!(reached.is_empty(), "the rules reach for {reached:?}");
        }
    }
}

/// Every path in backticks exists; a test named after a path is in that file, or in a file of that folder.
#[test]
fn what_holds_an_invariant_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, from) = text.split_once("## Invariants").expect("the table of invariants");
    let table = from.split("\n## ").next().unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() > 10, "the table of invariants was found");
    for row in rows {
        let held_by = row.trim_end_matches(['|', ' ']).rsplit_once(" | ").unwrap().1;
        let mut source = String::new();
        let named: Vec<_> = held_by.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "nothing holds this: {row}");
        for name in named {
            if name.starts_with('[') {
                continue;
            }
            if name.contains(['/', '.']) {
                let path = root().join(name);
                assert!(path.exists(), "{name} is not there, but should hold: {row}");
                source = read_all(&path);
            } else {
                let there = ["fn", "def"].iter().any(|word| source.contains(&format!("{word} {name}(")));
                assert!(there, "there is no test {name}, but it should hold: {row}");
            }
        }
    }
}

fn read_all(path: &PathBuf) -> String {
    if path.is_file() {
        return fs::read_to_string(path).unwrap();
    }
    let files = fs::read_dir(path).unwrap().map(|entry| read_all(&entry.unwrap().path()));
    files.collect::<Vec<_>>().join("\n")
}
