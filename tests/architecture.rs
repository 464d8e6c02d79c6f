//! What ARCHITECTURE.md says of the crates is so, and the tests that it names exist.

use std::{collections::BTreeMap, fs, path::PathBuf};

/// The arrows between our crates as the page has them: `name -> name, name`, a line for each crate that may go on in the next.
fn documented() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, from) = text.split_once("Arrows between our crates, and no others:").expect("the arrows");
    let block = from.split("```").nth(1).expect("a block of arrows").trim_start_matches("text");
    let mut arrows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut from = None;
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let to = match line.split_once("->") {
            Some((name, to)) => {
                from = Some(name.trim().to_owned());
                to
            }
            None => line,
        };
        let name = from.clone().expect("the first line has an arrow");
        let names = to.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "(nothing)");
        arrows.entry(name).or_default().extend(names.map(str::to_owned));
    }
    arrows
}

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
    let found: BTreeMap<String, Vec<String>> = dependencies()
        .into_iter()
        .map(|(name, all)| {
            let ours = all.iter().filter_map(|name| name.strip_prefix("grantd-")).map(str::to_owned).collect();
            (name, ours)
        })
        .collect();
    assert_eq!(found, documented(), "a new arrow is a decision: ARCHITECTURE.md shows it, and says why");
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
