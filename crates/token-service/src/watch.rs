//! Announcements of revocations, as a stream of each watcher.
//!
//! 1. The stream opens with a heartbeat, so that a watcher knows from when on nothing is missed.
//! 2. Every announcement of the store follows.
//! 3. Between them a heartbeat comes every few seconds, after a round trip to the store: silence means that something
//!    is broken.
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
