//! The outer side: what there is to reach, the levels and users, and who judges what came of an attempt.

mod alone;
mod column;
mod half;
mod place;
mod services;
mod shared;
mod world;

pub use self::alone::attempts as judged_outside;
pub use self::half::{Cell, Column, Half, run as run_half, start as start_half};
