//! How often something may be tried, by whom.
//!
//! Kept in this process: with several, each allows as much. An IPv6 client is its /64, which is what one subscriber has.
//! Who is refused waits; nobody is locked out.

use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// How many tries pass between looks for keys that may be forgotten.
const SWEEP: u32 = 1000;

/// Tries by key.
pub(crate) struct Limit<K: Hash + Eq + Clone> {
    limiter: DefaultKeyedRateLimiter<K>,
    tries: AtomicU32,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    /// `burst` at once, then one in every `period`.
    pub(crate) fn new(burst: u32, period: Duration) -> Self {
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(period).map_or(Quota::per_minute(burst), |quota| quota.allow_burst(burst));
        Self { limiter: RateLimiter::keyed(quota), tries: AtomicU32::new(0) }
    }

    /// Counts a try; whether it may go on.
    pub(crate) fn admits(&self, key: &K) -> bool {
        // Forgets who has been quiet long enough to be new again, before the table grows large.
        if self.tries.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).is_ok()
    }
}

/// Who an address stands for, for a limit.
pub(crate) fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
        Ok(ip) => ip.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_is_its_subscription() {
        for (address, stands_for) in [
            ("203.0.113.9", "203.0.113.9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("", ""),
            ("somewhere", "somewhere"),
        ] {
            assert_eq!(network(address), stands_for);
        }
    }

    #[test]
    fn a_burst_passes_and_one_key_is_not_another() {
        let limit = Limit::new(3, Duration::from_secs(3600));
        assert_eq!([0; 5].map(|_| limit.admits(&"a")), [true, true, true, false, false]);
        assert!(limit.admits(&"b"));
    }
}
