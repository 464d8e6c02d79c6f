//! The inner service's future, run inside the request's span.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;
use tracing::Span;

use super::outcome::Outcome;

pin_project! {
    /// The inner service's future, run inside the request's span, which ends with it.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        span: Span,
        outcome: Outcome,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, span: Span, outcome: Outcome) -> Self {
        Self { inner, span, outcome }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.span.in_scope(|| this.inner.poll(cx)));
        this.outcome.record(this.span, &result);
        // The future may outlive its result; the span must not.
        *this.span = Span::none();
        Poll::Ready(result)
    }
}
