//! What is compared of an agent in two stores: everything that can be read of it, in short.

use std::collections::BTreeMap;
use std::fmt;

use kode_core::id::{AgentId, Seq};
use kode_core::machine::State;
use kode_core::store::{After, BLOB_MAX, BlobName, Checkpoint, Head, Store, StoreResult};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Entries read at a time.
const PAGE: usize = 256;

type Hash = [u8; 32];

/// An agent in a store.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Proof {
    head: Head,
    /// How many entries there are.
    entries: u64,
    /// Of all entries as JSON, in their order.
    hash: Hash,
    /// Its seq, and the hash of its documents. One that tells nothing is none.
    checkpoint: Option<(Seq, Hash)>,
    blobs: BTreeMap<BlobName, Hash>,
}

impl Proof {
    pub(super) async fn of(store: &dyn Store, agent: &AgentId) -> StoreResult<Self> {
        let (mut end, mut entries, mut hash) = (Seq::ZERO, 0, Sha256::new());
        let mut state = State::default();
        loop {
            let page = store.read(agent, After::Seq(end), PAGE).await?;
            for entry in &page {
                let json =
                    serde_json::to_vec(entry).expect("entries have string keys and no failing serializer");
                hash.update((json.len() as u64).to_le_bytes());
                hash.update(&json);
                state.evolve(entry);
                end = entry.seq;
            }
            entries += page.len() as u64;
            if page.len() < PAGE {
                break;
            }
        }
        let mut blobs = BTreeMap::new();
        for name in named(&state) {
            if let Some(blob) = store.read_blob(agent, &name, 0, BLOB_MAX).await? {
                blobs.insert(name, Sha256::digest(&blob.bytes).into());
            }
        }
        let checkpoint =
            store.load_checkpoint(agent).await?.filter(|checkpoint| !checkpoint.files.is_empty());
        let checkpoint = checkpoint.map(|checkpoint| (checkpoint.seq, documents(&checkpoint)));
        let head = store.head(agent).await?.unwrap_or_default();
        Ok(Self { head, entries, hash: hash.finalize().into(), checkpoint, blobs })
    }

    /// What is not the same in another store.
    pub(super) fn difference(&self, other: &Self) -> Option<&'static str> {
        let parts = [
            ("its head", self.head == other.head),
            ("its entries", (self.entries, self.hash) == (other.entries, other.hash)),
            ("its checkpoint", self.checkpoint == other.checkpoint),
            ("its blobs", self.blobs == other.blobs),
        ];
        parts.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
    }

    pub(super) fn json(&self, agent: &AgentId) -> Value {
        json!({
            "agentId": agent, "head": self.head.seq, "entries": self.entries, "sha256": hex(&self.hash),
            "checkpoint": self.checkpoint.map(|(seq, _)| seq), "blobs": self.blobs.len(),
        })
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries up to {}", self.entries, self.head.seq)?;
        match self.checkpoint {
            Some((seq, _)) => write!(f, ", checkpoint at {seq}")?,
            None => write!(f, ", no checkpoint")?,
        }
        write!(f, ", {} blobs, sha256 {}", self.blobs.len(), &hex(&self.hash)[..16])
    }
}

/// The blobs that an agent's journal speaks of. Others are nobody's: what a crash left between a blob and its fact.
pub(super) async fn blob_names(store: &dyn Store, agent: &AgentId) -> StoreResult<Vec<BlobName>> {
    let mut state = State::default();
    loop {
        let page = store.read(agent, After::Seq(state.seq), PAGE).await?;
        page.iter().for_each(|entry| state.evolve(entry));
        if page.len() < PAGE {
            return Ok(named(&state));
        }
    }
}

fn named(state: &State) -> Vec<BlobName> {
    let kept = state.records.iter().filter(|call| call.kept_bytes.is_some());
    kept.filter_map(|call| BlobName::of_result(&call.id).ok()).collect()
}

fn documents(checkpoint: &Checkpoint) -> Hash {
    let mut hash = Sha256::new();
    for (name, bytes) in &checkpoint.files {
        for part in [name.as_bytes(), bytes] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
