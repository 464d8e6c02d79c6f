//! Whether there is an answer, in time, and nobody else can read it.

use std::time::Duration;

use crate::{Code, Failure, Finding, Visit, visit::is_loopback};

/// Claude's patience.
const VERY_SLOW: Duration = Duration::from_secs(10);
/// That of mcp-remote for metadata and its first probes.
const SLOW: Duration = Duration::from_secs(5);

pub(super) fn check(visit: &Visit) -> Vec<Finding> {
    let mut found = Vec::new();
    for observation in &visit.observations {
        let (code, seen) = match &observation.outcome {
            Ok(answer) if answer.elapsed > VERY_SLOW => (Code::VerySlowAnswer, took(answer.elapsed)),
            Ok(answer) if answer.elapsed > SLOW => (Code::SlowAnswer, took(answer.elapsed)),
            Ok(_) => continue,
            Err(Failure::Connect(why)) => (Code::Unreachable, why.clone()),
            Err(Failure::Tls(why)) => (Code::TlsFailed, why.clone()),
            Err(Failure::TimedOut(after)) => (Code::NoAnswer, format!("nothing within {}", took(*after))),
            Err(Failure::Broken(why)) => (Code::BrokenAnswer, why.clone()),
        };
        found.push(Finding::at(code, observation, seen));
    }
    if visit.url.scheme() == "http" && !is_loopback(&visit.url) {
        let (place, seen) = (visit.typed.clone(), "plain http".to_owned());
        found.push(Finding { code: Code::NotHttps, place, seen, also: Vec::new(), error: None });
    }
    found
}

fn took(time: Duration) -> String {
    format!("{:.1} seconds", time.as_secs_f32())
}
