//! What the hub stands on. The race tests (`kode-race`) build the hub once more on locks whose interleavings a
//! scheduler chooses; so it takes its locks from here, and nothing else belongs here.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub(crate) use tokio::sync::watch;
