//! Who may write, by the server's clock. A caller's clock only says what it is told the end of its lease by.

use kode_core::id::{AgentId, Epoch, Millis};
use kode_core::store::{Holder, Lease, StoreError, StoreResult};

use crate::redis_store::RedisStore;
use crate::script::{ACQUIRE, Args, HOLDER, RELEASE, RENEW};

/// How often a mark is made anew that others settled before a lease was taken by it.
const TRIES: usize = 16;

impl RedisStore {
    /// Marks the agent in the index, then takes the lease by that mark: so there is none that the index does not know.
    pub(crate) async fn take(
        &self,
        agent: &AgentId,
        holder: &str,
        ttl: Millis,
        now: Millis,
    ) -> StoreResult<Lease> {
        let mut settled = 0;
        for _ in 0..TRIES {
            let mark = self.mark(agent, settled).await?;
            // The epoch before the first that this time grants.
            let coarse = Epoch::grant(Epoch::ZERO, Epoch::ZERO, mark.at).0 - 1;
            let args = Args::default().text(holder).text(ttl).text(mark.ticket).text(coarse);
            let answer = self.server.call(&ACQUIRE, &[self.keys.agent(agent)], args).await?;
            match answer.word() {
                "granted" => {
                    let (epoch, expires) = (answer.epoch(1)?, now.saturating_add(ttl));
                    return Ok(Lease { agent: agent.clone(), epoch, expires });
                }
                "held" => {
                    let until = now.saturating_add(answer.number(1)?);
                    return Err(StoreError::Held { until, holder: answer.text(2)? });
                }
                "again" => settled = answer.number(1)?,
                "spent" => {
                    let why = format!("{agent}: no epoch above {} is left", Epoch::MAX);
                    return Err(StoreError::Incompatible(why));
                }
                _ => return Err(answer.strange()),
            }
        }
        Err(StoreError::Unavailable(format!("{agent} is being put away by others again and again")))
    }

    /// Prolongs the lease, and puts the mark back that a failover may have lost.
    pub(crate) async fn prolong(&self, lease: &Lease, ttl: Millis, now: Millis) -> StoreResult<Lease> {
        let args = Args::default().text(lease.epoch).text(ttl);
        let answer = self.server.call(&RENEW, &[self.keys.agent(&lease.agent)], args).await?;
        if answer.word() != "renewed" {
            return Err(answer.refusal(lease));
        }
        self.keep_mark(&lease.agent, answer.number(1)?).await;
        Ok(Lease { expires: now.saturating_add(ttl), ..lease.clone() })
    }

    pub(crate) async fn give_back(&self, lease: &Lease, clean: bool) -> StoreResult<()> {
        let args = Args::default().text(lease.epoch).text(u8::from(clean));
        let answer = self.server.call(&RELEASE, &[self.keys.agent(&lease.agent)], args).await?;
        match answer.word() {
            "kept" => Ok(()),
            "settled" => {
                let no_agent = answer.number(2)? == 0;
                self.drop_mark(&lease.agent, answer.number(1)?, no_agent).await;
                Ok(())
            }
            _ => Err(answer.strange()),
        }
    }

    pub(crate) async fn holder_of(&self, agent: &AgentId, now: Millis) -> StoreResult<Option<Holder>> {
        let answer = self.server.call(&HOLDER, &[self.keys.agent(agent)], Args::default()).await?;
        match answer.word() {
            "free" => Ok(None),
            "held" => Ok(Some(Holder {
                holder: answer.text(3)?,
                epoch: answer.epoch(1)?,
                expires: now.saturating_add(answer.number(2)?),
            })),
            _ => Err(answer.strange()),
        }
    }
}
