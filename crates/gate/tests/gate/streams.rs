//! Event streams: as they come, and no longer than they may.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::Response,
};
use futures::{Stream, StreamExt as _};
use grantd_proto::v1::{revocation_event::Event, token_denied::Reason};
use reqwest::Method;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    script::{allow, deny, person},
    support::{Running, config, listen, token, until},
};

type Feed = mpsc::UnboundedSender<Result<Bytes, std::io::Error>>;

/// An upstream whose every answer is an event stream that the test feeds; it counts those that are open.
#[derive(Clone, Default)]
struct Events {
    feeds: Arc<Mutex<Vec<Feed>>>,
    open: Arc<AtomicUsize>,
}

struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Events {
    async fn answer(self, request: Request) -> Response<Body> {
        let (feed, events) = mpsc::unbounded_channel();
        feed.send(Ok(Bytes::from_static(b": hello\n\n"))).unwrap();
        self.feeds.lock().unwrap().push(feed);
        self.open.fetch_add(1, Ordering::SeqCst);
        let open = Open(self.open.clone());
        let body = UnboundedReceiverStream::new(events).inspect(move |_| {
            let _ = &open;
        });
        let kind =
            if request.method() == Method::GET { "text/event-stream; charset=utf-8" } else { "text/event-stream" };
        Response::builder().header("content-type", kind).body(Body::from_stream(body)).unwrap()
    }

    fn say(&self, at: usize, text: &'static str) {
        self.feeds.lock().unwrap()[at].send(Ok(Bytes::from_static(text.as_bytes()))).unwrap();
    }

    async fn url(&self) -> String {
        let events = self.clone();
        listen(move |request| events.clone().answer(request)).await
    }
}

type Reading = std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// Opens a stream and reads its first event.
async fn open(running: &Running, method: Method) -> Reading {
    let answer = running.request(method, "/mcp").bearer_auth(token(1)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut reading: Reading = Box::pin(answer.bytes_stream());
    assert_eq!(reading.next().await.unwrap().unwrap(), ": hello\n\n");
    reading
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_sent() {
    let events = Events::default();
    let running = Running::with(config(&events.url().await)).await;
    for (at, method) in [Method::GET, Method::POST].into_iter().enumerate() {
        let mut reading = open(&running, method).await;
        for text in ["data: 1\n\n", "data: 2\n\n", "id: 3\ndata: three\n\n"] {
            events.say(at, text);
            assert_eq!(reading.next().await.unwrap().unwrap(), text);
        }
    }
}

#[tokio::test]
async fn who_hangs_up_drops_the_upstreams_stream() {
    let events = Events::default();
    let running = Running::with(config(&events.url().await)).await;
    let reading = open(&running, Method::GET).await;
    assert_eq!(events.open.load(Ordering::SeqCst), 1);
    drop(reading);
    until(|| events.open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_revocation_cuts_the_streams_that_it_concerns() {
    for (event, cuts) in [
        (Event::RevokedGrant("grant".into()), true),
        (Event::RevokedSubject("subject".into()), true),
        (Event::RevokedClient("client".into()), true),
        (Event::RevokedGrant("another".into()), false),
        (Event::SupersededGrant("grant".into()), false),
    ] {
        let events = Events::default();
        let running = Running::with(config(&events.url().await)).await;
        let mut reading = open(&running, Method::GET).await;
        running.script.announce(event.clone());
        if !cuts {
            // What would cut it is heard after it.
            events.say(0, "data: still here\n\n");
            assert_eq!(reading.next().await.unwrap().unwrap(), "data: still here\n\n", "{event:?}");
            running.script.announce(Event::RevokedGrant("grant".into()));
        }
        assert!(reading.next().await.is_none(), "{event:?}");
        until(|| events.open.load(Ordering::SeqCst) == 0).await;
    }
}

#[tokio::test]
async fn a_stream_outlives_its_token_and_not_its_grant() {
    let events = Events::default();
    let mut config = config(&events.url().await);
    config.stream_max_age = Duration::from_millis(60);
    let running = Running::with(config).await;
    let mut reading = open(&running, Method::POST).await;
    // The client has refreshed: its old token is no good any more, and the call goes on.
    running.script.tokens(|| deny(Reason::Inactive, ""));
    let confirmed = Arc::new(AtomicUsize::new(0));
    let counted = confirmed.clone();
    running.script.grants(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        allow(person())
    });
    until(|| confirmed.load(Ordering::SeqCst) > 10).await;
    events.say(0, "data: done\n\n");
    assert_eq!(reading.next().await.unwrap().unwrap(), "data: done\n\n");
    running.script.grants(|| deny(Reason::Inactive, ""));
    assert!(reading.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_nobody_can_confirm_ends() {
    let events = Events::default();
    let mut config = config(&events.url().await);
    config.stream_max_age = Duration::from_millis(200);
    let running = Running::with(config).await;
    let mut reading = open(&running, Method::GET).await;
    running.script.grants(|| Err(tonic::Status::unavailable("away")));
    assert!(reading.next().await.is_none());
}

#[tokio::test]
async fn closing_the_gate_ends_streams() {
    let events = Events::default();
    let running = Running::with(config(&events.url().await)).await;
    let mut reading = open(&running, Method::GET).await;
    running.gate.close();
    assert!(reading.next().await.is_none());
}
