//! Announcements of revocations, as a stream of each watcher.
//!
//! 1. The stream opens with a heartbeat, so that a watcher knows from when on nothing is missed.
//! 2. Every announcement of the store follows.
//! 3. Between them a heartbeat comes every [`HEARTBEAT`], after a round trip to the store: silence means that something
//!    is broken. The contract tells callers the number.
//!
//! A gap in the store's announcements ends the stream: the watcher comes back and trusts the age of its answers until then.

use std::{pin::Pin, time::Duration};

use futures::{Stream, StreamExt as _};
use grantd_proto::v1::{self, revocation_event::Event};
use grantd_store::Announcement;
use tonic::Status;

use crate::{Service, errors};

const HEARTBEAT: Duration = Duration::from_secs(5);

/// The stream of a watcher.
pub(crate) type Watch = Pin<Box<dyn Stream<Item = Result<v1::RevocationEvent, Status>> + Send>>;

fn event(event: Event) -> v1::RevocationEvent {
    v1::RevocationEvent { event: Some(event) }
}

impl Service {
    pub(crate) async fn do_watch(&self) -> Result<Watch, Status> {
        let announcements = self.0.store.watch().await.map_err(|error| errors::store(&error))?;
        let events = announcements.map(|announcement| match announcement {
            Ok(Announcement::RevokedGrant(id)) => Ok(event(Event::RevokedGrant(id))),
            Ok(Announcement::RevokedSubject(id)) => Ok(event(Event::RevokedSubject(id))),
            Ok(Announcement::RevokedClient(id)) => Ok(event(Event::RevokedClient(id))),
            Ok(Announcement::SupersededGrant(id)) => Ok(event(Event::SupersededGrant(id))),
            Ok(Announcement::ChangedGrant(id)) => Ok(event(Event::ChangedGrant(id))),
            Err(error) => Err(errors::store(&error)),
        });
        let service = self.clone();
        let every = tokio::time::interval(HEARTBEAT);
        let heartbeats = futures::stream::unfold((service, every), |(service, mut every)| async move {
            loop {
                every.tick().await;
                // Silence, not an error: the announcements may still be coming.
                if service.ready().await.is_ok() {
                    return Some((Ok(event(Event::Heartbeat(v1::Heartbeat {}))), (service, every)));
                }
            }
        });
        // `scan` ends the stream after its first error.
        let until_error = futures::stream::select(events, heartbeats).scan(false, |failed, item| {
            let before = *failed;
            *failed = item.is_err();
            futures::future::ready((!before).then_some(item))
        });
        let closing = self.0.closing.clone();
        Ok(Box::pin(until_error.take_until(async move { closing.cancelled().await })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_tells_how_often_a_heartbeat_comes() {
        let contract = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/grantd/v1/token_service.proto"));
        let every = HEARTBEAT.as_secs();
        assert!(contract.contains(&format!("A heartbeat comes every {every} seconds.")));
        assert!(contract.contains(&format!("sent at once and then every {every} seconds.")));
    }
}
