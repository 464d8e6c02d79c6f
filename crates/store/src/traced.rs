//! A span around every call of a store, and how long it took (`db.client.operation.duration`). Both know kinds, numbers and
//! outcomes; never a key or a value.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use opentelemetry::{KeyValue, global, metrics::Histogram};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, field, info_span};

use crate::{
    Announcement, Batch, CommitOutcome, Index, IndexPage, Key, Precondition, Snapshot, Store, StoreError, Timestamp,
};

/// From a read of a cached page to a commit that waits for a replica.
const SECONDS: [f64; 12] = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Any store, traced and measured.
#[derive(Debug, Clone)]
pub struct Traced<S> {
    store: S,
    system: &'static str,
    duration: Histogram<f64>,
}

impl<S> Traced<S> {
    /// `system` is what OpenTelemetry calls `db.system.name`.
    pub fn new(store: S, system: &'static str) -> Self {
        let duration = global::meter("grantd")
            .f64_histogram("db.client.operation.duration")
            .with_unit("s")
            .with_description("How long calls of the store take")
            .with_boundaries(SECONDS.to_vec())
            .build();
        Self { store, system, duration }
    }

    fn index_span(&self, operation: &'static str) -> Span {
        info_span!(
            "store.index",
            otel.kind = "client",
            otel.status_code = field::Empty,
            db.system.name = self.system,
            db.operation.name = operation,
            outcome = field::Empty,
        )
    }
}

impl<S> Traced<S> {
    async fn run<T>(
        &self,
        span: Span,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
        outcome: impl FnOnce(&T) -> &'static str,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let answer = call.instrument(span.clone()).await;
        let outcome = answer.as_ref().map_or("error", outcome);
        span.record("outcome", outcome);
        if answer.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        let labels = [
            KeyValue::new("db.operation.name", operation),
            KeyValue::new("db.system.name", self.system),
            KeyValue::new("outcome", outcome),
        ];
        self.duration.record(began.elapsed().as_secs_f64(), &labels);
        answer
    }
}

/// What a batch is about: the kind of the first record that it names.
fn kind(batch: &Batch) -> &str {
    let checked = batch.preconditions.first().map(Precondition::key);
    batch.puts.first().map(|put| &put.key).or(batch.deletes.first()).or(checked).map(Key::kind).unwrap_or_default()
}

#[async_trait]
impl<S: Store> Store for Traced<S> {
    async fn get(&self, keys: &[Key]) -> Result<Snapshot, StoreError> {
        let span = info_span!(
            "store.get",
            otel.kind = "client",
            otel.status_code = field::Empty,
            db.system.name = self.system,
            kind = keys.first().map(Key::kind).unwrap_or_default(),
            keys = keys.len(),
            outcome = field::Empty,
        );
        self.run(span, "get", self.store.get(keys), |_| "read").await
    }

    async fn commit(&self, batch: Batch) -> Result<CommitOutcome, StoreError> {
        let span = info_span!(
            "store.commit",
            otel.kind = "client",
            otel.status_code = field::Empty,
            db.system.name = self.system,
            kind = kind(&batch),
            preconditions = batch.preconditions.len(),
            puts = batch.puts.len(),
            deletes = batch.deletes.len(),
            outcome = field::Empty,
        );
        let outcome = |outcome: &CommitOutcome| match outcome {
            CommitOutcome::Committed => "committed",
            CommitOutcome::Conflict => "conflict",
        };
        self.run(span, "commit", self.store.commit(batch), outcome).await
    }

    async fn index_add(&self, index: &Index, member: &str, expires_at: Option<Timestamp>) -> Result<(), StoreError> {
        self.run(self.index_span("add"), "index_add", self.store.index_add(index, member, expires_at), |()| "added")
            .await
    }

    async fn index_remove(&self, index: &Index, member: &str) -> Result<(), StoreError> {
        self.run(self.index_span("remove"), "index_remove", self.store.index_remove(index, member), |()| "removed")
            .await
    }

    async fn index_list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<IndexPage, StoreError> {
        self.run(self.index_span("list"), "index_list", self.store.index_list(index, after, limit), |_| "listed").await
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError> {
        self.store.watch().await
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        self.store.ping().await
    }
}
