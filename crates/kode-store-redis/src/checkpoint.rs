//! Checkpoints: one hash of documents, and in the agent's hash the seq that they stand for; replaced in one step.

use bytes::Bytes;
use kode_core::id::{AgentId, Seq};
use kode_core::store::{Checkpoint, Lease, StoreError, StoreResult};

use crate::redis_store::RedisStore;
use crate::script::{Args, LOAD_CHECKPOINT, SAVE_CHECKPOINT};

impl RedisStore {
    pub(crate) async fn save(&self, lease: &Lease, checkpoint: &Checkpoint) -> StoreResult<()> {
        let args = Args::default().text(lease.epoch).text(checkpoint.seq);
        let args =
            checkpoint.files.iter().fold(args, |args, (name, bytes)| args.text(name).bytes(bytes.as_ref()));
        let keys = [self.keys.agent(&lease.agent), self.keys.checkpoint(&lease.agent)];
        let answer = self.server.call(&SAVE_CHECKPOINT, &keys, args).await?;
        match answer.word() {
            "saved" => Ok(()),
            "conflict" => {
                Err(StoreError::Conflict { expected: checkpoint.seq, actual: Seq(answer.number(1)?) })
            }
            _ => Err(answer.refusal(lease)),
        }
    }

    pub(crate) async fn load(&self, agent: &AgentId) -> StoreResult<Option<Checkpoint>> {
        let keys = [self.keys.agent(agent), self.keys.checkpoint(agent)];
        let answer = self.server.call(&LOAD_CHECKPOINT, &keys, Args::default()).await?;
        if answer.word() == "none" {
            return Ok(None);
        }
        let (seq, mut values) = (Seq(answer.number(1)?), answer.list(2)?.into_iter());
        let mut checkpoint = Checkpoint { seq, files: Default::default() };
        while let (Some(name), Some(content)) = (values.next(), values.next()) {
            let name = String::from_utf8(name).map_err(|_| answer.strange())?;
            checkpoint.files.insert(name, Bytes::from(content));
        }
        Ok(Some(checkpoint))
    }
}
