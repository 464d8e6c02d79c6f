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
use grantd_proto::v1::{TokenAllowed, revocation_event::Event, token_denied::Reason};
use reqwest::Method;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    script::{allow, deny, person},
    support::{Running, config, listen, ok, token, until},
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

#[tokio::test]
async fn a_revocation_that_comes_before_the_stream_cuts_it_too() {
    let (reached, leave) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let events = Events::default();
    let (arrived, held, answering) = (reached.clone(), leave.clone(), events.clone());
    let running = Running::before(move |request| {
        let (arrived, held, answering) = (arrived.clone(), held.clone(), answering.clone());
        async move {
            // What asks for the marker does not wait.
            if request.headers()["x-forwarded-user"] == "marker" {
                return ok(request).await;
            }
            arrived.add_permits(1);
            held.acquire().await.unwrap().forget();
            answering.answer(request).await
        }
    })
    .await;
    let call = tokio::spawn(running.call(1).send());
    // An announcement that came before it was let in would only make the gate ask again.
    let _reached = reached.acquire().await.unwrap();
    running.script.announce(Event::RevokedGrant("grant".into()));
    running.heard().await;
    leave.add_permits(1);
    let mut reading = call.await.unwrap().unwrap().bytes_stream();
    assert!(reading.next().await.is_none(), "not even its first event");
}

