//! Waiting for the answer of a sign-in, on a port of this machine.
//!
//! The first request to the redirect URI is the answer, whatever its method: a wrong one is a finding. Browsers ask for other
//! things as well (an icon); those hear 404. What stands in the answer is judged elsewhere.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;
use url::form_urlencoded;

use crate::{Callback, Secret};

const DONE: &str = "<!doctype html><title>grantd doctor</title><p>The answer has arrived. You may close this page.";
/// How long a connection may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for the answer.
pub(super) async fn wait(listener: &TcpListener, patience: Duration) -> Option<Callback> {
    let (sender, mut answers) = mpsc::channel(1);
    let ended = CancellationToken::new();
    let _end = ended.clone().drop_guard();
    let accept = async {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let sender = sender.clone();
            let answer = service_fn(move |request| respond(request, sender.clone()));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                // The page must have gone out when the doctor has heard of it.
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            let ended = ended.clone();
            tokio::spawn(async move {
                tokio::select! { _ = connection => {}, () = ended.cancelled() => {} }
            });
        }
    };
    tokio::select! {
        answer = answers.recv() => answer,
        () = accept => None,
        () = tokio::time::sleep(patience) => None,
    }
}

async fn respond(
    request: Request<Incoming>,
    sender: mpsc::Sender<Callback>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, page) = match request.uri().path() {
        "/callback" => {
            // A second answer finds the place taken, and is not looked at.
            let _ = sender.try_send(read(request.method().as_str(), request.uri().query().unwrap_or_default()));
            (StatusCode::OK, DONE)
        }
        _ => (StatusCode::NOT_FOUND, ""),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(page.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}

fn read(method: &str, query: &str) -> Callback {
    let param = |name: &str| {
        form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    };
    Callback {
        method: method.to_owned(),
        code: param("code").map(Secret::new),
        state: param("state"),
        iss: param("iss"),
        error: param("error"),
        has_plus: query.contains('+'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let callback = read("GET", "code=a%2Bb&state=x%20%2B&iss=https%3A%2F%2Fa.example");
        assert_eq!(callback.code, Some(Secret::new("a+b")));
        assert_eq!(callback.state.as_deref(), Some("x +"));
        assert_eq!(callback.iss.as_deref(), Some("https://a.example"));
        assert!(!callback.has_plus && callback.error.is_none());
        assert!(!format!("{callback:?}").contains("a+b"));
        assert!(read("POST", "error=x&state=a+b").has_plus);
    }
}
