//! `kode store copy`: agents from one store into another, of whatever kinds, by the ports alone.
//!
//! All leases of the source are held until the end, so nobody writes there meanwhile. An agent counts as copied once
//! both sides were read again and agree; one that does not is removed from the target. What never belongs here: what
//! a fact means, beyond which blobs it names.

mod claims;
mod proof;
mod transfer;

use std::sync::Arc;

use kode_core::clock::Clock as _;
use kode_core::id::AgentId;
use kode_core::store::{Store, StoreError};
use kode_core::system::SystemClock;
use serde_json::json;

use self::claims::Claims;
use self::proof::Proof;
use self::transfer::Transfer;
use crate::args::Copy;
use crate::config::{Env, StoreUrl, process_env};
use crate::failure::Failure;
use crate::out::Out;
use crate::{commands, compose};

pub(super) fn run(copy: &Copy) -> Result<(), Failure> {
    let [from, to] = [&copy.from, &copy.to].map(|url| named(url, &process_env));
    let (from, to) = (from?, to?);
    let same = from == to;
    let (from, to) = (StoreUrl::parse(&from)?, StoreUrl::parse(&to)?);
    if same {
        return Err(Failure::usage(format!("both stores are {from}; name another to copy to")));
    }
    let done = commands::block_on(async {
        let (source, target) = open(&from, &to, copy.dry_run).await?;
        let holder = format!("kode store copy, process {} of {}", std::process::id(), now());
        let (from, to) = (&*source, target.as_deref());
        let work = Work { from, to, holder: &holder, prefix: &copy.prefix, dry: copy.dry_run };
        work.run().await
    })?;
    done.tell(copy)
}

/// A store's URL, or the variable of the environment that holds it: what is said on a command line can be seen by
/// others.
fn named(url: &str, env: Env<'_>) -> Result<String, Failure> {
    let Some(name) = url.strip_prefix("env:") else { return Ok(url.to_owned()) };
    env(name).ok_or_else(|| Failure::usage(format!("{name} is not set")))
}

type Opened = (Arc<dyn Store>, Option<Arc<dyn Store>>);

/// Both stores; no target where a dry run finds none yet.
async fn open(from: &StoreUrl, to: &StoreUrl, dry: bool) -> Result<Opened, Failure> {
    if !dry {
        return Ok((compose::existing_store(from).await?, Some(compose::store(to).await?)));
    }
    let target = if compose::is_made(to).await? { Some(compose::store_to_read(to).await?) } else { None };
    Ok((compose::store_to_read(from).await?, target))
}

/// What there is to do.
struct Work<'s> {
    from: &'s dyn Store,
    to: Option<&'s dyn Store>,
    /// Who holds the leases: this process alone, so that a second one is refused.
    holder: &'s str,
    prefix: &'s str,
    dry: bool,
}

/// What became of every agent.
#[derive(Debug, Default, PartialEq)]
struct Done {
    copied: Vec<(AgentId, Proof)>,
    /// Those that were there already, to the last entry.
    same: Vec<AgentId>,
}

impl Work<'_> {
    async fn run(&self) -> Result<Done, Failure> {
        let agents = listed(self.from, self.prefix).await?;
        let (new, same) = self.survey(&agents).await?;
        let mut done = Done { copied: Vec::new(), same };
        let Some(to) = self.to.filter(|_| !self.dry) else {
            for agent in new {
                let proof = Proof::of(self.from, &agent).await.map_err(|error| of(&agent, &error))?;
                done.copied.push((agent, proof));
            }
            return Ok(done);
        };
        let claims = Claims::take(self.from, self.holder, &new).await?;
        let transfer = Transfer::new(self.from, to, self.holder);
        let copying = async {
            for agent in &new {
                let copied = transfer.copy(agent, claims.is_unfinished(agent)).await;
                done.copied.push((agent.clone(), copied.map_err(|error| of(agent, &error))?));
            }
            // A source that was written to meanwhile is not what was copied.
            claims.renew().await
        };
        let copied = tokio::select! {
            biased;
            lost = claims.keep() => lost,
            copied = copying => copied,
        };
        let left = transfer.discard().await;
        claims.give_back().await;
        match (copied, left) {
            (Err(why), Some(agent)) => Err(Failure::failed(format!(
                "{}; what was copied of {agent} is left at the target: remove it with `kode agents rm`",
                why.why()
            ))),
            (copied, _) => copied.map(|()| done),
        }
    }

    /// Which agents are to be copied, and which are there as they are here. Another agent of the name ends it all
    /// before anything is written.
    async fn survey(&self, agents: &[AgentId]) -> Result<(Vec<AgentId>, Vec<AgentId>), Failure> {
        let (mut new, mut same, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for agent in agents {
            let there = match self.to {
                Some(to) => to.head(agent).await.map_err(|error| of(agent, &error))?,
                None => None,
            };
            match (there, self.to) {
                (Some(_), Some(to)) if alike(self.from, to, agent).await? => same.push(agent.clone()),
                (Some(_), _) => others.push(agent.as_str()),
                (None, _) => new.push(agent.clone()),
            }
        }
        if others.is_empty() {
            return Ok((new, same));
        }
        let some = others[..others.len().min(5)].join(", ");
        Err(Failure::failed(format!(
            "the target has agents of these names that are not the same: {some}{}; nothing was copied: remove them there \
             with `kode agents rm`, or copy others with --prefix",
            if others.len() > 5 { format!(" and {} more", others.len() - 5) } else { String::new() }
        )))
    }
}

async fn alike(from: &dyn Store, to: &dyn Store, agent: &AgentId) -> Result<bool, Failure> {
    let both = async { Ok(Proof::of(from, agent).await? == Proof::of(to, agent).await?) };
    both.await.map_err(|error: StoreError| of(agent, &error))
}

async fn listed(store: &dyn Store, prefix: &str) -> Result<Vec<AgentId>, Failure> {
    let mut agents: Vec<AgentId> = Vec::new();
    loop {
        let page = store.list(prefix, agents.last(), super::PAGE).await.map_err(Failure::failed)?;
        let at_end = page.len() < super::PAGE;
        agents.extend(page);
        if at_end {
            return Ok(agents);
        }
    }
}

fn of(agent: &AgentId, error: &StoreError) -> Failure {
    Failure::failed(format!(
        "{agent}: {error}; those before it were copied, and a second run goes on behind them"
    ))
}

/// Now, by this machine.
fn now() -> kode_core::id::Millis {
    SystemClock.now()
}

impl Done {
    fn tell(&self, copy: &Copy) -> Result<(), Failure> {
        let mut out = Out::new();
        if copy.json {
            let copied: Vec<_> = self.copied.iter().map(|(agent, proof)| proof.json(agent)).collect();
            out.line(json!({"ok": true, "dryRun": copy.dry_run, "copied": copied, "same": self.same}))?;
            return out.flush();
        }
        for (agent, proof) in &self.copied {
            out.line(format!("{agent}: {proof}"))?;
        }
        for agent in &self.same {
            out.line(format!("{agent}: there already, and the same"))?;
        }
        let counts = (self.copied.len(), self.same.len());
        out.line(match copy.dry_run {
            true => format!("dry run, nothing was written: {} to copy, {} there already", counts.0, counts.1),
            false => format!("{} copied and compared, {} there already", counts.0, counts.1),
        })?;
        out.flush()
    }
}

#[cfg(test)]
mod tests;
