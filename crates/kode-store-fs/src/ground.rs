//! What the table of slots stands on. The race tests (`kode-race`) build the table once more on locks whose
//! interleavings a scheduler chooses; so it takes its locks from here, and nothing else belongs here.

pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
