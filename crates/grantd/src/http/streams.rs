//! Ends open event streams when the process is told to stop.
//!
//! A GET event stream (MCP's standing stream) never ends by itself, and its client connects again when it ends. A POST
//! that streams its answer is a call in flight: it has until the deadline.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, header::CONTENT_TYPE},
    middleware::Next,
    response::Response,
};
use futures::StreamExt as _;

use crate::drain::Drain;

/// For [`axum::middleware::from_fn_with_state`].
pub(crate) async fn end_at_drain(State(drain): State<Drain>, request: Request, next: Next) -> Response {
    let standing = request.method() == Method::GET;
    let response = next.run(request).await;
    let streams = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"));
    if !(standing && streams) {
        return response;
    }
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(drain.begun())))
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::to_bytes, middleware::from_fn_with_state, routing::get};
    use futures::stream;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_standing_stream_ends_and_a_call_does_not() {
        let endless = async || {
            let events = stream::iter([Ok::<_, std::io::Error>("data: 1\n\n")]).chain(stream::pending());
            ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(events))
        };
        let call = async || ([(CONTENT_TYPE, "text/event-stream")], "data: answer\n\n");
        let drain = Drain::default();
        let app =
            Router::new().route("/mcp", get(endless).post(call)).layer(from_fn_with_state(drain.clone(), end_at_drain));
        let ask = |method: Method| {
            let request = Request::builder().method(method).uri("/mcp").body(Body::empty()).unwrap();
            app.clone().oneshot(request)
        };
        let mut standing = ask(Method::GET).await.unwrap().into_body().into_data_stream();
        assert_eq!(standing.next().await.unwrap().unwrap(), "data: 1\n\n");
        drain.begin();
        assert!(standing.next().await.is_none());
        let answer = ask(Method::POST).await.unwrap().into_body();
        assert_eq!(to_bytes(answer, 1000).await.unwrap(), "data: answer\n\n");
    }
}
