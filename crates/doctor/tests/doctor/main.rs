//! The doctor against servers with one fault each, and against one with none.
//!
//! The server is a mock, and here that is the point: it answers rightly, and a case spoils one answer. The rows of the
//! matrix of faults with which real clients were measured are all here, each with the codes it must come to, and no others.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking and says why")]

mod cases;
mod connections;
mod page;
mod report;
mod server;

use std::{collections::BTreeSet, time::Duration};

use grantd_doctor::{Code, Doctor, Options, Report};

use server::{Fault, Person, Server};

/// One fault and what it comes to.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    /// The path of the MCP endpoint, and what is typed after the origin.
    paths: (&'static str, &'static str),
    person: Person,
    fault: Fault,
    codes: &'static [Code],
}

impl Case {
    const fn new(name: &'static str, fault: Fault, codes: &'static [Code]) -> Self {
        Self { name, paths: ("/mcp", "/mcp"), person: Person::Away, fault, codes }
    }

    /// Somebody signs in.
    const fn signed_in(name: &'static str, fault: Fault, codes: &'static [Code]) -> Self {
        Self { person: Person::Agrees, ..Self::new(name, fault, codes) }
    }

    async fn report(self) -> Report {
        let server = Server::start(self.paths.0, self.fault).await;
        let mut doctor = Doctor::new(Options::new(format!("{}{}", server.base, self.paths.1))).await.unwrap();
        doctor.look().await;
        if self.person != Person::Away {
            let person = self.person;
            let open = move |url: &url::Url| server::visit(url.clone(), person);
            assert!(doctor.sign_in(open, Duration::from_secs(30)).await, "{}: nobody signed in", self.name);
        }
        doctor.finish().await
    }

    /// What is wrong with what it comes to.
    async fn check(self) -> Option<String> {
        let report = self.report().await;
        let found: BTreeSet<_> = report.findings.iter().map(|finding| finding.code.as_str()).collect();
        let expected: BTreeSet<_> = self.codes.iter().map(|code| code.as_str()).collect();
        (found != expected).then(|| format!("{}: expected {expected:?}, found {found:?}\n{report}", self.name))
    }
}

async fn check_all(cases: &[Case]) {
    let mut wrong = Vec::new();
    for case in cases {
        wrong.extend(case.check().await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn a_server_without_a_fault_has_no_finding() {
    for (paths, person) in [
        (("/mcp", "/mcp"), Person::Away),
        (("/mcp", "/mcp"), Person::Agrees),
        (("", ""), Person::Agrees),
        (("", "/"), Person::Away),
    ] {
        let case = Case { paths, person, ..Case::new("no fault", |_, _, _| {}, &[]) };
        let report = case.report().await;
        assert!(report.findings.is_empty() && !report.breaks, "{paths:?}:\n{report}");
        assert_eq!(report.complete, person == Person::Agrees);
        assert!(!report.gave_up && report.requests < 60, "{report}");
        assert_eq!(report.client_left_behind, None, "what was registered was deleted");
    }
}

#[tokio::test]
async fn the_mcp_endpoint() {
    check_all(cases::MCP).await;
}

#[tokio::test]
async fn resource_metadata() {
    check_all(cases::RESOURCE).await;
}

#[tokio::test]
async fn server_metadata() {
    check_all(cases::SERVER).await;
}

#[tokio::test]
async fn registration() {
    check_all(cases::REGISTRATION).await;
}

#[tokio::test]
async fn the_authorization_endpoint() {
    check_all(cases::AUTHORIZE).await;
}

#[tokio::test]
async fn the_token_endpoint() {
    check_all(cases::TOKEN).await;
}

#[tokio::test]
async fn with_a_person() {
    check_all(cases::SIGN_IN).await;
}

/// What no client was seen to mind must not be called broken; what breaks one must be.
#[test]
fn every_code_has_a_case() {
    let tables = [
        cases::MCP,
        cases::RESOURCE,
        cases::SERVER,
        cases::REGISTRATION,
        cases::AUTHORIZE,
        cases::TOKEN,
        cases::SIGN_IN,
    ];
    let mut tried: BTreeSet<Code> =
        tables.iter().flat_map(|table| table.iter()).flat_map(|case| case.codes).copied().collect();
    tried.extend(connections::CODES);
    let all: BTreeSet<Code> = Code::ALL.iter().copied().collect();
    let untried: Vec<_> = all.difference(&tried).collect();
    assert!(untried.is_empty(), "no case fires {untried:?}");
}
