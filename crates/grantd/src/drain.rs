//! Stopping in order.
//!
//! 1. SIGTERM or SIGINT begins the drain: listeners close, readiness turns off, streams are told to end.
//! 2. What is in flight has [`DEADLINE`] to finish; a second signal, or the deadline, ends that.
//! 3. Then the store is closed and telemetry flushed.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// How long requests in flight may take once the process was told to stop. Below Kubernetes' 30 s.
const DEADLINE: Duration = Duration::from_secs(10);

/// The two steps of stopping, for whoever must know of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drain {
    begun: CancellationToken,
    over: CancellationToken,
}

impl Drain {
    /// Begins at SIGTERM or SIGINT.
    pub(crate) fn on_signals() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(Error::because("cannot listen for signals"));
        let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let drain = Self::default();
        let begin = drain.clone();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                }
            };
            let signal = tokio::select! {
                signal = next() => signal,
                () = begin.begun.cancelled() => "another part of the process",
            };
            tracing::info!(signal, "stopping: finishing what is in flight");
            begin.begun.cancel();
            tokio::select! {
                _ = next() => tracing::warn!("told to stop again: stopping now"),
                () = tokio::time::sleep(DEADLINE) => {}
            }
            begin.over.cancel();
        });
        Ok(drain)
    }

    /// Begins it from within: a part that the process cannot do without has ended.
    pub(crate) fn begin(&self) {
        self.begun.cancel();
    }

    /// Whether it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Waits until it begins.
    pub(crate) async fn begun(self) {
        self.begun.cancelled().await;
    }

    /// Waits until nothing may be in flight any more.
    pub(crate) async fn over(self) {
        self.over.cancelled().await;
    }
}
