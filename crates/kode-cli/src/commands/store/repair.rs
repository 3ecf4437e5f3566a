//! `kode store repair`: damaged journals end behind their last good entry, and nothing of the damaged files is lost.

use kode_core::id::{AgentId, Seq};
use serde_json::json;

use super::{Finding, index};
use crate::args::Check;
use crate::compose::{FsStore, Repair};
use crate::config::StoreUrl;
use crate::failure::Failure;

const ADVICE: &str =
    "what this version cannot read is kept as it is; use the version that wrote it, or free the store";

/// Why there is nothing to repair in a database: a transaction leaves no torn tail, and what its disk did to it is
/// for those who know its files.
const NOT_OURS: &str = "a store in PostgreSQL is not repaired by kode: it leaves nothing half done, so what `kode store \
     check` finds there is damage below it; keep it as it is, look with pg_amcheck, and restore a backup";

pub(super) async fn run(what: &Check, dry: bool) -> Result<(), Failure> {
    let url = super::meant(what)?;
    let dir = match &url {
        StoreUrl::Fs(dir) => dir,
        StoreUrl::Redis(url) => return index::rebuild(url, what, dry).await,
        StoreUrl::Postgres(_) => return Err(Failure::usage(NOT_OURS)),
    };
    let store = super::files(dir, !dry)?;
    let mut findings = Vec::new();
    for agent in super::agents(&store, what).await? {
        findings.push(finding(&store, &agent, dry).await);
    }
    super::print(&findings, what, ADVICE)
}

async fn finding(store: &FsStore, agent: &AgentId, dry: bool) -> Finding {
    match store.repair(agent, dry).await {
        Ok(Some(repair)) => repaired(agent, &repair, dry),
        Ok(None) => match store.check(agent).await {
            Ok(Some(_)) => Finding::good(
                agent,
                "nothing to repair",
                json!({"agentId": agent, "ok": true, "repaired": false}),
            ),
            Ok(None) => Finding::unknown(agent),
            Err(error) => Finding::bad(agent, &error),
        },
        Err(error) => Finding::bad(agent, &error),
    }
}

fn repaired(agent: &AgentId, repair: &Repair, dry: bool) -> Finding {
    let Repair { damage, kept, known, quarantine } = repair;
    let lost = (kept < known).then(|| [kept.next(), *known]);
    let (did, kept_as) = if dry { ("would keep", "would go to") } else { ("keeps", "are in") };
    let what = match kept {
        Seq(0) => {
            format!("nothing of it can be read; the agent {} gone", if dry { "would be" } else { "is" })
        }
        kept => format!("{did} entries 1 to {kept}"),
    };
    let gone = match lost {
        Some([from, to]) => format!("lost: entries {from} to {to}"),
        None => "lost: no entry that is known of".into(),
    };
    let said = format!(
        "damaged at {}: {}; {what}; {gone}; the damaged files {kept_as} {quarantine} in the store",
        damage.place, damage.what
    );
    let json = json!({
        "agentId": agent, "ok": true, "repaired": !dry, "place": damage.place, "problem": damage.what,
        "kept": kept, "lost": lost, "quarantine": quarantine,
    });
    Finding::good(agent, &said, json)
}
