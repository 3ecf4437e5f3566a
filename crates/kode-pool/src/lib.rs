//! Resume-or-create with single flight over a kode runtime.
//!
#![doc = include_str!("../README.md")]
//! [`Pool`] is the whole of the API; [`PoolError`] says why it refused.

mod census;
mod due;
mod erase;
mod error;
mod fork;
mod ground;
mod idle;
mod orphans;
mod placement;
mod pool;
mod prefetch;
mod recency;
mod route;
mod shutdown;
mod slots;
mod start;
mod watch;

pub use census::{AgentInfo, Page};
pub use error::PoolError;
pub use fork::{Forked, Forks};
pub use pool::{Pool, PoolOptions, PoolStats};
pub use route::Route;
pub use shutdown::Shutdown;
