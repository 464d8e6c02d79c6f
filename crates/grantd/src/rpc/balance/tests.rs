//! Real token services' ports with a small gRPC server behind each, and a resolver that says what the test likes.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use grantd_proto::{TokenServiceClient, Transport, TransportError, v1};
use http::Uri;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::Semaphore,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, server::NamedService, transport::Server};
use tower::{Service, ServiceExt as _};

use super::*;
use crate::rpc::dial;

/// A server that counts calls, and holds each until it is let go on.
struct Peer {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    go: Arc<Semaphore>,
    reporter: tonic_health::server::HealthReporter,
    /// Its own, so that it ends with all its connections when it is killed.
    runtime: Option<Runtime>,
}

/// What is at the path of TokenService.
#[derive(Clone)]
struct Counting {
    calls: Arc<AtomicUsize>,
    go: Arc<Semaphore>,
    answer: Code,
}

impl NamedService for Counting {
    const NAME: &'static str = "grantd.v1.TokenService";
}

impl Service<http::Request<Body>> for Counting {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, std::convert::Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            this.calls.fetch_add(1, Ordering::SeqCst);
            this.go.acquire().await.unwrap().forget();
            Ok(Status::new(this.answer, "the peer").into_http())
        })
    }
}

impl Peer {
    /// Answers everything with `answer`; a call of this contract never has it by itself.
    fn start(answer: Code) -> Self {
        Self::on(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
    }

    fn on(address: SocketAddr, answer: Code) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(10_000)));
        let (reporter, health) = tonic_health::server::health_reporter();
        let counting = Counting { calls: calls.clone(), go: go.clone(), answer };
        let server = Server::builder().add_service(health).add_service(counting);
        runtime.spawn(async move {
            let listener = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            server.serve_with_incoming(listener).await
        });
        Self { address, calls, go, reporter, runtime: Some(runtime) }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What names mean.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<SocketAddr>>>, Arc<AtomicUsize>);

impl Names {
    fn are(&self, addresses: &[SocketAddr]) {
        *self.0.lock().unwrap() = addresses.to_vec();
    }

    fn looked_up(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl Resolve for Names {
    async fn resolve(&self, host: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        assert_eq!(host, "tokens.example");
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(self.0.lock().unwrap().clone())
    }
}

fn balanced(names: &Names) -> (Balanced, TokenServiceClient) {
    let place = Place {
        host: "tokens.example".to_owned(),
        port: 1,
        origin: Uri::from_static("http://tokens.example"),
        name: Arc::new("tokens.example".try_into().unwrap()),
    };
    let connect = |place: &Place, address| {
        tonic::transport::Endpoint::from(place.origin.clone())
            .connect_with_connector_lazy(dial::connector(address, None))
    };
    let balanced = Balanced::start(vec![place], names.clone(), connect);
    (balanced.clone(), TokenServiceClient::new(Transport::new(balanced.map_err(TransportError::from))))
}

async fn call(client: &TokenServiceClient) -> Code {
    client.clone().get_client(v1::GetClientRequest::default()).await.unwrap_err().code()
}

/// Waits until something is so; whatever is waited for happens by itself, within a bound that is only patience.
async fn until(what: &str, so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn members(balanced: &Balanced) -> Vec<Arc<Member>> {
    balanced.members.borrow().as_ref().map(|known| known.to_vec()).unwrap_or_default()
}

/// A port where nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn calls_are_spread_and_go_where_fewest_are_under_way() {
    let (one, two) = (Peer::start(Code::DataLoss), Peer::start(Code::DataLoss));
    let names = Names::default();
    names.are(&[one.address, two.address]);
    let (_balanced, client) = balanced(&names);
    for _ in 0..20 {
        assert_eq!(call(&client).await, Code::DataLoss);
    }
    assert_eq!((one.calls(), two.calls()), (10, 10), "in turn");

    // One of them hangs, and it has its turn: what waits there is counted against it.
    one.go.forget_permits(20_000);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { call(&client).await }
    });
    until("a call hangs", || one.calls() == 11).await;
    for _ in 0..20 {
        assert_eq!(call(&client).await, Code::DataLoss);
    }
    assert_eq!(one.calls(), 11);
    one.go.add_permits(100);
    assert_eq!(waiting.await.unwrap(), Code::DataLoss);
}

