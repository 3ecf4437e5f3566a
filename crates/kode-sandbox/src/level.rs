//! The levels of enforcement by name, and what this version reports of them. Nothing here enforces.

use kode_core::sandbox::{FileError, SandboxReport};

/// Every level that a configuration may ask for, weakest first; `strict` means `isolated` or better.
const LEVELS: [&str; 6] = ["none", "hygiene", "confined", "isolated", "metered", "strict"];

/// Refuses a level that does not exist. File access is the same at each: the strongest that there is.
pub(crate) fn check(level: &str) -> Result<(), FileError> {
    if LEVELS.contains(&level) {
        return Ok(());
    }
    Err(FileError::Io {
        path: "sandbox.level".into(),
        why: format!("{level:?} is not a level; use one of {}", LEVELS.join(", ")),
    })
}

/// What holds for an agent that asked for `level`.
pub(crate) fn report(level: &str) -> SandboxReport {
    let mut gaps = vec!["this version runs no processes, so only file tools work".to_owned()];
    if level != "none" {
        gaps.push(format!("the level {level} is about processes and is not reached"));
    }
    SandboxReport { level: "files".into(), gaps, ..SandboxReport::default() }
}
