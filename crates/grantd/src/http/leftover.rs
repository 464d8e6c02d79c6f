//! Goes on reading a request that was answered before it had come whole.
//!
//! A token that has expired is refused before the body is read. A connection that is closed then with bytes unread is reset by the
//! kernel, and who was still sending sees that instead of the answer: nginx makes a 502 of it, so a client that should have
//! refreshed its token is told that the server is broken.
//!
//! 1. The body is lent to whoever answers.
//! 2. When it is let go unread, the answer goes out at once, and the rest is read and thrown away beside it.
//! 3. Some megabytes and some seconds are the limit: then the connection is closed after all.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::header::EXPECT,
    middleware::Next,
    response::Response,
};
use futures::StreamExt as _;
use hyper::body::{Body as _, Frame, SizeHint};

/// How much is read: more than `gate.max_body` is by default.
const LONGEST: usize = 8 << 20;
/// How long.
const PATIENCE: Duration = Duration::from_secs(5);

/// For [`axum::middleware::from_fn`].
pub(crate) async fn read_on(request: Request, next: Next) -> Response {
    // Who waits for `100 Continue` has sent nothing, and to read would ask for it.
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return next.run(request).await;
    }
    next.run(request.map(|body| Body::new(Lent(Some(body))))).await
}

/// A body that is read to its end even when it is dropped before.
struct Lent(Option<Body>);

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        // While the process ends there may be nobody left to do it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(PATIENCE, throw_away(body)));
        }
    }
}

async fn throw_away(body: Body) {
    let mut left = LONGEST;
    let mut parts = body.into_data_stream();
    while let Some(Ok(part)) = parts.next().await {
        left = left.saturating_sub(part.len());
        if left == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, middleware::from_fn, routing::post};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// Sends a body to a server that refuses it unread, and reads nothing meanwhile, as nginx does. Gives the answer.
    async fn refused(with: bool, send: usize, announce: usize) -> std::io::Result<String> {
        let mut app = Router::new().route("/", post(async || StatusCode::UNAUTHORIZED));
        if with {
            app = app.layer(from_fn(read_on));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        client
            .write_all(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {announce}\r\n\r\n").as_bytes())
            .await?;
        client.write_all(&vec![b'a'; send]).await?;
        let mut answer = vec![0; 1000];
        let count = client.read(&mut answer).await?;
        server.abort();
        Ok(String::from_utf8_lossy(&answer[..count]).into_owned())
    }

    #[tokio::test]
    async fn who_is_still_sending_hears_the_answer() {
        // More than what lies between the two can hold.
        let answer = refused(true, 7 << 20, 7 << 20).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        // What it is for: without, the answer is lost.
        assert!(refused(false, 7 << 20, 7 << 20).await.is_err());
    }

    #[tokio::test]
    async fn the_answer_does_not_wait_and_nobody_sends_without_end() {
        let begun = tokio::time::Instant::now();
        let answer = refused(true, 1, 1 << 20).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        assert!(begun.elapsed() < PATIENCE, "the answer waited for the rest of the body");
        assert!(refused(true, 64 << 20, 64 << 20).await.is_err());
    }
}
