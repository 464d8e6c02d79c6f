//! Calls spread over all token services.
//!
//! 1. [`addresses`] looks the names up, every few seconds and when nothing could be connected to.
//! 2. Each address is a [`member::Member`] with a channel of its own. While there are several, each is asked to say when it
//!    stops serving (`grpc.health.v1`): one that drains, or has lost its store, is left before a call fails there.
//! 3. A call goes to the member with the fewest calls under way, of those that are well; where none is, to any.
//! 4. Whom nobody could connect to has not got the call, so it goes to the next; likewise where the connection closed before
//!    it was sent. Everything else that fails is the caller's to send again, with the same `request_id`.
//! 5. An address that vanishes gets no more calls; those that are under way there, streams included, go on.
//!
//! With one address there is nothing to choose: it gets every call, whatever it says of itself.
//!
//! tonic's own balanced channel takes a dead address for an idle one, and has no place for a connector that reads renewed
//! certificates.

mod addresses;
mod member;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use grantd_proto::{BoxError, TransportError};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::{Notify, watch};
use tonic::{Status, body::Body, transport::Channel};
use tower::Service;

pub(super) use self::addresses::{Place, Resolve, SystemResolver};
use self::member::Member;
use super::dial::NotConnected;

/// Those that are known; `None` before the first look.
type Members = Option<Arc<[Arc<Member>]>>;

/// The token services, as one. Cheap to clone; the last one to go ends the looking up.
#[derive(Clone)]
pub(super) struct Balanced {
    members: watch::Receiver<Members>,
    /// Asks for a look before its time.
    look: Arc<Notify>,
    /// So that members with as many calls take turns.
    turn: Arc<AtomicUsize>,
}

impl Balanced {
    /// Begins to look names up. Must be called within a Tokio runtime.
    pub(super) fn start(
        places: Vec<Place>,
        resolver: impl Resolve,
        connect: impl Fn(&Place, SocketAddr) -> Channel + Send + 'static,
    ) -> Self {
        let (known, members) = watch::channel(None);
        let look = Arc::new(Notify::new());
        tokio::spawn(addresses::keep_looking(places, resolver, connect, known, look.clone()));
        Self { members, look, turn: Arc::default() }
    }

    async fn send(mut self, request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let known = self.members.wait_for(Option::is_some).await.ok().and_then(|known| known.clone());
        let mut left = known.map(|known| known.to_vec()).unwrap_or_default();
        let mut closed = Vec::new();
        let (parts, body) = request.into_parts();
        // One message, which is there already: no call of the contract streams what it asks.
        let body = body.collect().await.map_err(|status| TransportError(status.into()))?.to_bytes();
        let mut failed = no_address();
        for is_first_round in [true, false] {
            while let Some(at) = self.choose(&left) {
                let member = left.swap_remove(at);
                let again = Request::from_parts(parts.clone(), Body::new(Full::<Bytes>::new(body.clone())));
                match member.send(again).await {
                    Err(error) if NotConnected::is_cause_of(&error) => failed = error.into(),
                    // Its connection closed just then. It may well be there for another.
                    Err(error) if was_dropped_unsent(&error) => {
                        closed.extend(is_first_round.then_some(member));
                        failed = error.into();
                    }
                    answered => return answered.map_err(TransportError::from),
                }
            }
            left.append(&mut closed);
        }
        // They may have moved.
        self.look.notify_one();
        Err(TransportError(failed))
    }

    /// Whose turn it is.
    fn choose(&self, members: &[Arc<Member>]) -> Option<usize> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(members.len())?;
        let in_turn = || members.iter().enumerate().cycle().skip(first).take(members.len());
        let of = |well: bool| in_turn().filter(move |(_, member)| !well || member.is_well());
        let idlest = |well| of(well).min_by_key(|(_, member)| member.calls()).map(|(at, _)| at);
        idlest(true).or_else(|| idlest(false))
    }
}

/// Whether a call was still waiting for its connection when that closed: a token service that stops closes it when it likes.
fn was_dropped_unsent(error: &tonic::transport::Error) -> bool {
    let causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source());
    causes.filter_map(|error| error.downcast_ref::<hyper::Error>()).any(hyper::Error::is_canceled)
}

/// Said as a status, because nobody would know otherwise that it makes sense to try again.
fn no_address() -> BoxError {
    Status::unavailable("token_service.url: the name has no address").into()
}

impl Service<Request<Body>> for Balanced {
    type Response = Response<Body>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, TransportError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        // A call waits for its member, not for any of them.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}
