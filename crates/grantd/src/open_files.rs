//! How many files the process may have open: every connection is one, and one more where it is passed on to an upstream.
//!
//! The limit that a shell or a service manager sets first is low (1024) for programs that use `select`; what a process may
//! raise it to is usually enough.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For the store, the listeners, TLS files, and connections of our own.
const OTHERS: u64 = 256;

/// Raises the limit to what `connections` need, or says what is missing.
pub(crate) fn allow(connections: usize) {
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let wanted = needed.saturating_mul(2);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(now) = current.filter(|now| *now < wanted) else { return };
    let most = maximum.map_or(wanted, |maximum| wanted.min(maximum));
    let raised = Rlimit { current: Some(most), maximum };
    let reached = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => most,
        Err(_) => now,
    };
    if reached < needed {
        tracing::warn!(
            limit = reached,
            needed,
            "this process may open too few files for http.max_connections = {connections}; raise its limit \
             (LimitNOFILE=, ulimit -n), or lower http.max_connections"
        );
    }
}
