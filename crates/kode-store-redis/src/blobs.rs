//! Blobs: a string each, so that a part is read as one, and a set of their names, which counts them.

use bytes::Bytes;
use kode_core::id::{AgentId, Seq};
use kode_core::store::{BLOB_MAX, BLOBS_MAX, BlobName, BlobPart, Lease, StoreError, StoreResult, blob};

use crate::redis_store::RedisStore;
use crate::script::{Args, PUT_BLOB, READ_BLOB};

impl RedisStore {
    /// A blob that is too large is asked about, and not sent.
    pub(crate) async fn put(&self, lease: &Lease, name: &BlobName, bytes: &Bytes) -> StoreResult<()> {
        let agent = &lease.agent;
        let keys = [self.keys.agent(agent), self.keys.blobs(agent), self.keys.blob(agent, name)];
        let args =
            Args::default().text(lease.epoch).text(name).text(bytes.len()).text(BLOB_MAX).text(BLOBS_MAX);
        let args = args.bytes(if bytes.len() <= BLOB_MAX { bytes.as_ref() } else { &[] });
        let answer = self.server.call(&PUT_BLOB, &keys, args).await?;
        match answer.word() {
            "kept" => Ok(()),
            "conflict" => Err(StoreError::Conflict { expected: Seq::ZERO.next(), actual: Seq::ZERO }),
            "no room" => {
                let others = usize::try_from(answer.number(1)?).unwrap_or(usize::MAX);
                Err(blob::room(bytes.len(), others).err().unwrap_or_else(|| answer.strange()))
            }
            _ => Err(answer.refusal(lease)),
        }
    }

    pub(crate) async fn part(
        &self,
        agent: &AgentId,
        name: &BlobName,
        offset: u64,
        limit: usize,
    ) -> StoreResult<Option<BlobPart>> {
        // Beyond the largest there is nothing.
        let first = offset.min(BLOB_MAX as u64);
        let end = first + limit.min(BLOB_MAX) as u64;
        let keys = [self.keys.agent(agent), self.keys.blob(agent, name)];
        let args = Args::default().text(first).text(i128::from(end) - 1);
        let answer = self.server.call(&READ_BLOB, &keys, args).await?;
        match answer.word() {
            "none" => Ok(None),
            "part" => Ok(Some(BlobPart { bytes: answer.bytes(2)?.into(), len: answer.number(1)? })),
            _ => Err(answer.strange()),
        }
    }
}
