//! What the gate counts, for whoever runs it.
//!
//! Plain numbers, one for each thing that can happen, which are read when somebody asks: a bearer check that is answered from
//! the cache adds one to one of them, and takes no lock and no memory for it. Labels are words of this file.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use opentelemetry::{KeyValue, global};

use crate::Inner;

/// Makes an enum whose variants have labels, and knows them all.
macro_rules! counted {
    ($(#[$doc:meta])* $name:ident { $($variant:ident: $labels:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($variant),+ }

        impl $name {
            const ALL: [(Self, &'static [(&'static str, &'static str)]); [$(Self::$variant),+].len()] =
                [$((Self::$variant, &$labels)),+];
        }
    };
}

counted! {
    /// How a bearer check ended.
    Check {
        Cached: [("result", "allowed"), ("reason", "cached")],
        Asked: [("result", "allowed"), ("reason", "asked")],
        NoToken: [("result", "refused"), ("reason", "no_token")],
        SeveralTokens: [("result", "refused"), ("reason", "several_tokens")],
        Malformed: [("result", "refused"), ("reason", "malformed")],
        Inactive: [("result", "refused"), ("reason", "inactive")],
        WrongResource: [("result", "refused"), ("reason", "wrong_resource")],
        InsufficientScope: [("result", "refused"), ("reason", "insufficient_scope")],
        Origin: [("result", "refused"), ("reason", "origin")],
        Unavailable: [("result", "failed"), ("reason", "unavailable")],
        Overloaded: [("result", "failed"), ("reason", "overloaded")],
    }
}

counted! {
    /// Why a call was refused whose token is good.
    Refusal {
        Scope: [("reason", "insufficient_scope")],
        Message: [("reason", "message")],
        Session: [("reason", "foreign_session")],
        TakenBack: [("reason", "taken_back")],
    }
}

counted! {
    /// What an announcement was about.
    Announced {
        Grant: [("about", "grant")],
        Subject: [("about", "subject")],
        Client: [("about", "client")],
        Superseded: [("about", "superseded_token")],
        Changed: [("about", "changed_person")],
    }
}

/// The numbers.
#[derive(Default)]
pub(crate) struct Metrics {
    checks: [AtomicU64; Check::ALL.len()],
    refusals: [AtomicU64; Refusal::ALL.len()],
    announced: [AtomicU64; Announced::ALL.len()],
    /// Streams of announcements that broke.
    gaps: AtomicU64,
    /// Questions that were asked again.
    retried: AtomicU64,
    /// Calls that a revocation cut.
    cut: AtomicU64,
    /// Event streams that are open.
    streams: AtomicU64,
}

fn add(numbers: &[AtomicU64], at: usize, more: u64) {
    if let Some(number) = numbers.get(at) {
        number.fetch_add(more, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn checked(&self, check: Check) {
        add(&self.checks, check as usize, 1);
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        add(&self.refusals, refusal as usize, 1);
    }

    pub(crate) fn announced(&self, about: Announced) {
        add(&self.announced, about as usize, 1);
    }

    pub(crate) fn gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn cut(&self, calls: u64) {
        self.cut.fetch_add(calls, Ordering::Relaxed);
    }

    pub(crate) fn stream_opened(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stream_closed(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says the numbers whenever somebody asks. What was counted is said once more when all else has ended, and is flushed.
pub(crate) fn watch(gate: &Arc<Inner>) {
    let meter = global::meter("grantd");
    let labels = |all: &[(&'static str, &'static str)]| -> Vec<KeyValue> {
        all.iter().map(|(name, word)| KeyValue::new(*name, *word)).collect()
    };
    macro_rules! by_label {
        ($name:literal, $text:literal, $kind:ident, $numbers:ident) => {{
            let labels: Vec<_> = $kind::ALL.iter().map(|(_, words)| labels(words)).collect();
            let metrics = gate.metrics.clone();
            let counter = meter.u64_observable_counter($name).with_description($text);
            let _ = counter
                .with_callback(move |observer| {
                    for (number, labels) in metrics.$numbers.iter().zip(&labels) {
                        observer.observe(number.load(Ordering::Relaxed), labels);
                    }
                })
                .build();
        }};
    }
    macro_rules! counter {
        ($name:literal, $text:literal, $number:ident) => {{
            let metrics = gate.metrics.clone();
            let counter = meter.u64_observable_counter($name).with_description($text);
            let _ = counter
                .with_callback(move |observer| observer.observe(metrics.$number.load(Ordering::Relaxed), &[]))
                .build();
        }};
    }
    macro_rules! gauge {
        ($name:literal, $text:literal, $read:expr) => {{
            let gate = Arc::downgrade(gate);
            let read: fn(&Inner) -> u64 = $read;
            let gauge = meter.u64_observable_gauge($name).with_description($text);
            let _ = gauge
                .with_callback(move |observer| {
                    if let Some(gate) = gate.upgrade() {
                        observer.observe(read(&gate), &[]);
                    }
                })
                .build();
        }};
    }
    by_label!("grantd.gate.checks", "Bearer checks, by how they ended", Check, checks);
    by_label!("grantd.gate.calls.refused", "Calls refused whose token is good", Refusal, refusals);
    by_label!("grantd.gate.announcements", "Announcements heard, by what they are about", Announced, announced);
    counter!("grantd.gate.announcement.gaps", "Streams of announcements that broke", gaps);
    counter!("grantd.gate.questions.retried", "Questions that were asked again", retried);
    counter!("grantd.gate.calls.cut", "Calls and streams that a revocation cut", cut);
    gauge!("grantd.gate.streams", "Event streams that are open", |gate| gate.metrics.streams.load(Ordering::Relaxed));
    gauge!("grantd.gate.calls", "Calls let in that have not ended, streams included", |gate| gate.streams.len() as u64);
    gauge!("grantd.gate.questions", "Questions about tokens that are under way", |gate| {
        (gate.config.max_calls - gate.calls.available_permits()) as u64
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_number_and_a_name_of_its_own() {
        for (at, (check, labels)) in Check::ALL.iter().enumerate() {
            assert_eq!(*check as usize, at);
            assert_eq!(Check::ALL.iter().filter(|(_, other)| other == labels).count(), 1, "{labels:?}");
        }
        let metrics = Metrics::default();
        metrics.checked(Check::Overloaded);
        assert_eq!(metrics.checks[Check::Overloaded as usize].load(Ordering::Relaxed), 1);
    }
}
