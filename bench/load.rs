//! A closed loop: so many connections, each with one request under way at a time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How many connections. No more than the sign-ins that one account may do at once.
pub(crate) const CONNECTIONS: usize = 24;

/// What a turn gave.
pub(crate) struct Rate {
    /// Answers in a second.
    pub(crate) per_second: f64,
    /// Half of the answers came within this many milliseconds, and 99 of 100.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// One keep-alive connection.
pub(crate) struct Connection(hyper::client::conn::http1::SendRequest<Full<Bytes>>);

impl Connection {
    pub(crate) async fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Sends, and reads the answer to its end.
    pub(crate) async fn call(&mut self, request: Request<Full<Bytes>>) -> (StatusCode, Bytes) {
        self.0.ready().await.unwrap();
        let answer = self.0.send_request(request).await.unwrap();
        (answer.status(), answer.into_body().collect().await.unwrap().to_bytes())
    }
}

/// Calls for a while over [`CONNECTIONS`] connections; every answer must be a 200.
pub(crate) async fn run(port: u16, time: Duration, request: impl Fn() -> Request<Full<Bytes>>) -> Rate {
    let mut connections = join_all((0..CONNECTIONS).map(|_| Connection::open(port))).await;
    let began = Instant::now();
    let calls = join_all(connections.iter_mut().map(|connection| async {
        let mut took = Vec::new();
        while began.elapsed() < time {
            let sent = Instant::now();
            let (status, body) = connection.call(request()).await;
            assert_eq!(status, StatusCode::OK, "{body:?}");
            took.push(sent.elapsed());
        }
        took
    }))
    .await;
    rate(began.elapsed(), calls.concat())
}

/// The figures of calls that took so long each, within `time` altogether.
pub(crate) fn rate(time: Duration, mut took: Vec<Duration>) -> Rate {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
    let per_second = took.len() as f64 / time.as_secs_f64();
    Rate { per_second, p50: at(50), p99: at(99) }
}
