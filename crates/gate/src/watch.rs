//! Hears of revocations.
//!
//! 1. Opens the stream; each announcement evicts what it concerns. A revocation also cuts open streams, and so does a change
//!    that left the person with less.
//! 2. When the stream breaks or falls silent, opens it again after a jittered pause. Nothing is flushed meanwhile: the age
//!    limit of the cache holds.

use std::{sync::Arc, time::Duration};

use grantd_proto::v1::{WatchRevocationsRequest, revocation_event::Event};
use rand::TryRng as _;

use crate::{Inner, cache::Concern, metrics::Announced};

/// Three heartbeats.
const SILENCE: Duration = Duration::from_secs(15);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(crate) async fn run(gate: Arc<Inner>) {
    let mut pause = Duration::from_millis(100);
    let mut lost = false;
    loop {
        tokio::select! {
            () = gate.closing.cancelled() => return,
            heard = listen(&gate, lost) => if heard { (pause, lost) = (Duration::from_millis(100), true) }
        }
        let jitter = rand::rngs::SysRng.try_next_u32().unwrap_or_default() % 1000;
        tokio::select! {
            () = gate.closing.cancelled() => return,
            () = tokio::time::sleep(pause.mul_f64(0.5 + f64::from(jitter) / 1000.0)) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Until the stream ends; whether anything was heard. `lost`: whether one broke before.
async fn listen(gate: &Inner, lost: bool) -> bool {
    let mut client = gate.tokens.clone();
    let opened =
        tokio::time::timeout(gate.config.call_timeout, client.watch_revocations(WatchRevocationsRequest {})).await;
    let mut stream = match opened {
        Ok(Ok(stream)) => stream.into_inner(),
        Ok(Err(status)) => {
            tracing::debug!(code = ?status.code(), "the revocation stream did not open");
            return false;
        }
        Err(_) => return false,
    };
    let mut heard = false;
    loop {
        match tokio::time::timeout(SILENCE, stream.message()).await {
            Ok(Ok(Some(event))) => {
                if lost && !heard {
                    tracing::info!(event = "gate.watch_back", "revocations are announced again");
                }
                heard = true;
                match event.event {
                    Some(event) => apply(gate, event),
                    // Of a newer token service: it may be about anything.
                    None => gate.cache.forget(Concern::Anything),
                }
            }
            Ok(Ok(None) | Err(_)) | Err(_) => {
                gate.metrics.gap();
                tracing::info!(
                    event = "gate.watch_lost",
                    "the revocation stream broke; the age limit of cached answers holds"
                );
                return heard;
            }
        }
    }
}

fn apply(gate: &Inner, event: Event) {
    let (about, concern) = match event {
        Event::RevokedGrant(id) => (Announced::Grant, Concern::Grant(id)),
        Event::RevokedSubject(id) => (Announced::Subject, Concern::Subject(id)),
        Event::RevokedClient(id) => (Announced::Client, Concern::Client(id)),
        Event::SupersededGrant(id) => (Announced::Superseded, Concern::Grant(id)),
        Event::ChangedGrant(id) => (Announced::Changed, Concern::Grant(id)),
        Event::Heartbeat(_) => return,
    };
    gate.metrics.announced(about);
    gate.cache.forget(concern.clone());
    // A grant of which a token was superseded lives on, and so do its streams.
    if about != Announced::Superseded {
        gate.metrics.cut(gate.streams.cut(|allowed| concern.includes(allowed)));
    }
}
