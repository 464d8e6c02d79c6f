//! The body of an upstream's answer, on its way to the client.
//!
//! 1. It ends when its grant is revoked; so that nobody takes a part for the whole, only an event stream ends as if it were
//!    complete. A stream ends as well when this process closes; other answers are finished.
//! 2. Who goes on for long is confirmed: [`confirm`] asks every now and then whether the grant still stands. For an answer
//!    that is no stream that begins when the time is up for the first question, so that a short one costs nothing.
//! 3. A stream may be looked at on its way: for the address that HTTP+SSE tells the client ([`crate::sessions`]), and for tools
//!    to hide ([`crate::hidden`]). Otherwise its bytes are not touched.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    BoxError,
    body::{Body, Bytes},
};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{Inner, check, hidden::Events, sessions::Address, streams::Registered};

/// What was let in, and when.
pub(crate) struct Admitted {
    pub(crate) gate: Arc<Inner>,
    /// The resource, by its place.
    pub(crate) at: usize,
    pub(crate) registered: Registered,
    pub(crate) since: Instant,
}

/// What is looked at in a stream.
#[derive(Default)]
pub(crate) struct Looks {
    pub(crate) address: Option<Address>,
    pub(crate) tools: Option<Events>,
}

/// An event stream.
pub(crate) fn stream(admitted: Admitted, body: hyper::body::Incoming, looks: Looks) -> Body {
    let closing = Box::pin(admitted.gate.closing.clone().cancelled_owned());
    let mut passing = Passing::new(admitted, body, Some(closing));
    passing.looks = looks;
    passing.confirm();
    Body::new(passing)
}

/// Another answer.
pub(crate) fn answer(admitted: Admitted, body: hyper::body::Incoming) -> Body {
    let first = admitted.since + admitted.gate.config.stream_max_age / 4;
    let mut passing = Passing::new(admitted, body, None);
    passing.unconfirmed = Some(Box::pin(tokio::time::sleep_until(first)));
    Body::new(passing)
}

struct Passing {
    body: hyper::body::Incoming,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Only of an event stream: it ends when this process closes.
    closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// Until the first question.
    unconfirmed: Option<Pin<Box<Sleep>>>,
    looks: Looks,
    admitted: Admitted,
}

impl Passing {
    fn new(
        admitted: Admitted,
        body: hyper::body::Incoming,
        closing: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    ) -> Self {
        if closing.is_some() {
            admitted.gate.metrics.stream_opened();
        }
        let cut = Box::pin(admitted.registered.cut.clone().cancelled_owned());
        Self { body, cut, closing, unconfirmed: None, looks: Looks::default(), admitted }
    }

    fn confirm(&self) {
        let Admitted { gate, at, registered, since } = &self.admitted;
        tokio::spawn(confirm(gate.clone(), *at, registered.allowed.clone(), registered.cut.clone(), *since));
    }

    /// What goes on of a piece that came; `None`: nothing yet.
    fn look(&mut self, piece: Bytes) -> Result<Option<Bytes>, BoxError> {
        if let Some(address) = &mut self.looks.address
            && let Some(sessions) = address.push(&piece)
        {
            let subject = &self.admitted.registered.allowed.subject;
            for session in sessions {
                self.admitted.gate.sessions.opened_by_address(self.admitted.at, &session, subject);
            }
            self.looks.address = None;
        }
        let Some(tools) = &mut self.looks.tools else { return Ok(Some(piece)) };
        let Some(passed) = tools.push(&piece) else {
            tracing::error!(event = "upstream.large_event", "an event is too large to hide tools in it");
            return Err("an event is too large".into());
        };
        Ok(Some(passed).filter(|passed| !passed.is_empty()))
    }
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            let is_stream = self.closing.is_some();
            return Poll::Ready((!is_stream).then(|| Err("access was taken back".into())));
        }
        if self.closing.as_mut().is_some_and(|closing| closing.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(None);
        }
        if self.unconfirmed.as_mut().is_some_and(|first| first.as_mut().poll(cx).is_ready()) {
            self.unconfirmed = None;
            self.confirm();
        }
        loop {
            let frame = match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => {
                    let rest = self.looks.tools.take().map(|mut tools| tools.rest()).filter(|rest| !rest.is_empty());
                    return Poll::Ready(rest.map(|rest| Ok(Frame::data(rest))));
                }
            };
            match frame.into_data().map(|piece| self.look(piece)) {
                Ok(Ok(Some(piece))) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => return Poll::Ready(Some(Err(error))),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.looks.tools.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // A stream has no length, and what is looked at may change it.
        if self.closing.is_some() { SizeHint::default() } else { self.body.size_hint() }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if self.closing.is_some() {
            self.admitted.gate.metrics.stream_closed();
        }
        // Ends the confirmations.
        self.admitted.registered.cut.cancel();
    }
}

/// Asks every now and then whether the grant of an open stream still stands, and cuts a stream whose grant does not, or
/// could not be confirmed for too long. Not for its token: that is superseded when the client refreshes, and a long call
/// goes on.
///
/// It was let in at `since`; the upstream may have taken a good part of the time to answer. Then it is asked for at once,
/// and has the time of one question.
pub(crate) async fn confirm(
    gate: Arc<Inner>,
    at: usize,
    allowed: Arc<crate::cache::Allowed>,
    cut: CancellationToken,
    since: Instant,
) {
    let max_age = gate.config.stream_max_age;
    // Three questions within the time, and as long for the answer to the last of them.
    let pause = max_age / 4;
    let mut asked = since;
    let mut until = (since + max_age).max(Instant::now() + pause);
    loop {
        tokio::select! {
            () = cut.cancelled() => return,
            () = gate.closing.cancelled() => return,
            () = tokio::time::sleep_until(asked + pause) => {}
        }
        let Some(resource) = gate.resource(at) else { return };
        asked = Instant::now();
        match tokio::time::timeout_at(until, check::verify_grant(&gate, resource, &allowed.grant_id)).await {
            Ok(Ok(())) => until = asked + max_age,
            Ok(Err(check::Refused::Unavailable(_))) if Instant::now() < until => {}
            Ok(Err(_)) | Err(_) => return cut.cancel(),
        }
    }
}
