//! Writing an imported agent into a store: one append, so that it is there as a whole or not at all.

use kode_core::id::{Epoch, Millis, Seq};
use kode_core::machine::{Batch, Cx, Hooked, Input, State, Strategy, overhead};
use kode_core::store::{Durability, Store, StoreError};
use kode_core::template::Template;

use crate::{Imported, Refused};

/// Who holds the lease meanwhile.
const HOLDER: &str = "import";
/// For how long, in milliseconds.
const TTL: Millis = 60_000;

/// What became of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is there now.
    New,
    /// There was one of that id, which stays as it is.
    Known,
}

impl Imported {
    /// Writes the agent under a template of ours, unless one of its id is there. Not cancel safe: a dropped call may
    /// or may not have written.
    ///
    /// # Errors
    /// The store's; [`Refused::Machine`] would be an error of this crate. Nothing was written.
    pub async fn write(
        self,
        store: &dyn Store,
        template: &Template,
        now: Millis,
    ) -> Result<Written, Refused> {
        if store.head(&self.id).await?.is_some() {
            return Ok(Written::Known);
        }
        let lease = store.acquire(&self.id, HOLDER, TTL, now).await?;
        let batch = match self.entries(template, lease.epoch, now) {
            Ok(batch) => batch,
            Err(why) => {
                store.release(lease, true).await?;
                return Err(why);
            }
        };
        let written = store.append(&lease, Seq::ZERO, &batch.entries, Durability::Synced).await;
        let released = store.release(lease, written.is_ok()).await;
        match (written, released) {
            (Err(StoreError::Conflict { .. }), _) => Ok(Written::Known),
            (Err(error), _) | (Ok(()), Err(error)) => Err(error.into()),
            (Ok(()), Ok(())) => Ok(Written::New),
        }
    }

    /// What [`Imported::write`] would answer. Takes no lease and writes nothing.
    ///
    /// # Errors
    /// As [`Imported::write`].
    pub async fn would_write(
        self,
        store: &dyn Store,
        template: &Template,
        now: Millis,
    ) -> Result<Written, Refused> {
        if store.head(&self.id).await?.is_some() {
            return Ok(Written::Known);
        }
        self.entries(template, Epoch::ZERO, now).map(|_| Written::New)
    }

    /// The journal's first entries. The agent is as old as it was there; what it takes over is of now.
    fn entries(self, template: &Template, epoch: Epoch, now: Millis) -> Result<Batch, Refused> {
        let Self { id, created_at, metadata, heritage, .. } = self;
        let created = created_at.unwrap_or(now);
        let inputs = [
            (Input::Open { strategy: Strategy::Crash }, created),
            (Input::Create { template: template.id.clone(), metadata }, created),
            (Input::Inherit(Box::new(heritage)), now),
        ];
        let (mut state, mut batch) = (State::default(), Batch::default());
        for (input, now) in inputs {
            let overhead = overhead(template, &[]);
            let hooks = Hooked::default();
            let cx = Cx { agent: &id, epoch, now, template, hooks, window: None, overhead, sandbox: "" };
            state.step(&cx, input, &mut batch).map_err(|why| Refused::Machine(why.to_string()))?;
        }
        Ok(batch)
    }
}
