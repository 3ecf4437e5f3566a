//! `kode store`: what is done to a store as a whole, one room each.

pub(crate) mod import;
