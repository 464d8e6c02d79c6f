//! What is said in the end: to a person as text, to a machine as JSON.

use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::{Finding, Secret, Severity, Visit, finding::shown};

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The MCP endpoint, as it was typed.
    pub url: String,
    /// Whether a client fails, or a person is at risk.
    pub breaks: bool,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// Whether a person signed in and the tokens were tried too.
    pub complete: bool,
    /// Whether the doctor stopped asking, because nobody answered.
    pub gave_up: bool,
    /// How many requests were sent.
    pub requests: u32,
    /// The trace id that all of them carried (W3C Trace Context).
    pub trace_id: String,
    /// The client that was registered and could not be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_left_behind: Option<String>,
}

impl Report {
    #[expect(clippy::too_many_arguments, reason = "the one place that gathers what each part of a visit came to")]
    pub(crate) fn new(
        visit: &Visit,
        mut findings: Vec<Finding>,
        secrets: &[Secret],
        trace_id: String,
        requests: u32,
        complete: bool,
        gave_up: bool,
        client_left_behind: Option<String>,
    ) -> Self {
        for finding in &mut findings {
            for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
                finding.seen = finding.seen.replace(secret.expose(), "(redacted)");
            }
        }
        let breaks = findings.iter().any(|finding| finding.facts().severity == Severity::Breaks);
        let client_left_behind = client_left_behind.map(|id| shown(&id));
        let url = shown(&visit.typed);
        Self { url, breaks, findings, complete, gave_up, requests, trace_id, client_left_behind }
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.facts().severity == severity).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.url)?;
        for finding in &self.findings {
            finding_for_a_person(f, finding)?;
        }
        let counted: Vec<String> = [
            (Severity::Breaks, "fault that breaks clients", "faults that break clients"),
            (Severity::Warning, "warning", "warnings"),
            (Severity::Note, "note", "notes"),
        ]
        .into_iter()
        .filter_map(|(severity, one, many)| match self.count(severity) {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {many}")),
        })
        .collect();
        match counted.is_empty() {
            true => writeln!(
                f,
                "Nothing is wrong as far as one can see{}.",
                if self.complete { "" } else { " without signing in" }
            )?,
            false => writeln!(f, "{}.", counted.join(", "))?,
        }
        if self.gave_up {
            writeln!(f, "Stopped asking, because nobody answered.")?;
        } else if !self.complete {
            writeln!(f, "Codes, tokens, refresh and revocation are seen only when somebody signs in: --sign-in.")?;
        }
        if let Some(client) = &self.client_left_behind {
            writeln!(
                f,
                "The client {client} stays registered there; the server offers no way to delete it (RFC 7592)."
            )?;
        }
        write!(f, "{} requests, all with the trace id {}.", self.requests, self.trace_id)
    }
}

fn finding_for_a_person(f: &mut fmt::Formatter<'_>, finding: &Finding) -> fmt::Result {
    let facts = finding.facts();
    let word = match facts.severity {
        Severity::Breaks => "BREAKS ",
        Severity::Warning => "WARNING",
        Severity::Note => "NOTE   ",
    };
    writeln!(f, "{word} {}", finding.code)?;
    line(f, "", facts.says)?;
    line(f, "where: ", &finding.place)?;
    for place in &finding.also {
        line(f, "       ", place)?;
    }
    line(f, "seen:  ", &finding.seen)?;
    let names = |clients: &[crate::Client]| clients.iter().map(|client| client.name()).collect::<Vec<_>>().join(", ");
    let verb = if facts.severity == Severity::Breaks { "seen to fail" } else { "seen" };
    if facts.measured.len() == crate::Client::MEASURED.len() {
        line(f, "who:   ", "every client that was tried")?;
    } else if !facts.measured.is_empty() {
        line(f, "who:   ", &format!("{verb}: {}", names(facts.measured)))?;
    }
    if !facts.reported.is_empty() {
        line(f, "who:   ", &format!("from their source, or reported: {}", names(facts.reported)))?;
    }
    line(f, "fix:   ", facts.fix)?;
    writeln!(f)
}

/// A line for a terminal, broken at blanks.
fn line(f: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    const WIDTH: usize = 96;
    let indent = " ".repeat(label.chars().count());
    let (mut out, mut length) = (format!("  {label}"), 0);
    for word in text.split_whitespace() {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length + indent.len() > WIDTH {
            write!(out, "\n  {indent}")?;
            length = 0;
        } else if length > 0 {
            out.push(' ');
            length += 1;
        }
        out.push_str(word);
        length += word_length;
    }
    writeln!(f, "{out}")
}
