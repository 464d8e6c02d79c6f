//! What was seen, one file for each client, identity and shape.

use serde_json::{Value, json};

use super::case::{Case, Flow, Identity, Outcome, Shape, records};

fn write(case: &Case, version: &str, identity: Identity, shape: Shape, result: (&str, Value)) {
    let words = [case.name, version, identity.name(), shape.name()].map(|word| word.replace(' ', "-").to_lowercase());
    let record = json!({
        "client": case.name, "version": version, "identity": identity.name(), "shape": shape.name(), result.0: result.1,
    });
    std::fs::write(records().join(format!("{}.json", words.join("_"))), format!("{record:#}\n")).unwrap();
}

/// A client went through its flows.
pub(super) fn seen(case: &Case, version: &str, identity: Identity, shape: Shape, flows: &[(Flow, Outcome)]) {
    let flows: serde_json::Map<_, _> =
        flows.iter().map(|(flow, outcome)| (flow.name().to_owned(), json!(outcome.name()))).collect();
    write(case, version, identity, shape, ("flows", flows.into()));
}

/// A client could not be run here, and why.
pub(super) fn not_run(case: &Case, identity: Identity, shape: Shape, why: &str) {
    eprintln!("NOT RUN: {} with a {}: {why}", case.name, identity.name());
    write(case, "", identity, shape, ("not_run", why.into()));
}
