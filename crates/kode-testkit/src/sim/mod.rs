//! The parts of a simulated world of several nodes on one store: machines that can be stopped and lost, their
//! clocks, the network between them and the store, and a watch over all that the store accepts and all that
//! happens outside of it. Everything that is left to chance comes from one seed, and everything runs on one thread,
//! so the same seed gives the same history.
//!
//! ```text
//!   Host ── tasks of one node ──> Remote ── delays, losses, partitions ──> Watched ──> a store
//!     │  stopped, lost, and a clock of its own                               │
//!     └── tools, models, clients ─────────── what they see and do ──────> Watch: every invariant, at once
//! ```
//!
//! The world itself, with real runtimes and pools on these machines, is the crate `kode-sim`.
//!
//! What never belongs here: a rule about agents, and anything that asks the machine for time or chance.

pub mod chance;
pub mod clock;
pub mod host;
pub mod net;
pub mod trace;
pub mod unfenced;
pub mod watch;
