//! The conformance suite of the store ports: what every store and every decorator of one must do.
//!
//! A backend's whole test file is a [`Bench`] and one line, `kode_testkit::store_suite!(MyBench::new());`, which
//! makes one test of each case. The cases know nothing of any backend, and none of them waits, but for the end of a
//! lease where the store's own clock counts.
//!
//! ```
//! use kode_core::store::memory::MemoryStore;
//! use kode_testkit::store_suite::Bench;
//!
//! #[derive(Default)]
//! struct Memory(MemoryStore);
//!
//! #[async_trait::async_trait]
//! impl Bench for Memory {
//!     type Store = MemoryStore;
//!     async fn open(&self) -> MemoryStore {
//!         self.0.clone()
//!     }
//! }
//!
//! mod conformance {
//!     use super::*;
//!     kode_testkit::store_suite!(Memory::default());
//! }
//! # fn main() {}
//! ```

use async_trait::async_trait;
use kode_core::store::Store;

pub mod blobs;
pub mod catalog;
pub mod checkpoints;
pub mod elision;
pub mod epochs;
pub mod facts;
pub mod journal;
pub mod leases;
pub mod nodes;
pub mod pen;
pub mod reading;
pub mod script;
pub mod time;
pub mod wakes;

pub use time::Clock;

/// Where a case gets its store: each bench is one store, empty at first.
#[async_trait]
pub trait Bench: Send + Sync {
    /// The store under test.
    type Store: Store;

    /// Opens the bench's store. A second call comes after the first store was dropped, and opens what the
    /// death of its process would have left.
    async fn open(&self) -> Self::Store;

    /// Takes from the closed store everything that a power loss may take, and says whether the bench can do
    /// that at all. Without it the cases about power test the death of the process alone.
    async fn power_cut(&self) -> bool {
        false
    }

    /// Whose clock says when a lease has ended.
    fn clock(&self) -> Clock {
        Clock::Callers
    }
}

/// Runs one case. For [`crate::store_suite!`].
pub fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be built").block_on(case);
}

