//! How often a test repeats itself: enough for every run, and more for a machine that has the time.
//!
//! `KODE_SOAK=1` asks for the larger count. Where `KODE_ROUNDS` names a file, each test notes there what it
//! ran, so that a whole run can say so.

use std::fs::OpenOptions;
use std::io::Write;

/// The count to use: `usual`, or `soak` when the environment asks for it. Noted under the test's name.
///
/// # Panics
/// The file that `KODE_ROUNDS` names cannot be written.
#[must_use]
pub fn rounds(test: &str, usual: u64, soak: u64) -> u64 {
    let asked = std::env::var("KODE_SOAK").is_ok_and(|value| !value.is_empty() && value != "0");
    let rounds = if asked { soak } else { usual };
    note(&format!("{rounds:>10}  {test}\n"));
    rounds
}

/// Says, and notes in the place of a count, that a test has nothing to run on here, and why.
///
/// # Panics
/// As [`rounds`].
pub fn skipped(test: &str, why: &str) {
    let line = format!("{:>10}  {test}: {why}\n", "skipped");
    // Seen also where nobody gathers the notes.
    let _ = std::io::stdout().write_all(line.as_bytes());
    note(&line);
}

fn note(line: &str) {
    if let Some(path) = std::env::var_os("KODE_ROUNDS") {
        let noted = OpenOptions::new().create(true).append(true).open(path);
        noted
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("KODE_ROUNDS names a file to write");
    }
}

/// The same for proptest, which counts cases in 32 bits.
///
/// # Panics
/// As [`rounds`]; and for a count that has more bits.
#[must_use]
pub fn cases(test: &str, usual: u32, soak: u32) -> u32 {
    u32::try_from(rounds(test, usual.into(), soak.into())).expect("it is one of two counts of 32 bits")
}
