//! The form of a log line.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::LogFormat;

/// The layer that writes log lines to `writer`, which is a terminal or not.
pub(crate) fn lines<S, W>(format: LogFormat, is_terminal: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(is_terminal);
    let json = match format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    if json {
        layer
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .map_event_format(WithTraceIds)
            .boxed()
    } else {
        layer.compact().boxed()
    }
}

/// A JSON line with the ids of the exported span it was logged in, so that logs and traces can be joined.
struct WithTraceIds<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithTraceIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // The OpenTelemetry crates log while they hold the very cell that the current context is read from.
        if event.metadata().target().starts_with("opentelemetry") {
            return self.0.format_event(ctx, writer, event);
        }
        let span = opentelemetry::Context::map_current(|context| context.span().span_context().clone());
        if !span.is_valid() {
            return self.0.format_event(ctx, writer, event);
        }
        let mut line = String::with_capacity(256);
        self.0.format_event(ctx, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(open) => {
                writeln!(writer, r#"{open},"trace_id":"{}","span_id":"{}"}}"#, span.trace_id(), span.span_id())
            }
            None => writer.write_str(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, is_terminal: bool, traced: bool) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let provider = SdkTracerProvider::builder().build();
        let otel = traced.then(|| tracing_opentelemetry::layer().with_tracer(provider.tracer("test")));
        let subscriber = tracing_subscriber::registry().with(otel).with(lines(
            format,
            is_terminal,
            Mutex::new(io::LineWriter::new(writer)),
        ));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("work", step = 1);
            span.in_scope(|| tracing::info!(answer = 42, "done"));
        });
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_lines_are_flat_and_carry_the_ids_of_the_span() {
        let line: Value = serde_json::from_str(&logged(LogFormat::Auto, false, true)).unwrap();
        assert_eq!(line["message"], "done");
        assert_eq!(line["answer"], 42);
        assert_eq!(line["span"]["name"], "work");
        assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
        assert_eq!(line["span_id"].as_str().unwrap().len(), 16);
    }

    #[test]
    fn without_traces_there_are_no_ids() {
        let line: Value = serde_json::from_str(&logged(LogFormat::Json, true, false)).unwrap();
        assert_eq!(line["message"], "done");
        assert_eq!(line.get("trace_id"), None);
    }

    #[test]
    fn a_terminal_gets_a_line_for_people() {
        assert!(serde_json::from_str::<Value>(&logged(LogFormat::Auto, true, true)).is_err());
        assert!(logged(LogFormat::Pretty, false, false).contains("done answer=42"));
    }
}
