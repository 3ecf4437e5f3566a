//! `kode store import`: the agents that the TypeScript SDK kept in a directory, taken over into a store of ours. The
//! old directory is only read.

use std::io::Write;
use std::sync::Arc;

use kode_core::clock::Clock as _;
use kode_core::id::{Millis, TemplateId};
use kode_core::store::Store;
use kode_core::system::SystemClock;
use kode_core::template::Template;
use kode_import::{Imported, Note, NoteKind, Refused, Source, Written};
use serde::Serialize;

use crate::args::Import;
use crate::config::{Settings, StoreUrl, process_env};
use crate::failure::Failure;
use crate::{commands, compose};

/// What became of every agent.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    dry_run: bool,
    imported: Vec<Done>,
    skipped: Vec<Left>,
    refused: Vec<Left>,
}

/// An agent that is there now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    agent_id: String,
    upstream: String,
    template_id: TemplateId,
    messages: usize,
    calls: usize,
    todos: usize,
    notes: Vec<Note>,
}

/// One that is not, or was before.
#[derive(Debug, Serialize)]
struct Left {
    upstream: String,
    why: String,
}

pub(crate) fn run(import: Import) -> Result<(), Failure> {
    let settings = Settings::resolve(None, &import.places, &process_env)?;
    let rules = import.templates.iter().map(|rule| Rule::parse(rule, &settings.templates));
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    let source = Source::open(&import.dir).map_err(|why| usage(&import, &why))?;
    let names = source.agents().map_err(Failure::failed)?;
    if names.is_empty() {
        return Err(Failure::failed(format!(
            "{} holds no agents of the TypeScript SDK: give the directory in which its file store keeps DIR/<agentId>/meta.json",
            import.dir.display()
        )));
    }
    let report = commands::block_on(async {
        let store = if import.dry_run {
            to_look(&settings.store).await?
        } else {
            Some(compose::store(&settings.store).await?)
        };
        let importer =
            Importer { source, store, rules, templates: &settings.templates, dry_run: import.dry_run };
        importer.run(&names).await
    })?;
    tell(&report, import.json)?;
    match report.refused.len() {
        0 => Ok(()),
        count => Err(Failure::failed(format!(
            "{count} of {} agents were refused, for the reasons above; mend what they name and import again, those that are there stay as they are",
            names.len()
        ))),
    }
}

fn usage(import: &Import, why: &Refused) -> Failure {
    Failure::usage(format!("{}: {why}", import.dir.display()))
}

/// The store as far as a dry run needs it: to see who is there.
async fn to_look(url: &StoreUrl) -> Result<Option<Arc<dyn Store>>, Failure> {
    if compose::is_made(url).await? { compose::store_to_read(url).await.map(Some) } else { Ok(None) }
}

/// Which template of ours takes the place of one of theirs.
struct Rule {
    /// Theirs; any, if absent.
    from: Option<String>,
    to: Template,
}

impl Rule {
    fn parse(text: &str, templates: &[Template]) -> Result<Self, Failure> {
        let (from, to) = match text.split_once('=') {
            Some((from, to)) => (Some(from.to_owned()), to),
            None => (None, text),
        };
        let Some(to) = templates.iter().find(|known| known.id.as_str() == to) else {
            return Err(Failure::usage(format!(
                "--template {text}: there is no template {to}; add it to kode.toml"
            )));
        };
        Ok(Self { from, to: to.clone() })
    }
}

struct Importer<'a> {
    source: Source,
    /// None where a dry run finds no store yet.
    store: Option<Arc<dyn Store>>,
    rules: Vec<Rule>,
    templates: &'a [Template],
    dry_run: bool,
}

