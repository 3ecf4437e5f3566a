//! `kode replay`: a journal folded in the open. It takes no lease, so it may look at a live store.

mod print;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use kode_core::id::{AgentId, Seq, TemplateId};
use kode_core::machine::{Cx, Hooked, State, overhead, render};
use kode_core::store::{After, Store};
use kode_core::template::Template;
use serde_json::json;

use self::print::Report;
use crate::args::Replay;
use crate::config::{Settings, StoreUrl, process_env};
use crate::failure::Failure;
use crate::out::Out;
use crate::{commands, compose};

/// Entries read at a time.
const PAGE: usize = 1_024;

pub(crate) fn run(replay: Replay) -> Result<(), Failure> {
    let settings = Settings::resolve(None, &replay.places, &process_env)?;
    let (url, agent) = place(&replay.what, &settings.store)?;
    let state = commands::block_on(async {
        let store = compose::store_to_read(&url).await?;
        fold(&store, &agent, replay.at.map(Seq)).await
    })?;
    show(&agent, &state, &settings.templates, replay.json)
}

/// The store and the agent: from a path into a store of files, or from an id in the configured one.
fn place(what: &str, store: &StoreUrl) -> Result<(StoreUrl, AgentId), Failure> {
    let path = Path::new(what);
    if !what.contains('/') && !path.exists() {
        return Ok((store.clone(), AgentId::new(what).map_err(Failure::usage)?));
    }
    let path = path.canonicalize().map_err(|e| Failure::usage(format!("{what} cannot be read: {e}")))?;
    let journal = if path.is_dir() { path.as_path() } else { path.parent().unwrap_or(&path) };
    let name = journal.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let agent = AgentId::new(name).map_err(|_| {
        Failure::usage(format!("{what} is not in an agent's journal directory STORE/<agentId>/"))
    })?;
    Ok((StoreUrl::Fs(journal.parent().unwrap_or(journal).to_owned()), agent))
}

async fn fold(store: &Arc<dyn Store>, agent: &AgentId, at: Option<Seq>) -> Result<State, Failure> {
    let mut state = State::default();
    loop {
        let entries = store.read(agent, After::Seq(state.seq), PAGE).await.map_err(Failure::failed)?;
        for entry in entries.iter().filter(|e| at.is_none_or(|at| e.seq <= at)) {
            state.evolve(entry);
        }
        let whole =
            entries.len() < PAGE || at.is_some_and(|at| entries.last().is_none_or(|last| last.seq >= at));
        match (whole, state.seq) {
            (true, Seq::ZERO) => {
                return Err(Failure::failed(format!("there is no agent {agent} in this store")));
            }
            (true, _) => return Ok(state),
            (false, _) => {}
        }
    }
}

/// State, wanted effects and prompt. Without the agent's template the prompt has no system text.
fn show(agent: &AgentId, state: &State, templates: &[Template], as_json: bool) -> Result<(), Failure> {
    let unknown = TemplateId::new("");
    let id = state.template.as_ref().unwrap_or(&unknown);
    let known = templates.iter().find(|t| &t.id == id);
    let bare = Template::new(id.as_str(), "");
    let template = known.unwrap_or(&bare);
    let cx = Cx {
        agent,
        epoch: state.epoch,
        now: state.updated_at,
        template,
        hooks: Hooked::default(),
        window: None,
        overhead: overhead(template, &[]),
        sandbox: "",
    };
    let (prompt, wanted) = (render(state, template), state.wanted(&cx));
    let wanted: BTreeSet<String> = wanted.keys().map(|key| format!("{key:?}")).collect();
    let mut out = Out::new();
    if as_json {
        out.line(json!({
            "agentId": agent,
            "seq": state.seq,
            "templateKnown": known.is_some(),
            "state": state,
            "todos": *state.todos,
            "calls": state.records,
            "wanted": wanted,
            "prompt": { "system": prompt.system, "messages": prompt.messages, "turnStart": prompt.turn_start,
                "model": prompt.model, "maxTokens": prompt.max_tokens },
        }))?;
    } else {
        let template_known = known.is_some();
        Report { agent, state, template_known, wanted: &wanted, prompt: &prompt }.print(&mut out)?;
    }
    out.flush()
}
