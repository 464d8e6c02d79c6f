//! The body of a request, on its way in.
//!
//! A call is let in by its headers, and done when its body is complete. So a body breaks off when its grant is revoked
//! meanwhile, or when that has lasted for long and the grant cannot be confirmed: nobody keeps calls in store by sending the
//! last byte later.

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
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use crate::{Inner, passing, streams::Registered};

/// A body that breaks off with its grant. One without content stays as it is.
pub(crate) fn body(gate: &Arc<Inner>, at: usize, registered: &Registered, since: Instant, body: Body) -> Body {
    if http_body::Body::is_end_stream(&body) {
        return body;
    }
    let complete = CancellationToken::new();
    let (gate, allowed, cut) = (gate.clone(), registered.allowed.clone(), registered.cut.clone());
    let (first, ended) = (since + gate.config.stream_max_age / 4, complete.clone());
    let broken_off = Box::pin(cut.clone().cancelled_owned());
    let confirm = move || {
        let confirm = passing::confirm(gate, at, allowed, cut, since);
        tokio::spawn(async move {
            tokio::select! { () = confirm => (), () = ended.cancelled() => () }
        });
    };
    Body::new(Uploading {
        body,
        broken_off,
        first: Box::pin(tokio::time::sleep_until(first)),
        confirm: Some(Box::new(confirm)),
        _complete: complete.drop_guard(),
    })
}

struct Uploading {
    body: Body,
    broken_off: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Until the first question.
    first: Pin<Box<Sleep>>,
    /// Starts asking.
    confirm: Option<Box<dyn FnOnce() + Send>>,
    /// Ends it.
    _complete: DropGuard,
}

impl http_body::Body for Uploading {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.broken_off.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err("access was taken back".into())));
        }
        if self.confirm.is_some()
            && self.first.as_mut().poll(cx).is_ready()
            && let Some(confirm) = self.confirm.take()
        {
            confirm();
        }
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
