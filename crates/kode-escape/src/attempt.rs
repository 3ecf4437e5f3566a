//! What an attempt is and how it can end. Nothing here attempts anything.

use crate::targets::Targets;

/// One way to break out.
#[derive(Clone, Copy)]
pub struct Attempt {
    /// Its name in the matrix.
    pub name: &'static str,
    /// What it gives to whoever succeeds.
    pub gives: &'static str,
    /// Makes it, in a process of its own.
    pub act: fn(&Targets) -> Outcome,
}

/// How it went: what was had, or why nothing was.
pub type Outcome = Result<String, Stop>;

/// Why nothing was had.
#[derive(Debug)]
pub enum Stop {
    /// It was made and failed.
    Stopped(String),
    /// It cannot be made on this machine, at whatever level.
    Absent(String),
}

/// Shorter than writing the struct out, a hundred times.
pub(crate) const fn attempt(
    name: &'static str,
    gives: &'static str,
    act: fn(&Targets) -> Outcome,
) -> Attempt {
    Attempt { name, gives, act }
}

/// An attempt that succeeded.
pub(crate) fn had(what: impl ToString) -> Outcome {
    Ok(what.to_string())
}

/// An attempt that did not.
pub(crate) fn stopped<T>(why: impl ToString) -> Result<T, Stop> {
    Err(Stop::Stopped(why.to_string()))
}

/// An attempt that cannot be made here.
pub(crate) fn absent<T>(why: impl ToString) -> Result<T, Stop> {
    Err(Stop::Absent(why.to_string()))
}

/// Had, where it is so.
pub(crate) fn when(is_so: bool, what: &str) -> Outcome {
    if is_so { had(what) } else { stopped(format!("not so: {what}")) }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Stopped(error.to_string())
    }
}

impl From<rustix::io::Errno> for Stop {
    fn from(error: rustix::io::Errno) -> Self {
        std::io::Error::from(error).into()
    }
}

impl From<std::ffi::NulError> for Stop {
    fn from(error: std::ffi::NulError) -> Self {
        Self::Stopped(error.to_string())
    }
}
