//! `kode store check`: each journal line by line, and whether it folds to what its checkpoint says.

use kode_core::id::{AgentId, Seq};
use kode_core::machine::State;
use kode_core::store::{After, Store, StoreError};
use serde_json::json;

use super::Finding;
use crate::args::Check;
use crate::compose::{self, Fit, FsStore, PgStore, Report, RowReport};
use crate::config::StoreUrl;
use crate::failure::Failure;

/// Entries folded at a time.
const PAGE: usize = 1_024;
const ADVICE_FOR_ROWS: &str =
    "keep the database as it is, look at it with pg_amcheck, and restore a backup; see docs/operations.md";
const ADVICE: &str = "`kode store repair --dry-run` says what can be kept";

pub(super) async fn run(what: &Check) -> Result<(), Failure> {
    let url = super::meant(what)?;
    match &url {
        StoreUrl::Fs(dir) => {
            let store = super::files(dir, false)?;
            let mut findings = Vec::new();
            for agent in super::agents(&store, what).await? {
                findings.push(finding(&store, &agent).await);
            }
            super::print(&findings, what, ADVICE)
        }
        StoreUrl::Redis(_) => Err(Failure::usage(super::NO_FILES)),
        StoreUrl::Postgres(address) => {
            let store = compose::database(&url, address).await?;
            let mut findings = Vec::new();
            for agent in super::agents(&store, what).await? {
                findings.push(in_rows(&store, &agent).await);
            }
            super::print(&findings, what, ADVICE_FOR_ROWS)
        }
    }
}

async fn in_rows(store: &PgStore, agent: &AgentId) -> Finding {
    let report = match store.check(agent).await {
        Ok(Some(report)) => report,
        Ok(None) => return Finding::unknown(agent),
        Err(error) => return Finding::bad(agent, &error),
    };
    let fit = report.checkpoint.map_or(Fit::None, Fit::Whole);
    match fold(store, agent, fit).await {
        Ok(agrees) => whole_rows(agent, &report, agrees),
        Err(error) => Finding::bad(agent, &error),
    }
}

fn whole_rows(agent: &AgentId, report: &RowReport, agrees: bool) -> Finding {
    let RowReport { head, rows, checkpoint: covered } = *report;
    let (checkpoint, at) = match (covered, agrees) {
        (None, _) => ("none", String::new()),
        (Some(seq), true) => ("whole", format!(" at entry {seq}")),
        (Some(seq), false) => {
            ("wrong", format!(" at entry {seq} (delete its row; the journal has all of it)"))
        }
    };
    let said = format!("whole up to entry {head}, {rows} rows, checkpoint {checkpoint}{at}");
    let json = json!({
        "agentId": agent, "ok": agrees, "head": head, "rows": rows, "checkpoint": checkpoint, "covered": covered,
    });
    Finding { bad: !agrees, ..Finding::good(agent, &said, json) }
}

async fn finding(store: &FsStore, agent: &AgentId) -> Finding {
    let report = match store.check(agent).await {
        Ok(Some(report)) => report,
        Ok(None) => return Finding::unknown(agent),
        Err(error) => return Finding::bad(agent, &error),
    };
    match fold(store, agent, report.checkpoint).await {
        Ok(agrees) => whole(agent, &report, agrees),
        Err(error) => Finding::bad(agent, &error),
    }
}

/// Whether the journal's fold is, at the checkpoint's entry, what the checkpoint says.
async fn fold(store: &dyn Store, agent: &AgentId, checkpoint: Fit) -> Result<bool, StoreError> {
    let Fit::Whole(covered) = checkpoint else { return Ok(true) };
    let mut state = State::default();
    while state.seq < covered {
        let entries = store.read(agent, After::Seq(state.seq), PAGE).await?;
        let Some(last) = entries.last() else { break };
        entries.iter().take_while(|entry| entry.seq <= covered).for_each(|entry| state.evolve(entry));
        if last.seq > covered {
            break;
        }
    }
    let saved = store.load_checkpoint(agent).await?;
    // A server that writes beside this may have saved another one by now.
    let saved = saved.filter(|saved| saved.seq == covered);
    let restored = saved.as_ref().map(State::from_checkpoint);
    Ok(restored.is_none_or(|restored| restored.is_none_or(|restored| restored == state)))
}

fn whole(agent: &AgentId, report: &Report, agrees: bool) -> Finding {
    let Report { segments, head, torn, format, checkpoint } = *report;
    let covered = match checkpoint {
        Fit::Whole(seq) => Some(seq),
        Fit::None | Fit::Unusable => None,
    };
    let mut said =
        format!("whole up to entry {head}, {segments} file{}", if segments == 1 { "" } else { "s" });
    if torn > 0 {
        said += &format!(", a torn tail of {torn} bytes that the next writer cuts");
    }
    let checkpoint = match checkpoint {
        Fit::None => "none",
        Fit::Unusable => "unusable",
        Fit::Whole(_) if agrees => "whole",
        Fit::Whole(_) => "wrong (remove its metadata.json; the journal has all of it)",
    };
    said += &match covered {
        Some(Seq(seq)) => format!(", checkpoint {checkpoint} at entry {seq}"),
        None => format!(", checkpoint {checkpoint}"),
    };
    let json = json!({
        "agentId": agent, "ok": agrees, "head": head, "segments": segments, "tornBytes": torn, "format": format,
        "checkpoint": checkpoint, "covered": covered,
    });
    Finding { bad: !agrees, ..Finding::good(agent, &said, json) }
}
