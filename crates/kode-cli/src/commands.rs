//! The commands, one room each.

pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod store;
