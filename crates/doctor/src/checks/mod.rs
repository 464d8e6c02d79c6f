//! The checks: plain functions over what was observed, one module for each topic.
//!
//! 1. A check looks at the exchanges of its topic and says what is wrong. An exchange that was not made says nothing.
//! 2. What follows from a fault that was named already is not named again, so that one fault is one finding.
//! 3. The same finding at several addresses is told once, with the others beside it.

use crate::{Finding, Visit};

mod authorize;
mod challenge;
mod connection;
mod cors;
mod iss;
mod mcp;
mod registration;
mod resource;
mod server;
mod sign_in;
mod token;
mod token_response;

/// Everything that is wrong, the worst first.
pub fn check(visit: &Visit) -> Vec<Finding> {
    let topics: [fn(&Visit) -> Vec<Finding>; 12] = [
        connection::check,
        mcp::check,
        challenge::check,
        resource::check,
        server::check,
        registration::check,
        authorize::check,
        iss::check,
        token::check,
        sign_in::check,
        token_response::check,
        cors::check,
    ];
    let mut found: Vec<Finding> = Vec::new();
    for finding in topics.iter().flat_map(|topic| topic(visit)) {
        match found.iter_mut().find(|known| known.code == finding.code) {
            Some(known) if known.place != finding.place && !known.also.contains(&finding.place) => {
                known.also.push(finding.place);
            }
            Some(_) => {}
            None => found.push(finding),
        }
    }
    // Stable: within a severity in the order of the flow.
    found.sort_by_key(|finding| finding.facts().severity);
    found
}
