//! Stopping in order.
//!
//! 1. SIGTERM or SIGINT: readiness turns off at once, and gRPC health says NOT_SERVING. Everything else goes on for
//!    `shutdown.delay`: load balancers need a while to notice, and what they still send is served.
//! 2. The drain begins: listeners close, standing streams are told to end.
//! 3. What is in flight has `shutdown.deadline` to finish; a second signal, or the deadline, ends that.
//! 4. Then the store is closed and telemetry flushed.

use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// How long the steps take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From the signal until listeners close.
    pub(crate) delay: Duration,
    /// From then until what is in flight is dropped.
    pub(crate) deadline: Duration,
}

/// The steps of stopping, for whoever must know of them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drain {
    told: CancellationToken,
    begun: CancellationToken,
    over: CancellationToken,
}

impl Drain {
    /// Begins at SIGTERM or SIGINT.
    pub(crate) fn on_signals(pace: Pace) -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(Error::because("cannot listen for signals"));
        let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let drain = Self::default();
        let signals = stream::select(
            stream::poll_fn(move |cx| terminate.poll_recv(cx).map(|came| came.map(|()| "SIGTERM"))),
            stream::poll_fn(move |cx| interrupt.poll_recv(cx).map(|came| came.map(|()| "SIGINT"))),
        );
        tokio::spawn(drain.clone().run(pace, signals));
        Ok(drain)
    }

    /// Goes through the steps. `signals` never ends.
    async fn run(self, pace: Pace, mut signals: impl Stream<Item = &'static str> + Unpin) {
        let told = tokio::select! {
            Some(signal) = signals.next() => signal,
            // Nobody sends anything more to a part that has ended: so no delay.
            () = self.begun.cancelled() => "another part of the process",
        };
        self.told.cancel();
        if !pace.delay.is_zero() && !self.begun.is_cancelled() {
            tracing::info!(event = "stopping", signal = told, delay = ?pace.delay, "stopping: not ready any more, and still accepting");
        }
        let again = async {
            tokio::select! {
                () = tokio::time::sleep(pace.delay) => {}
                () = self.begun.cancelled() => {}
            }
            self.begun.cancel();
            tracing::info!(event = "draining", signal = told, "stopping: finishing what is in flight");
            tokio::time::sleep(pace.deadline).await;
        };
        tokio::select! {
            Some(_) = signals.next() => tracing::warn!("told to stop again: stopping now"),
            () = again => {}
        }
        self.begun.cancel();
        self.over.cancel();
    }

    /// Begins it from within: a part that the process cannot do without has ended.
    pub(crate) fn begin(&self) {
        self.told.cancel();
        self.begun.cancel();
    }

    /// Whether the process was told to stop: it is not ready any more.
    pub(crate) fn was_told(&self) -> bool {
        self.told.is_cancelled()
    }

    /// Waits until the process is told to stop.
    pub(crate) async fn told(self) {
        self.told.cancelled().await;
    }

    /// Waits until nothing more is accepted.
    pub(crate) async fn begun(self) {
        self.begun.cancelled().await;
    }

    /// Waits until nothing may be in flight any more.
    pub(crate) async fn over(self) {
        self.over.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt as _;
    use tokio::{sync::mpsc, time::Instant};
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    const PACE: Pace = Pace { delay: Duration::from_secs(7), deadline: Duration::from_secs(10) };

    /// Where the steps are, by seconds from the first signal; a second signal comes at `again`.
    async fn steps(pace: Pace, again: Option<u64>) -> (u64, u64, u64) {
        let (send, signals) = mpsc::channel(2);
        let drain = Drain::default();
        let run = tokio::spawn(drain.clone().run(pace, ReceiverStream::new(signals)));
        assert!(!drain.was_told());
        let start = Instant::now();
        send.send("SIGTERM").await.unwrap();
        let second = async {
            if let Some(again) = again {
                tokio::time::sleep(Duration::from_secs(again)).await;
                send.send("SIGTERM").await.unwrap();
            }
        };
        let at = async |step: &mut (dyn Future<Output = ()> + Unpin)| {
            step.await;
            start.elapsed().as_secs()
        };
        let (mut told, mut begun, mut over) =
            (pin!(drain.clone().told()), pin!(drain.clone().begun()), pin!(drain.clone().over()));
        let ((), told, begun, over) = tokio::join!(second, at(&mut told), at(&mut begun), at(&mut over));
        run.await.unwrap();
        assert!(drain.was_told() && drain.clone().begun().now_or_never().is_some());
        (told, begun, over)
    }

    #[tokio::test(start_paused = true)]
    async fn the_steps_follow_the_pace_and_a_second_signal_ends_them() {
        assert_eq!(steps(PACE, None).await, (0, 7, 17));
        assert_eq!(steps(PACE, Some(3)).await, (0, 3, 3), "in the delay");
        assert_eq!(steps(PACE, Some(9)).await, (0, 7, 9), "in the drain");
        assert_eq!(steps(Pace { delay: Duration::ZERO, ..PACE }, None).await, (0, 0, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_ended_is_not_waited_for() {
        let drain = Drain::default();
        let start = Instant::now();
        let run = tokio::spawn(drain.clone().run(PACE, stream::pending()));
        drain.begin();
        assert!(drain.was_told());
        run.await.unwrap();
        assert_eq!(start.elapsed(), PACE.deadline);
    }
}
