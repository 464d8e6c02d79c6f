//! What every store must do, as one suite with a driven clock.
//!
//! A backend's test
//!
//! 1. implements [`Harness`]: how to open handles on one empty set of data, and how to move its clock;
//! 2. names a maker of harnesses in [`conformance!`], which generates one `#[tokio::test]` per property:
//!
//! ```ignore
//! async fn harness() -> MyHarness { .. }
//! grantd_store_testkit::conformance!(harness);
//! ```
//!
//! A property is an async function that opens what it needs and answers [`Verdict`]; [`for_each_property!`] is the one
//! list of them. What a backend does beyond the trait (files, modes, outages, times to live) is tested by the backend.
//!
//! **Clocks.** A backend's clock may be fully driven (embedded) or run on while the suite moves it (Redis). So no
//! property asserts that time stands still: what must be alive has at least half a minute to go, and what must be gone
//! expired at the moment the clock was moved to, or before. With a fully driven clock that is the exact boundary.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use grantd_store::{Store, StoreError};

mod check;
pub mod properties;

/// How the suite gets at a backend. One harness is one set of data, empty at first.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A handle on the data of this harness. A second call yields a second handle on the same data, by a connection of
    /// its own where the backend has such a thing.
    async fn open(&self) -> Arc<dyn Store>;

    /// Moves the store's clock forward, for every handle.
    fn advance(&self, by: Duration);
}

/// What a property found.
pub type Verdict = Result<(), Failure>;

/// Where a store departed from what it must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(format!("the store failed: {error}"))
    }
}

/// Calls the macro `$then` with `$arg` and the name of every property of [`properties`].
#[macro_export]
macro_rules! for_each_property {
    ($then:path, $arg:tt) => {
        $then! { $arg
            an_absent_record_is_none
            an_expired_record_is_not_read
            an_expired_record_counts_as_absent
            an_expired_record_has_no_version
            a_new_expiry_replaces_the_old
            what_expires_in_the_past_is_never_seen
            the_last_moment_of_time_is_a_valid_expiry
            now_follows_the_clock
            the_version_is_the_id_of_the_commit
            absent_holds_only_for_absent_records
            one_failing_precondition_stops_everything
            puts_and_deletes_happen_together
            a_key_deleted_and_put_is_put
            deletes_need_no_puts
            no_preconditions_always_hold
            a_resent_commit_is_committed_once
            a_resent_commit_does_not_undo_what_came_after
            a_resent_commit_deletes_nothing_new
            a_resend_after_its_first_put_was_overwritten_conflicts
            a_resend_after_its_first_put_was_deleted_conflicts
            a_resend_after_its_first_put_expired_is_a_new_commit
            a_resend_of_deletes_is_judged_by_its_preconditions
            one_of_many_writers_wins
            no_increment_is_lost
            concurrent_resends_all_succeed
            readers_never_see_half_a_commit
            two_slots_in_a_batch_are_misuse
            many_keys_keep_their_order
            values_are_any_bytes
            a_large_value_is_kept
            keys_are_any_text
            a_second_handle_sees_the_same_records
            an_index_lists_in_order
            an_index_forgets_what_is_removed
            an_index_member_expires
            an_index_member_is_renewed
            an_index_is_listed_in_pages
            an_index_pages_past_expired_members
            indexes_are_apart
            a_watcher_hears_what_was_committed
            a_watcher_of_another_handle_hears_it_too
            a_watcher_hears_nothing_of_a_conflict
            a_watcher_hears_a_resend_again
            a_watcher_hears_nothing_from_before
            announcements_alone_are_a_batch
            a_ping_is_answered
        }
    };
}

/// One `#[tokio::test]` per property. `$make` is an `async fn() -> impl Harness`.
#[macro_export]
macro_rules! conformance {
    ($make:ident) => {
        $crate::for_each_property! { $crate::conformance_tests, $make }
    };
}

/// A part of [`conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_tests {
    ($make:ident $($property:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $property() {
                let harness = $make().await;
                if let Err(failure) = $crate::properties::$property(&harness).await {
                    panic!("{failure}");
                }
            }
        )*
    };
}