impl Importer<'_> {
    async fn run(&self, names: &[String]) -> Result<Report, Failure> {
        let mut report = Report { dry_run: self.dry_run, ..Report::default() };
        for name in names {
            self.one(name, SystemClock.now(), &mut report).await?;
        }
        Ok(report)
    }

    /// Takes one agent over. What is wrong with it stays its own; what is wrong with the store ends all.
    async fn one(&self, upstream: &str, now: Millis, report: &mut Report) -> Result<(), Failure> {
        let left = |why: String| Left { upstream: upstream.to_owned(), why };
        let (agent, template) = match self.read(upstream, now) {
            Ok(both) => both,
            Err(why) => {
                report.refused.push(left(why));
                return Ok(());
            }
        };
        let done = done(&agent, template);
        match self.write(agent, template, now).await {
            Ok(Written::New) => report.imported.push(done),
            Ok(Written::Known) => {
                report.skipped.push(left(format!("there is an agent {} already", done.agent_id)))
            }
            Err(Refused::Store(error)) => return Err(Failure::failed(error)),
            Err(why) => report.refused.push(left(why.to_string())),
        }
        Ok(())
    }

    /// One agent and its template here, or why it is refused.
    fn read(&self, upstream: &str, now: Millis) -> Result<(Imported, &Template), String> {
        let agent = self.source.agent(upstream, now).map_err(|why| why.to_string())?;
        let template = self.template(agent.template.as_ref())?;
        Ok((agent, template))
    }

    async fn write(&self, agent: Imported, template: &Template, now: Millis) -> Result<Written, Refused> {
        match &self.store {
            Some(store) if self.dry_run => agent.would_write(&**store, template, now).await,
            Some(store) => agent.write(&**store, template, now).await,
            None => agent.would_write(&kode_core::store::memory::MemoryStore::default(), template, now).await,
        }
    }

    /// The template that an agent gets here.
    fn template(&self, theirs: Option<&TemplateId>) -> Result<&Template, String> {
        let asked =
            |rule: &&Rule| rule.from.as_deref().is_none_or(|from| theirs.is_some_and(|t| t.as_str() == from));
        if let Some(rule) = self.rules.iter().find(asked) {
            return Ok(&rule.to);
        }
        let Some(theirs) = theirs else {
            return Err("its meta.json is missing or names no template; name one with --template".to_owned());
        };
        self.templates.iter().find(|known| known.id == *theirs).ok_or_else(|| {
            format!("there is no template {theirs}; add it to kode.toml, or name another with --template {theirs}=…")
        })
    }
}

fn done(agent: &Imported, template: &Template) -> Done {
    Done {
        agent_id: agent.id.to_string(),
        upstream: agent.upstream.clone(),
        template_id: template.id.clone(),
        messages: agent.heritage.messages.len(),
        calls: agent.heritage.calls.len(),
        todos: agent.heritage.todos.as_ref().map_or(0, |list| list.todos.len()),
        notes: agent.notes.clone(),
    }
}

fn tell(report: &Report, json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let told =
        if json { serde_json::to_string(report).map_err(Failure::failed)? + "\n" } else { text(report) };
    out.write_all(told.as_bytes()).map_err(Failure::failed)
}

fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    let done = if report.dry_run { "would import" } else { "imported" };
    for agent in &report.imported {
        let Done { agent_id, template_id, messages, calls, todos, .. } = agent;
        lines.push(format!(
            "{done} {agent_id} ({template_id}): {messages} messages, {calls} calls, {todos} todos"
        ));
        for Note { kind, what } in &agent.notes {
            let kind = match kind {
                NoteKind::Mended => "mended",
                NoteKind::Left => "left",
            };
            lines.push(format!("  {kind}: {what}"));
        }
    }
    lines.extend(report.skipped.iter().map(|left| format!("skipped {}: {}", left.upstream, left.why)));
    lines.extend(report.refused.iter().map(|left| format!("refused {}: {}", left.upstream, left.why)));
    let counts = (report.imported.len(), report.skipped.len(), report.refused.len());
    let would = if report.dry_run { "dry run, nothing was written: " } else { "" };
    lines.push(format!("{would}{} imported, {} skipped, {} refused", counts.0, counts.1, counts.2));
    lines.join("\n") + "\n"
}
