//! A span for each request: tower layers at the level of HTTP, generic over bodies.
//!
//! 1. [`Traced::call`] opens the span of its [`Side`]: server sides read the caller's `traceparent`, the client side
//!    writes its own.
//! 2. The inner service's future runs inside the span ([`ResponseFuture`]).
//! 3. When the response head is there, its status is recorded and the span ends; the body may stream on.
//!
//! Responses and errors pass through untouched. If the span is filtered out, nothing is read or written.

mod carrier;
mod future;
mod grpc;
mod http_server;
mod outcome;
mod path;

use std::marker::PhantomData;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::Service;
use tracing::Span;

pub use self::future::ResponseFuture;
pub use self::grpc::{GrpcClientTrace, GrpcServerTrace};
pub use self::http_server::HttpServerTrace;
use self::outcome::Outcome;

/// Which side of which protocol: the three layers.
pub trait Side {
    /// Opens the span of a request and passes the trace context on.
    fn open<B>(request: &mut Request<B>) -> Span;

    /// How the result of a request is recorded.
    fn outcome() -> Outcome;
}

/// A service whose requests each have a span, made by one of the layers of this crate.
#[derive(Debug)]
pub struct Traced<S, L> {
    inner: S,
    side: PhantomData<fn() -> L>,
}

impl<S, L> Traced<S, L> {
    fn new(inner: S) -> Self {
        Self { inner, side: PhantomData }
    }
}

impl<S: Clone, L> Clone for Traced<S, L> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<S, L, Req, Res> Service<Request<Req>> for Traced<S, L>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    L: Side,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let span = L::open(&mut request);
        let inner = span.in_scope(|| self.inner.call(request));
        ResponseFuture::new(inner, span, L::outcome())
    }
}
