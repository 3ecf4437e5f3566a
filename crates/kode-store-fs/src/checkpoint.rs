//! Checkpoints: four documents beside the journal, for people and for a fast start.
//!
//! `metadata.json` is the last to get its name. It tells the seq and the other documents' hashes, under a
//! checksum of its own, so a mixture of old and new files is seen and counts as no checkpoint. It is never
//! the only copy of anything.

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use kode_core::id::{AgentId, Seq};
use kode_core::store::{CHECKPOINT_FILES, Checkpoint, StoreError, StoreResult};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::check::Fit;
use crate::disk::{Access, Disk, content};
use crate::error::{failed, found};
use crate::line;

/// The version of `metadata.json` that this version of the store reads. Another is no checkpoint to it.
const VERSION: u32 = 1;
/// The document that is written last.
const METADATA: &str = CHECKPOINT_FILES[3];

/// `metadata.json` after its checksum.
#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u32,
    seq: Seq,
    /// Each other document's name and SHA-256.
    files: BTreeMap<String, String>,
    /// The caller's own metadata document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<Box<RawValue>>,
}

/// Writes a checkpoint. Its seq must be on the disk before.
///
/// Each file is synced before it gets its name, and the names are synced last; a crash in between leaves files
/// that do not fit together, and then there is no checkpoint.
pub(crate) fn save(disk: &dyn Disk, agent: &AgentId, checkpoint: &Checkpoint) -> StoreResult<()> {
    let metadata = metadata(checkpoint)?;
    let documents = CHECKPOINT_FILES.iter().filter_map(|name| Some((*name, checkpoint.files.get(*name)?)));
    let documents = documents.filter(|(name, _)| *name != METADATA).map(|(name, bytes)| (name, &bytes[..]));
    let files: Vec<_> = documents.chain([(METADATA, &metadata[..])]).collect();
    place(disk, agent, &files).map_err(failed("saving a checkpoint"))
}

fn place(disk: &dyn Disk, agent: &AgentId, files: &[(&str, &[u8])]) -> io::Result<()> {
    let unnamed = |name: &str| format!("{agent}/.{name}");
    for (name, bytes) in files {
        let file = disk.open(&unnamed(name), Access::Make)?;
        file.set_len(0)?;
        file.write_at(bytes, 0)?;
        file.sync()?;
    }
    for (name, _) in files {
        disk.rename(&unnamed(name), &format!("{agent}/{name}"))?;
    }
    disk.sync_dir(agent.as_str())
}

fn metadata(checkpoint: &Checkpoint) -> StoreResult<Vec<u8>> {
    if let Some(name) = checkpoint.files.keys().find(|name| !CHECKPOINT_FILES.contains(&name.as_str())) {
        return Err(StoreError::Incompatible(format!("a checkpoint has no document {name:?}")));
    }
    let state = checkpoint.files.get(METADATA).map(|bytes| serde_json::from_slice(bytes)).transpose();
    let no_json = |e| StoreError::Incompatible(format!("the checkpoint's {METADATA} is not JSON: {e}"));
    let others = checkpoint.files.iter().filter(|(name, _)| *name != METADATA);
    let files = others.map(|(name, bytes)| (name.clone(), hash(bytes))).collect();
    Ok(line::seal(&Metadata { version: VERSION, seq: checkpoint.seq, files, state: state.map_err(no_json)? })
        .0)
}

/// The checkpoint, if all of it fits together.
pub(crate) fn load(disk: &dyn Disk, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
    read(disk, agent).map_err(failed("loading a checkpoint"))
}

fn read(disk: &dyn Disk, agent: &AgentId) -> io::Result<Option<Checkpoint>> {
    let Some(metadata) = read_metadata(disk, agent)? else { return Ok(None) };
    let mut files = BTreeMap::new();
    for (name, expected) in &metadata.files {
        match read_file(disk, agent, name)? {
            Some(bytes) if CHECKPOINT_FILES.contains(&name.as_str()) && hash(&bytes) == *expected => {
                files.insert(name.clone(), bytes.into());
            }
            Some(_) | None => return Ok(None),
        }
    }
    let state = metadata.state.map(|state| Bytes::from(Box::<str>::from(state).into_string()));
    files.extend(state.map(|state| (METADATA.to_owned(), state)));
    Ok(Some(Checkpoint { seq: metadata.seq, files }))
}

/// Whether what is there is a checkpoint.
pub(crate) fn fit(disk: &dyn Disk, agent: &AgentId) -> StoreResult<Fit> {
    match load(disk, agent)? {
        Some(checkpoint) => Ok(Fit::Whole(checkpoint.seq)),
        None => {
            let metadata = found(disk.open(&format!("{agent}/{METADATA}"), Access::Read));
            let there = metadata.map_err(failed("loading a checkpoint"))?.is_some();
            Ok(if there { Fit::Unusable } else { Fit::None })
        }
    }
}

/// Up to where a checkpoint says that the journal was on the disk; zero without one.
pub(crate) fn covered(disk: &dyn Disk, agent: &AgentId) -> StoreResult<Seq> {
    let metadata = read_metadata(disk, agent).map_err(failed("loading a checkpoint"))?;
    Ok(metadata.map_or(Seq::ZERO, |metadata| metadata.seq))
}

fn read_metadata(disk: &dyn Disk, agent: &AgentId) -> io::Result<Option<Metadata>> {
    let bytes = read_file(disk, agent, METADATA)?;
    let whole = bytes.and_then(|bytes| Some(line::unseal::<Metadata>(bytes.strip_suffix(b"\n")?).ok()?.1));
    Ok(whole.filter(|metadata| metadata.version == VERSION))
}

fn read_file(disk: &dyn Disk, agent: &AgentId, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = found(disk.open(&format!("{agent}/{name}"), Access::Read))?;
    file.map(|file| content(&*file)).transpose()
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
