//! `docs/doctor.md` lists exactly the codes that exist, as they are.

use std::{fmt::Write as _, fs, path::PathBuf};

use grantd_doctor::{Client, Code, Severity};

const BEGIN: &str =
    "<!-- The codes. Written by the tests of grantd-doctor: GRANTD_WRITE_DOCS=1 cargo test -p grantd-doctor -->\n";

fn codes() -> String {
    let mut page = String::new();
    for (severity, heading) in [
        (Severity::Breaks, "What breaks a client, or puts a person at risk"),
        (Severity::Warning, "Warnings"),
        (Severity::Note, "Notes"),
    ] {
        write!(page, "\n## {heading}\n").unwrap();
        for code in Code::ALL.iter().filter(|code| code.facts().severity == severity) {
            let facts = code.facts();
            write!(page, "\n### `{code}`\n\n{}\n", facts.says).unwrap();
            let names = |clients: &[Client]| clients.iter().map(|client| client.name()).collect::<Vec<_>>().join(", ");
            if facts.measured.len() == Client::MEASURED.len() {
                page.push_str("Seen at every client that was tried.\n");
            } else if !facts.measured.is_empty() {
                writeln!(page, "Seen at: {}.", names(facts.measured)).unwrap();
            }
            if !facts.reported.is_empty() {
                writeln!(page, "From their source, or reported: {}.", names(facts.reported)).unwrap();
            }
            writeln!(page, "\n**Fix:** {}", facts.fix).unwrap();
        }
    }
    page
}

#[test]
fn the_page_lists_exactly_the_codes_that_exist() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/doctor.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, written) = page.split_once(BEGIN).expect("the mark where the codes begin");
    if std::env::var_os("GRANTD_WRITE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{}", codes())).unwrap();
        return;
    }
    assert_eq!(written, codes(), "docs/doctor.md is older than the codes; see the mark in it");
}
