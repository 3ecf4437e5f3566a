//! What this process used, as the kernel counts it.

use std::fs;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::{Value, json};

/// A reading of the counters.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    at: Instant,
    user: f64,
    sys: f64,
    written: u64,
}

impl Usage {
    /// Reads them now.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let (user, sys) = cpu()?;
        Ok(Self { at: Instant::now(), user, sys, written: field("/proc/self/io", "write_bytes:")? })
    }

    /// What was used since.
    pub(crate) fn since(&self) -> anyhow::Result<Spent> {
        let now = Self::now()?;
        Ok(Spent {
            wall: (now.at - self.at).as_secs_f64(),
            user: now.user - self.user,
            sys: now.sys - self.sys,
            written: now.written - self.written,
        })
    }
}

/// What a measured region took.
pub(crate) struct Spent {
    /// Seconds.
    pub(crate) wall: f64,
    /// Seconds.
    pub(crate) user: f64,
    /// Seconds.
    pub(crate) sys: f64,
    /// Bytes that went to the disk.
    pub(crate) written: u64,
}

impl Spent {
    /// Milliseconds of processor for each of `n`.
    pub(crate) fn cpu_ms_per(&self, n: usize) -> f64 {
        (self.user + self.sys) * 1e3 / n as f64
    }

    /// A report with these figures and those of the workload.
    pub(crate) fn report(&self, own: &Value) -> anyhow::Result<Value> {
        let mut report = json!({
            "wall_s": self.wall,
            "cpu_user_s": self.user,
            "cpu_sys_s": self.sys,
            "write_bytes": self.written,
            "rss_kb": rss_kb()?,
            "peak_rss_kb": field("/proc/self/status", "VmHWM:")?,
        });
        let members = report.as_object_mut().expect("it was made as an object");
        members.extend(own.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
        Ok(report)
    }
}

/// Resident memory now, in KiB.
pub(crate) fn rss_kb() -> anyhow::Result<u64> {
    field("/proc/self/status", "VmRSS:")
}

/// Seconds of processor, the user's and the system's.
fn cpu() -> anyhow::Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name before may have spaces, and ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')').context("the kernel tells no times")?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let mut next = || anyhow::Ok(ticks.next().context("the kernel tells no times")?? / 100.0);
    Ok((next()?, next()?))
}

fn field(file: &str, name: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(file)?;
    let value =
        text.lines().find_map(|line| line.strip_prefix(name)).context("the kernel tells no such figure")?;
    Ok(value.split_whitespace().next().unwrap_or_default().parse()?)
}
