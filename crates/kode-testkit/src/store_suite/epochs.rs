//! Cases: no epoch comes twice, whatever happens between two grants. Time stands still in all of them.

use kode_core::fact::Entry;
use kode_core::id::{Epoch, Millis};
use kode_core::store::{Catalog, Journal, Leases};

use super::Bench;
use super::pen::{NOW, Pen, id};
use super::time::{Clock, Time};

/// How a lease ended.
#[derive(Debug, Clone, Copy)]
enum End {
    Clean,
    Unclean,
    Replaced,
    Death,
    Deletion,
}

/// Takes an agent again and again, each time after another end; tells the epochs.
async fn lives<B: Bench>(bench: &B, ends: &[End], appends: u32) -> Vec<Epoch> {
    let mut store = bench.open().await;
    let mut epochs = Vec::new();
    for end in ends {
        let mut pen = Pen::take(&store, &id("a")).await;
        pen.write_steps(&store, appends).await;
        epochs.push(pen.epoch());
        match end {
            End::Clean => store.release(pen.lease, true).await.expect("a lease can be given back"),
            End::Unclean => store.release(pen.lease, false).await.expect("a lease can be given back"),
            End::Replaced => {}
            End::Deletion => store.delete(pen.lease).await.expect("an agent can be deleted"),
            End::Death => {
                drop(store);
                store = bench.open().await;
            }
        }
    }
    epochs
}

fn assert_rising(epochs: &[Epoch]) {
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
}

/// Scenario 8. Upstream numbers anew after a restart, so that an old cursor hides new events \[S\].
/// With entries in between.
pub async fn g4_epochs_rise_over_release_and_reopening<B: Bench>(bench: B) {
    use End::{Clean, Death, Replaced, Unclean};
    let ends = [Clean, Death, Unclean, Death, Replaced, Clean, Clean, Death, Death, Clean];
    assert_rising(&lives(&bench, &ends, 1).await);
}

/// Without a single entry that would tell an epoch.
pub async fn g4_epochs_rise_without_any_append<B: Bench>(bench: B) {
    use End::{Clean, Death, Replaced, Unclean};
    let ends =
        [Clean, Clean, Death, Death, Unclean, Clean, Death, Clean, Replaced, Death, Unclean, Death, Clean];
    assert_rising(&lives(&bench, &ends, 0).await);
}

/// The tombstone tells it, once and again.
pub async fn g4_epochs_rise_over_delete_and_recreation<B: Bench>(bench: B) {
    use End::{Clean, Death, Deletion, Unclean};
    let ends = [Clean, Deletion, Deletion, Death, Deletion, Clean, Deletion, Death, Unclean, Deletion, Clean];
    assert_rising(&lives(&bench, &ends, 2).await);
}

/// The first epoch that is granted at a time.
fn coarse(time: Millis) -> Epoch {
    Epoch::grant(Epoch::ZERO, Epoch::ZERO, time)
}

/// So that a lost record of a grant repeats nothing once eight seconds have passed.
pub async fn epochs_are_above_coarse_time_and_the_last_entry<B: Bench>(bench: B) {
    let (store, time, day) = (bench.open().await, Time::begin(&bench), 86_400_000);
    let before = coarse(time.counting(NOW));
    let same_day = |epoch: Epoch| (before..Epoch(before.0 + 10_800)).contains(&epoch);
    let first = Pen::take_at(&store, &id("a"), NOW).await;
    let mut later = Pen::take_at(&store, &id("a"), NOW + day).await;
    match time.clock() {
        Clock::Callers => {
            assert_eq!((first.epoch(), later.epoch()), (before, Epoch(before.0 + 10_800)));
        }
        // Such a store may leave some out, where it may have lost grants. A caller that is a day ahead takes it nowhere.
        Clock::Stores => assert!(same_day(first.epoch()) && same_day(later.epoch())),
    }
    let written = later.write_steps(&store, 1).await;
    let back_in_time = Pen::take_at(&store, &id("a"), NOW).await;
    assert!(back_in_time.epoch() > later.epoch());
    if time.clock() == Clock::Callers {
        assert_eq!(back_in_time.epoch(), Epoch(later.epoch().0 + 1));
    }
    assert_eq!(
        store.head(&id("a")).await.map(|head| head.map(|h| h.cursor)),
        Ok(written.last().map(Entry::last_cursor))
    );
}
