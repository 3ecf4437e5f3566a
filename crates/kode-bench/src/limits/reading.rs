//! Reading: lines of JSON from a file, and files as they are.

use std::fs::{File, read, read_dir};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::contract::Params;
use crate::median;

/// How often each is done; the middle one is told.
const REPS: usize = 5;

/// A file of `events` lines of JSON, as long as events are, read and parsed.
pub(super) fn scan(params: &Params) -> anyhow::Result<Value> {
    let (events, path) = (params.number("events", 100_000)?, params.dir()?.join("lines"));
    let mut file = BufWriter::new(File::create(&path)?);
    for nth in 0..events {
        let event = json!({ "cursor": nth, "bookmark": { "seq": nth, "timestamp": 1_700_000_000_000_u64 },
            "event": { "channel": "progress", "type": "text_chunk", "step": 1, "delta": "six ch" } });
        writeln!(file, "{event}")?;
    }
    file.flush()?;
    let ms = middle(|| {
        BufReader::new(File::open(&path)?).lines().try_for_each(|line| {
            let _: Value = serde_json::from_str(&line?)?;
            anyhow::Ok(())
        })
    })?;
    Ok(json!({ "events_per_s": events as f64 / ms * 1e3 }))
}

/// The documents of all checkpoints beneath the directory, read and not looked at.
pub(super) fn files(params: &Params) -> anyhow::Result<Value> {
    let dir = params.dir()?;
    let mut documents = Vec::new();
    gather(&dir, &mut documents)?;
    anyhow::ensure!(!documents.is_empty(), "{}: no checkpoint", dir.display());
    let ms = middle(|| documents.iter().try_for_each(|path| read(path).map(drop)).map_err(Into::into))?;
    Ok(json!({ "cold_ms": ms }))
}

fn gather(dir: &Path, documents: &mut Vec<std::path::PathBuf>) -> anyhow::Result<()> {
    for entry in read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            gather(&entry.path(), documents)?;
        } else if entry.path().extension().is_some_and(|kind| kind == "json") {
            documents.push(entry.path());
        }
    }
    Ok(())
}

/// The middle time of some, in ms.
fn middle(mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(REPS);
    for _ in 0..REPS {
        let begun = Instant::now();
        work()?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(times))
}
