//! Writers that share the syncs of the node log, with a disk that sometimes fails.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use shuttle::sync::Mutex;
use shuttle::thread;

use crate::{explore, finds};

macro_rules! races {
    ($module:ident) => {
        use crate::$module::log_group::Group;

        #[derive(Default)]
        struct Log {
            group: Group,
            disk: Mutex<Vec<u8>>,
            flushes: AtomicU32,
            busy: AtomicBool,
        }

        impl Log {
            /// One flush at a time; the second of all fails, and its bytes are not there.
            fn flush(&self, bytes: &[u8]) -> io::Result<()> {
                assert!(!self.busy.swap(true, Ordering::SeqCst), "one thread flushes at a time");
                let fails = self.flushes.fetch_add(1, Ordering::SeqCst) == 1;
                if !fails {
                    self.disk.lock().expect("nobody panics with it").extend_from_slice(bytes);
                }
                self.busy.store(false, Ordering::SeqCst);
                if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            }

            /// Adds a record and waits, again where the disk failed; then it is there, behind those before it.
            fn write(&self, record: u8) {
                self.group.add(|pending| pending.push(record));
                while self.group.wait(|bytes| self.flush(bytes)).is_err() {}
                let disk = self.disk.lock().expect("nobody panics with it").clone();
                assert_eq!(disk.iter().filter(|byte| **byte == record).count(), 1, "{record} in {disk:?}");
            }
        }

        /// Each writer's records stand in the order in which it wrote them.
        pub(super) fn writers() {
            let log = Arc::new(Log::default());
            let writer = |first: u8| {
                let log = log.clone();
                thread::spawn(move || (first..first + 3).for_each(|record| log.write(record)))
            };
            let threads: Vec<_> = [10, 20, 30].map(writer).into_iter().collect();
            threads.into_iter().for_each(|thread| thread.join().expect("everyone ends"));
            let disk = log.disk.lock().expect("nobody panics with it").clone();
            for first in [10, 20, 30] {
                let own: Vec<u8> = disk.iter().copied().filter(|byte| byte / 10 == first / 10).collect();
                assert_eq!(own, [first, first + 1, first + 2]);
            }
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
fn g1_what_waited_for_a_shared_sync_is_in_it() {
    explore("interleavings of writers that share a sync", real::writers);
}

#[test]
fn to_take_what_came_later_for_synced_is_found_out() {
    assert!(finds(planted::writers));
}
