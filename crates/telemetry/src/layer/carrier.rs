//! `traceparent`, in and out of request headers.
//!
//! `tracestate` is neither read nor written: W3C Trace Context allows dropping it, and it would put a peer's free text
//! into our traces.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::global::get_text_map_propagator;
use opentelemetry::propagation::{Extractor, Injector};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Makes the caller's span the parent of `span`, if the request names one.
pub(super) fn adopt(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() || !headers.contains_key(&TRACEPARENT) {
        return;
    }
    let parent = get_text_map_propagator(|propagator| propagator.extract(&Incoming(headers)));
    // The only refusal possible here is that spans are not exported.
    let _ = span.set_parent(parent);
}

/// Names `span`, or the current one if it is filtered out, as the parent of what the receiver does.
pub(super) fn hand_over(span: &Span, headers: &mut HeaderMap) {
    let context = if span.is_disabled() { Span::current().context() } else { span.context() };
    get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut Outgoing(headers)));
}

struct Incoming<'a>(&'a HeaderMap);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key == TRACEPARENT { self.0.get(&TRACEPARENT)?.to_str().ok() } else { None }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT.as_str()]
    }
}

struct Outgoing<'a>(&'a mut HeaderMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            self.0.insert(TRACEPARENT.clone(), value);
        }
    }
}
