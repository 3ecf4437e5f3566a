//! The machine's own limits.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use tempfile::TempDir;

use crate::median;

/// Appends and syncs measured.
const ROUNDS: usize = 200;

/// The time of one append of 4 KiB with its fdatasync, in µs.
pub(crate) fn sync_us(dir: &TempDir) -> anyhow::Result<f64> {
    let mut file = File::create(dir.path().join("probe"))?;
    let page = [b'x'; 4_096];
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}