#[tokio::test]
async fn many_streams_each_end_for_their_own() {
    let events = Events::default();
    let running = Running::with(config(&events.url().await)).await;
    let mut readings = Vec::new();
    for name in ["a", "b", "c"] {
        running.script.tokens(move || allow(TokenAllowed { grant_id: name.into(), ..person() }));
        let n = name.as_bytes()[0];
        let answer = running.request(Method::GET, "/mcp").bearer_auth(token(n)).send().await.unwrap();
        let mut reading = Box::pin(answer.bytes_stream());
        assert_eq!(reading.next().await.unwrap().unwrap(), ": hello\n\n");
        readings.push(reading);
    }
    running.script.announce(Event::RevokedGrant("b".into()));
    assert!(readings[1].next().await.is_none());
    for at in [0, 2] {
        events.say(at, "data: on\n\n");
        assert_eq!(readings[at].next().await.unwrap().unwrap(), "data: on\n\n");
    }
    running.script.announce(Event::RevokedSubject("subject".into()));
    for at in [0, 2] {
        assert!(readings[at].next().await.is_none());
    }
    until(|| events.open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn a_stream_ends_whose_grant_loses_what_the_resource_needs() {
    let events = Events::default();
    let mut config = config(&events.url().await);
    config.stream_max_age = Duration::from_millis(60);
    let running = Running::with(config).await;
    let mut reading = open(&running, Method::GET).await;
    running.script.grants(|| deny(Reason::InsufficientScope, "admin"));
    assert!(reading.next().await.is_none());
}

#[tokio::test]
async fn the_watcher_comes_back_and_is_heard_again() {
    let events = Events::default();
    let running = Running::with(config(&events.url().await)).await;
    running.script.hang_up();
    until(|| running.script.is_watched()).await;
    let mut reading = open(&running, Method::GET).await;
    running.script.announce(Event::RevokedClient("client".into()));
    assert!(reading.next().await.is_none());
}

#[tokio::test]
async fn a_stream_that_begins_late_is_confirmed_first() {
    let events = Events::default();
    let answering = events.clone();
    let max_age = Duration::from_millis(40);
    let mut config = config(
        &listen(move |request| {
            let (answering, begun) = (answering.clone(), tokio::time::Instant::now());
            async move {
                until(move || begun.elapsed() > max_age * 2).await;
                answering.answer(request).await
            }
        })
        .await,
    );
    config.stream_max_age = max_age;
    let running = Running::with(config).await;
    let mut reading = open(&running, Method::POST).await;
    events.say(0, "data: at last\n\n");
    assert_eq!(reading.next().await.unwrap().unwrap(), "data: at last\n\n");
    running.script.grants(|| deny(Reason::Inactive, ""));
    assert!(reading.next().await.is_none());
}

#[tokio::test]
async fn a_long_answer_that_is_no_stream_is_cut_and_cannot_be_taken_for_the_whole() {
    for with_length in [false, true] {
        let (feed, pieces) = mpsc::unbounded_channel::<Result<Bytes, std::io::Error>>();
        let body = Arc::new(Mutex::new(Some(Body::from_stream(UnboundedReceiverStream::new(pieces)))));
        let upstream = listen(move |_| {
            let body = body.lock().unwrap().take();
            async move {
                let Some(body) = body else { return Response::new(Body::from("{}")) };
                let answer = Response::builder().header("content-type", "application/json");
                let answer = if with_length { answer.header("content-length", "1000000") } else { answer };
                answer.body(body).unwrap()
            }
        });
        let running = Running::with(config(&upstream.await)).await;
        feed.send(Ok(Bytes::from_static(b"[1,"))).unwrap();
        let mut reading = running.call(1).send().await.unwrap().bytes_stream();
        assert_eq!(reading.next().await.unwrap().unwrap(), "[1,");
        feed.send(Ok(Bytes::from_static(b"2,"))).unwrap();
        assert_eq!(reading.next().await.unwrap().unwrap(), "2,");
        running.script.announce(Event::RevokedGrant("grant".into()));
        assert!(reading.next().await.unwrap().is_err(), "it must not look complete");
    }
}

#[tokio::test]
async fn a_long_answer_that_nobody_can_confirm_ends() {
    let (feed, pieces) = mpsc::unbounded_channel::<Result<Bytes, std::io::Error>>();
    let body = Arc::new(Mutex::new(Some(Body::from_stream(UnboundedReceiverStream::new(pieces)))));
    let upstream = listen(move |_| {
        let body = body.lock().unwrap().take().unwrap_or_default();
        async move { Response::builder().header("content-type", "application/json").body(body).unwrap() }
    });
    let mut config = config(&upstream.await);
    config.stream_max_age = Duration::from_millis(400);
    let running = Running::with(config).await;
    running.script.grants(|| deny(Reason::Inactive, ""));
    feed.send(Ok(Bytes::from_static(b"[1,"))).unwrap();
    let mut reading = running.call(1).send().await.unwrap().bytes_stream();
    assert_eq!(reading.next().await.unwrap().unwrap(), "[1,");
    assert!(reading.next().await.unwrap().is_err());
}

#[tokio::test]
async fn a_session_in_an_address_is_bound_to_its_person() {
    let upstream = listen(|request: Request| async move {
        match *request.method() {
            Method::GET => {
                let told = "event: endpoint\ndata: /messages?session_id=0b5d2c00\n\n";
                Response::builder().header("content-type", "text/event-stream").body(Body::from(told)).unwrap()
            }
            _ => ok(request).await,
        }
    });
    let running = Running::with(config(&upstream.await)).await;
    let post = async |n: u8, query: &str| {
        let request = running.request(Method::POST, &format!("/messages?{query}")).bearer_auth(token(n));
        request.body("{}").send().await.unwrap().status().as_u16()
    };
    assert_eq!(post(1, "session_id=0b5d2c00").await, 200, "not seen to begin: the upstream decides");
    let told = running.request(Method::GET, "/mcp").bearer_auth(token(1)).send().await.unwrap();
    assert!(told.text().await.unwrap().contains("session_id=0b5d2c00"));
    assert_eq!(post(1, "session_id=0b5d2c00").await, 200);
    running.script.tokens(|| allow(TokenAllowed { subject: "mallory".into(), ..person() }));
    for query in
        ["session_id=0b5d2c00", "sessionId=0B5D-2C00", "a=1&session_id=0b5d2c00", "session_id=x&session_id=0b5d2c00"]
    {
        assert_eq!(post(2, query).await, 404, "{query}");
    }
    assert_eq!(post(2, "session_id=other").await, 200);
}

#[tokio::test]
async fn a_call_whose_body_comes_after_the_revocation_is_not_made() {
    for (ruled, announced) in [(false, true), (true, true), (false, false), (true, false)] {
        let complete = Arc::<AtomicUsize>::default();
        let counted = complete.clone();
        let upstream = listen(move |request: Request| {
            let counted = counted.clone();
            async move {
                if http_body_util::BodyExt::collect(request.into_body()).await.is_ok() {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
                Response::new(Body::from("{}"))
            }
        });
        let mut config = config(&upstream.await);
        if ruled {
            let scopes = grantd_oauth_types::ScopeSet::parse_lenient("read");
            let mut second = config.resources[0].clone();
            second.paths = vec!["/ruled".into()];
            second.rules = vec![grantd_gate::GateRule { scopes, ..Default::default() }];
            config.resources.push(second);
        }
        let path = if ruled { "/ruled" } else { "/mcp" };
        if !announced {
            config.stream_max_age = Duration::from_millis(400);
        }
        let running = Running::with(config).await;
        if !announced {
            running.script.grants(|| deny(Reason::Inactive, ""));
        }
        let (feed, pieces) = mpsc::unbounded_channel::<Result<Bytes, std::io::Error>>();
        feed.send(Ok(Bytes::from_static(b"{\"method\":"))).unwrap();
        let body = reqwest::Body::wrap_stream(UnboundedReceiverStream::new(pieces));
        let call = running.request(Method::POST, path).bearer_auth(token(1)).header("content-type", "application/json");
        let call = tokio::spawn(call.body(body).send());
        until(|| running.script.asked() == 1).await;
        if announced {
            running.heard().await;
            let before = complete.load(Ordering::SeqCst);
            running.script.announce(Event::RevokedGrant("grant".into()));
            let refused = call.await.unwrap().unwrap();
            assert_eq!(refused.status(), 401, "{ruled}");
            let _ = feed.send(Ok(Bytes::from_static(b"\"ping\"}")));
            drop(feed);
            assert_eq!(complete.load(Ordering::SeqCst), before, "{ruled}");
        } else {
            let refused = call.await.unwrap().unwrap();
            assert_eq!(refused.status(), 401, "{ruled}");
            assert_eq!(complete.load(Ordering::SeqCst), 0, "{ruled}");
        }
    }
}