#[tokio::test]
async fn who_is_dead_costs_no_call_and_is_used_again_when_back() {
    let alive = Peer::start(Code::DataLoss);
    let dead = nobody().await;
    let names = Names::default();
    names.are(&[dead, alive.address]);
    let (_balanced, client) = balanced(&names);
    for _ in 0..50 {
        assert_eq!(call(&client).await, Code::DataLoss);
    }
    assert_eq!(alive.calls(), 50);
    let back = Peer::on(dead, Code::DataLoss);
    while back.calls() == 0 {
        assert_eq!(call(&client).await, Code::DataLoss);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn who_says_that_it_stops_gets_no_more_calls() {
    let (stays, stops) = (Peer::start(Code::DataLoss), Peer::start(Code::DataLoss));
    let names = Names::default();
    names.are(&[stops.address, stays.address]);
    let (balanced, client) = balanced(&names);
    assert_eq!(call(&client).await, Code::DataLoss);
    let is_well = |at: usize| members(&balanced).get(at).is_some_and(|member| member.is_well());
    stops.reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    until("it is left", || !is_well(0)).await;
    let before = stops.calls();
    for _ in 0..10 {
        assert_eq!(call(&client).await, Code::DataLoss);
    }
    assert_eq!(stops.calls(), before);
    stops.reporter.set_service_status("", tonic_health::ServingStatus::Serving).await;
    until("it is used again", || is_well(0)).await;
    // Where nobody is well, one that is not is better than none.
    for peer in [&stays, &stops] {
        peer.reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    }
    until("nobody is well", || !is_well(0) && !is_well(1)).await;
    assert_eq!(call(&client).await, Code::DataLoss);
}

#[tokio::test]
async fn who_answers_that_it_cannot_is_left_alone_for_a_while() {
    let (able, unable) = (Peer::start(Code::DataLoss), Peer::start(Code::Unavailable));
    let names = Names::default();
    names.are(&[unable.address, able.address]);
    let (_balanced, client) = balanced(&names);
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(call(&client).await == Code::Unavailable);
    }
    assert_eq!((refused, unable.calls(), able.calls()), (1, 1, 19));
}

#[tokio::test]
async fn addresses_come_and_go_and_what_is_under_way_is_finished() {
    let (one, two) = (Peer::start(Code::DataLoss), Peer::start(Code::DataLoss));
    let names = Names::default();
    names.are(&[one.address]);
    let (balanced, client) = balanced(&names);
    assert_eq!(call(&client).await, Code::DataLoss);
    one.go.forget_permits(20_000);
    let under_way = tokio::spawn({
        let client = client.clone();
        async move { call(&client).await }
    });
    until("it is under way", || one.calls() == 2).await;
    let kept = members(&balanced).swap_remove(0);

    names.are(&[one.address, two.address]);
    balanced.look.notify_one();
    until("the second is found", || members(&balanced).len() == 2).await;
    assert!(members(&balanced).iter().any(|member| Arc::ptr_eq(member, &kept)), "who stays keeps its connection");
    drop(kept);
    names.are(&[two.address]);
    balanced.look.notify_one();
    until("the first is forgotten", || members(&balanced).len() == 1).await;
    for _ in 0..5 {
        assert_eq!(call(&client).await, Code::DataLoss);
    }
    assert_eq!((one.calls(), two.calls()), (2, 5));
    one.go.add_permits(1);
    assert_eq!(under_way.await.unwrap(), Code::DataLoss, "it was finished where it began");

    // An answer that is missing takes nobody away.
    let before = names.looked_up();
    names.are(&[]);
    balanced.look.notify_one();
    until("it was looked up", || names.looked_up() > before).await;
    assert_eq!(call(&client).await, Code::DataLoss);
}

#[tokio::test]
async fn a_single_address_is_asked_whatever_it_says_and_looked_up_again_when_it_is_gone() {
    let one = Peer::start(Code::Unavailable);
    let names = Names::default();
    names.are(&[one.address]);
    let (_balanced, client) = balanced(&names);
    for _ in 0..5 {
        assert_eq!(call(&client).await, Code::Unavailable);
    }
    assert_eq!(one.calls(), 5);
    drop(one);
    let moved = Peer::start(Code::DataLoss);
    names.are(&[moved.address]);
    // The name is looked up because nobody is there, long before its time.
    let moving = async {
        while call(&client).await != Code::DataLoss {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(4), moving).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let names = Names::default();
    let (_balanced, client) = balanced(&names);
    assert_eq!(call(&client).await, Code::Unavailable, "no address");
    let names = Names::default();
    names.are(&[nobody().await, nobody().await]);
    let (_balanced, client) = self::balanced(&names);
    let asked = tokio::time::timeout(Duration::from_secs(1), call(&client)).await;
    assert_eq!(asked.unwrap(), Code::Unavailable, "all refuse");
}