/// Makes one test of each case of the suite; `$bench` is an expression, of names in scope, that gives a fresh [`store_suite::Bench`]
/// each time; one that its machine may lack is an `Option` with a `?` behind, such as `MyBench::start()?`.
/// Where a bench takes long to come about, one test runs all cases on what they share, with `one by one` before it.
///
/// [`store_suite::Bench`]: crate::store_suite::Bench
#[macro_export]
macro_rules! store_suite {
    ($bench:expr) => {
        $crate::store_suite!(@list room, $bench);
    };
    (one by one $bench:expr) => {
        $crate::store_suite!(@list run, $bench);
    };
    (@list $way:ident, $bench:expr) => {
        $crate::store_suite!(@$way journal, $bench, [
            every_kind_of_fact_comes_back_as_it_was,
            falsy_results_nul_and_unicode_come_back,
            batches_follow_each_other_without_a_gap,
            a_wrong_expected_seq_is_a_conflict_and_writes_nothing,
            a_batch_with_a_gap_is_refused_whole,
            a_batch_of_another_epoch_is_refused_whole,
            a_copy_brings_the_epochs_of_earlier_writers,
            an_empty_batch_changes_nothing,
            large_batches_come_back,
            both_grades_survive_the_death_of_the_process,
            g1_what_is_synced_survives_a_power_cut,
            g5_racing_writers_interleave_nothing,
            a_hundred_agents_write_at_once,
        ]);
        $crate::store_suite!(@$way reading, $bench, [
            an_unknown_agent_reads_as_nothing_and_is_not_made,
            after_a_seq_come_the_higher_ones,
            pages_join_to_the_whole,
            a_page_of_nothing_is_empty,
            g4_after_a_cursor_comes_each_later_event_once,
            entries_without_events_are_kept_once_something_is_told,
            a_cursor_in_a_lost_tail_goes_on_with_what_came_after,
            the_head_is_the_last_entry,
            a_reader_beside_a_writer_sees_a_growing_whole,
        ]);
        $crate::store_suite!(@$way leases, $bench, [
            g5_another_holder_is_refused_until_the_lease_expires,
            renewing_prolongs,
            g5_a_wrong_clock_takes_no_lease_of_a_store_with_its_own,
            g5_the_same_holder_fences_its_older_self,
            g5_an_old_epoch_is_fenced_at_every_write,
            a_lease_given_back_writes_nothing,
            giving_back_an_old_lease_has_no_effect,
            g5_of_racing_holders_one_gets_the_lease,
            unfinished_agents_are_found_until_given_back_clean,
            unfinished_agents_are_found_after_the_death_of_the_process,
        ]);
        $crate::store_suite!(@$way epochs, $bench, [
            g4_epochs_rise_over_release_and_reopening,
            g4_epochs_rise_without_any_append,
            g4_epochs_rise_over_delete_and_recreation,
            epochs_are_above_coarse_time_and_the_last_entry,
        ]);
        $crate::store_suite!(@$way checkpoints, $bench, [
            a_checkpoint_comes_back_as_it_was,
            a_checkpoint_is_replaced_as_a_whole,
            a_checkpoint_stays_while_entries_follow,
            a_checkpoint_survives_the_death_of_the_process,
            a_checkpoint_covers_only_what_is_there,
        ]);
        $crate::store_suite!(@$way blobs, $bench, [
            a_blob_comes_back_as_it_was,
            a_blob_is_read_in_parts,
            a_blob_is_replaced_as_a_whole,
            g8_a_blob_is_its_agents_own,
            g1_a_blob_survives_a_power_cut,
            g5_an_old_epoch_keeps_no_blob,
            g10_blobs_have_a_largest_size_and_number,
            an_agent_without_entries_keeps_no_blob,
            g7_blobs_go_with_their_agent,
        ]);
        $crate::store_suite!(@$way elision, $bench, [
            of_a_run_one_entry_is_left_and_the_rest_stays,
            g4_readers_of_any_place_meet_what_is_left,
            runs_that_share_batches_with_other_entries_are_replaced,
            what_was_elided_can_be_elided_again,
            g7_nothing_beyond_the_checkpoint_is_elided,
            g5_an_old_epoch_elides_nothing,
            a_run_that_does_not_fit_stays,
            g4_a_reader_beside_elisions_meets_each_kept_event_once,
            g1_what_is_left_survives_a_power_cut,
        ]);
        $crate::store_suite!(@$way catalog, $bench, [
            ids_of_every_legal_kind_are_agents_of_their_own,
            prefixes_match_whole_segments,
            lists_are_ordered_and_paged,
            a_lease_alone_makes_no_agent,
            g7_delete_removes_everything,
            delete_is_final_while_an_old_lease_writes,
            a_recreated_agent_has_nothing_of_the_old_one,
            an_agent_without_entries_can_be_deleted,
            a_deleted_agent_stays_deleted_over_reopening,
            the_store_is_ready,
            counts_add_up_for_all_and_over_reopening,
        ]);
        $crate::store_suite!(@$way nodes, $bench, [
            nodes_are_found_while_they_are_there,
            a_node_that_says_nothing_is_forgotten,
            the_holder_of_an_agent_is_told,
            a_lease_that_has_ended_has_no_holder,
            abandoned_agents_are_those_whose_lease_is_over,
        ]);
        $crate::store_suite!(@$way wakes, $bench, [
            who_watches_is_woken_by_what_moves_a_journal,
            many_agents_are_watched_at_once,
        ]);
    };
    (@run $room:ident, $bench:expr, [$($case:ident),* $(,)?]) => {
        $(
            // Told by a test that fails.
            eprintln!("{}::{}", stringify!($room), stringify!($case));
            $crate::store_suite::run($crate::store_suite::$room::$case($bench));
        )*
    };
    (@room $room:ident, $bench:expr, [$($case:ident),* $(,)?]) => {
        mod $room {
            use super::*;
            $(
                #[test]
                fn $case() {
                    // A bench that cannot be had has said so.
                    fn on_a_bench() -> Option<()> {
                        $crate::store_suite::run($crate::store_suite::$room::$case($bench));
                        Some(())
                    }
                    let _ = on_a_bench();
                }
            )*
        }
    };
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use kode_core::store::memory::MemoryStore;

    use super::Bench;

    #[derive(Default)]
    struct Memory(MemoryStore);

    #[async_trait]
    impl Bench for Memory {
        type Store = MemoryStore;

        async fn open(&self) -> MemoryStore {
            self.0.clone()
        }
    }

    crate::store_suite!(Memory::default());

    /// A case that is not in the macro's list would never run.
    #[test]
    fn every_case_is_in_the_list() {
        let list = include_str!("mod.rs");
        let rooms = [
            include_str!("journal.rs"),
            include_str!("reading.rs"),
            include_str!("leases.rs"),
            include_str!("epochs.rs"),
            include_str!("checkpoints.rs"),
            include_str!("blobs.rs"),
            include_str!("elision.rs"),
            include_str!("catalog.rs"),
            include_str!("nodes.rs"),
            include_str!("wakes.rs"),
        ];
        let cases = rooms.iter().flat_map(|room| room.split("pub async fn ").skip(1));
        let names = cases.filter_map(|rest| rest.split('<').next());
        let missing: Vec<_> =
            names.filter(|name| !list.contains(&format!("            {name},\n"))).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}
