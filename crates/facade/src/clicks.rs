//! A double click on Authorize, on plain-http localhost.
//!
//! There the first click ends the session (see `cookie`), so the service must refuse the second one. But the browser has
//! dropped the first answer, and the person would be stuck. So the facade remembers, for some seconds and only there,
//! which redirect a ticket was answered with. It is given out again only where the session is over, and to nobody who
//! does not know the ticket: 256 secret bits that only the consent page held.
//!
//! Elsewhere this stays empty: the session lives on, and the service itself repeats its answer.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

/// How long after the first click another one counts as the same.
const KEEP: Duration = Duration::from_secs(15);
/// More than one machine's users click within that time.
const MOST: usize = 32;

/// Decisions of the last seconds, oldest first: SHA-256 of what was clicked, where it led, when.
#[derive(Default)]
pub(crate) struct Clicks(Mutex<VecDeque<([u8; 32], String, Instant)>>);

impl Clicks {
    /// Remembers where a click led.
    pub(crate) fn remember(&self, decision: &str, ticket: &str, location: &str) {
        let mut clicks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        clicks.retain(|(.., at)| now.duration_since(*at) < KEEP);
        if clicks.len() >= MOST {
            clicks.pop_front();
        }
        clicks.push_back((key(decision, ticket), location.to_owned(), now));
    }

    /// Where the same click led some seconds ago.
    pub(crate) fn recall(&self, decision: &str, ticket: &str) -> Option<String> {
        let clicks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, key) = (Instant::now(), key(decision, ticket));
        let found = clicks.iter().find(|(other, _, at)| *other == key && now.duration_since(*at) < KEEP);
        found.map(|(_, location, _)| location.clone())
    }
}

fn key(decision: &str, ticket: &str) -> [u8; 32] {
    Sha256::new().chain_update(decision).chain_update([0]).chain_update(ticket).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_click_is_remembered_for_seconds() {
        let clicks = Clicks::default();
        clicks.remember("approve", "t", "there");
        assert_eq!(clicks.recall("approve", "t").as_deref(), Some("there"));
        assert_eq!(clicks.recall("deny", "t"), None);
        assert_eq!(clicks.recall("approve", "u"), None);
        tokio::time::advance(KEEP).await;
        assert_eq!(clicks.recall("approve", "t"), None);
        for n in 0..100 {
            clicks.remember("approve", &n.to_string(), "there");
        }
        assert_eq!(clicks.0.lock().unwrap().len(), MOST);
    }
}
