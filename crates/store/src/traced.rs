//! A span around every call of a store. It knows kinds, numbers and outcomes; never a key or a value.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tracing::{Instrument as _, Span, field, info_span};

use crate::{
    Announcement, Batch, CommitOutcome, Index, IndexPage, Key, Precondition, Snapshot, Store, StoreError, Timestamp,
};

/// Any store, traced.
#[derive(Debug, Clone)]
pub struct Traced<S> {
    store: S,
    system: &'static str,
}

impl<S> Traced<S> {
    /// `system` is what OpenTelemetry calls `db.system.name`.
    pub fn new(store: S, system: &'static str) -> Self {
        Self { store, system }
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

async fn run<T>(
    span: Span,
    call: impl Future<Output = Result<T, StoreError>>,
    outcome: impl FnOnce(&T) -> &'static str,
) -> Result<T, StoreError> {
    let answer = call.instrument(span.clone()).await;
    match &answer {
        Ok(answer) => span.record("outcome", outcome(answer)),
        Err(_) => span.record("outcome", "error").record("otel.status_code", "ERROR"),
    };
    answer
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
        run(span, self.store.get(keys), |_| "read").await
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
        run(span, self.store.commit(batch), outcome).await
    }

    async fn index_add(&self, index: &Index, member: &str, expires_at: Option<Timestamp>) -> Result<(), StoreError> {
        run(self.index_span("add"), self.store.index_add(index, member, expires_at), |()| "added").await
    }

    async fn index_remove(&self, index: &Index, member: &str) -> Result<(), StoreError> {
        run(self.index_span("remove"), self.store.index_remove(index, member), |()| "removed").await
    }

    async fn index_list(&self, index: &Index, after: Option<&str>, limit: usize) -> Result<IndexPage, StoreError> {
        run(self.index_span("list"), self.store.index_list(index, after, limit), |_| "listed").await
    }

    async fn watch(&self) -> Result<BoxStream<'static, Result<Announcement, StoreError>>, StoreError> {
        self.store.watch().await
    }

    async fn ping(&self) -> Result<Duration, StoreError> {
        self.store.ping().await
    }
}
