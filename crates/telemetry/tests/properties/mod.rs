//! What holds for every request, whatever trace it claims to be part of. Shared with the fuzz target, which includes this
//! file by its path.

use std::{
    convert::Infallible,
    future::ready,
    sync::OnceLock,
    task::{Context, Waker},
};

use grantd_telemetry::{GrpcClientTrace, HttpServerTrace};
use http::{HeaderMap, HeaderValue, Request, Response};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tower::{Service as _, ServiceBuilder};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

/// The input is the `traceparent` headers of a request, a line each. What goes out of the process then is looked at.
pub(crate) fn traceparent(input: &[u8]) {
    let values: Vec<HeaderValue> =
        input.split(|b| *b == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let out = tracing::dispatcher::with_default(subscriber(), || hop(&values));
    let sent: Vec<_> = out.get_all("traceparent").iter().collect();
    assert_eq!(sent.len(), 1, "{out:?}");
    assert!(!out.contains_key("tracestate"));
    let [trace, span, flags] = parts(sent[0].as_bytes()).expect("ours is well formed");
    assert!(matches!(flags, "00" | "01"), "{sent:?}");
    match values.first().and_then(|value| parts(value.as_bytes())) {
        // The caller's trace goes on, in a span of its own.
        Some([theirs, parent, _]) => assert!(trace == theirs && span != parent, "{values:?} {sent:?}"),
        None => assert!(!values.iter().any(|value| value == sent[0])),
    }
}

/// The headers of a call that is made while a request is served.
fn hop(values: &[HeaderValue]) -> HeaderMap {
    let mut out = HeaderMap::new();
    let mut calls =
        ServiceBuilder::new().layer(HttpServerTrace).layer(GrpcClientTrace).service_fn(|request: Request<()>| {
            out = request.into_parts().0.headers;
            ready(Ok::<_, Infallible>(Response::new(())))
        });
    let mut request = Request::new(());
    for value in values {
        request.headers_mut().append("traceparent", value.clone());
    }
    let answer = std::pin::pin!(calls.call(request));
    assert!(answer.poll(&mut Context::from_waker(Waker::noop())).is_ready());
    out
}

/// Trace, span and flags of what W3C Trace Context §3.2 calls a valid header of version 00.
fn parts(value: &[u8]) -> Option<[&str; 3]> {
    let text = std::str::from_utf8(value).ok()?;
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { return None };
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    };
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    let valid = version == "00" && hex(trace, 32) && !zero(trace) && hex(span, 16) && !zero(span) && hex(flags, 2);
    valid.then_some([trace, span, flags])
}

/// Spans as in a process that exports them, without the export.
fn subscriber() -> &'static Dispatch {
    static SUBSCRIBER: OnceLock<Dispatch> = OnceLock::new();
    SUBSCRIBER.get_or_init(|| {
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        Dispatch::new(tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer)))
    })
}
