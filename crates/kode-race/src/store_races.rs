//! Writers that take a journal from each other, and readers beside them, in the file store's table.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kode_core::id::Epoch;
use kode_core::store::{Lease, StoreError};
use kode_testkit::store_suite::pen::id;
use shuttle::thread::{self, JoinHandle};

use crate::writer::{Disk, Writer};
use crate::{explore, finds};

macro_rules! races {
    ($module:ident) => {
        use crate::$module::store_slots::{Held, Slots};

        /// Takes the lease, appends twice, gives it back; another may have taken it meanwhile.
        fn write(slots: &Slots, disk: &Arc<Disk>, holder: &str, appends: u32) {
            let agent = id("a");
            let taken = slots.enter(&agent, |state| {
                state.free_for(holder, 0)?;
                state.end();
                let epoch = Epoch(disk.newest.fetch_add(1, Ordering::SeqCst) + 1);
                let writer = Writer::take(disk);
                state.held = Some(Held { epoch, holder: holder.into(), expires: u64::MAX, writer });
                Ok(epoch)
            });
            // Another one has it.
            let Ok(epoch) = taken else { return };
            for _ in 0..appends {
                let before = disk.whole.load(Ordering::SeqCst);
                let appended = slots.enter(&agent, |state| {
                    state.in_force(epoch)?.writer.append();
                    Ok(())
                });
                match appended {
                    Ok(()) => assert!(slots.told(&agent).is_none_or(|head| head.seq.0 > before)),
                    Err(StoreError::Fenced { .. }) => {
                        let newest = disk.newest.load(Ordering::SeqCst);
                        return assert!(newest > epoch.0, "fenced, and nobody took the lease");
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            let lease = Lease { agent: agent.clone(), epoch, expires: u64::MAX };
            if let Some(appended) = slots.try_enter(&lease, |_| true, |held| Ok(held.writer.append())) {
                appended.expect("the lease was in force");
            }
            let released = slots.enter(&agent, |state| {
                if state.in_force(epoch).is_ok() {
                    state.end();
                }
                Ok(())
            });
            released.expect("giving back is never refused");
        }

        fn spawn(
            slots: &Arc<Slots>,
            disk: &Arc<Disk>,
            write: impl Fn(&Slots, &Arc<Disk>) + Send + 'static,
        ) -> JoinHandle<()> {
            let (slots, disk) = (slots.clone(), disk.clone());
            thread::spawn(move || write(&slots, &disk))
        }

        /// No reader is told of what is not acknowledged.
        fn look(slots: &Slots, disk: &Disk) {
            let told = slots.told(&id("a")).map_or(0, |head| head.seq.0);
            assert!(told <= disk.whole.load(Ordering::SeqCst), "{told} are told and not acknowledged");
        }

        fn race(threads: impl IntoIterator<Item = JoinHandle<()>>, slots: &Slots, disk: &Disk) {
            let threads: Vec<_> = threads.into_iter().collect();
            (0..3).for_each(|_| look(slots, disk));
            threads.into_iter().for_each(|thread| thread.join().expect("everyone ends"));
            assert_eq!(slots.told(&id("a")), None, "a slot goes when its lease does");
        }

        /// Writers of one holder fence each other off.
        pub(super) fn fencing() {
            let (slots, disk) = (Arc::new(Slots::default()), Arc::new(Disk::default()));
            race(
                (0..3).map(|_| spawn(&slots, &disk, |slots, disk| write(slots, disk, "a", 2))),
                &slots,
                &disk,
            );
        }

        /// Writers of several holders take the journal up when it is free, for a short time.
        pub(super) fn taking_turns() {
            let (slots, disk) = (Arc::new(Slots::default()), Arc::new(Disk::default()));
            let turns = |holder: &'static str| {
                spawn(&slots, &disk, move |slots, disk| (0..2).for_each(|_| write(slots, disk, holder, 1)))
            };
            race(["a", "b", "c"].map(turns), &slots, &disk);
        }
    };
}

mod real {
    use super::*;

    races!(real);
}

mod planted {
    use super::*;

    races!(planted);
}

#[test]
fn g5_in_a_race_a_journal_has_one_writer_and_readers_see_what_is_acknowledged() {
    explore("interleavings of writers that fence each other off", real::fencing);
    explore("interleavings of writers that take turns", real::taking_turns);
}

#[test]
fn to_work_on_a_slot_that_is_gone_is_found_out() {
    assert!(finds(planted::taking_turns));
}
