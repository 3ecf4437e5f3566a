//! What the table of slots stands on. The race tests (`kode-race`) build the table once more on locks whose
//! interleavings a scheduler chooses, with agents that are nothing but a name; so it takes both from here, and
//! nothing else belongs here.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use kode_core::{Agent, Opened};
