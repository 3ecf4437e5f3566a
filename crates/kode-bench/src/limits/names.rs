//! What a file system needs to make the names of an agent: a directory with one file in it, a file beside it and an
//! empty directory.

use std::fs::{create_dir, create_dir_all, write};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::contract::Params;

/// About what a new journal holds.
const JOURNAL: [u8; 700] = [b'x'; 700];

/// Makes those of `agents`, by as many threads as the machine has cores. Nothing is synced.
pub(super) fn make(params: &Params) -> anyhow::Result<Value> {
    let (agents, dir) = (params.number("agents", 2_000)?, params.dir()?);
    for place in ["store", "marks", "work"] {
        create_dir_all(dir.join(place))?;
    }
    let threads = std::thread::available_parallelism()?.get();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let makers = (0..threads).map(|first| {
            scope.spawn({
                let dir = &dir;
                move || (first..agents).step_by(threads).try_for_each(|nth| one(dir, nth))
            })
        });
        let makers: Vec<_> = makers.collect();
        makers.into_iter().try_for_each(|maker| maker.join().expect("it does not panic"))
    })?;
    Ok(json!({ "agents_per_s": agents as f64 / begun.elapsed().as_secs_f64() }))
}

fn one(dir: &Path, nth: usize) -> std::io::Result<()> {
    let name = format!("user-{nth}");
    let own = dir.join("store").join(&name);
    create_dir(&own)?;
    write(own.join("journal-1.jsonl"), JOURNAL)?;
    write(dir.join("marks").join(&name), [])?;
    create_dir(dir.join("work").join(&name))
}
