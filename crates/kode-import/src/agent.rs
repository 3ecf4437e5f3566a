//! One agent of upstream's as one of ours: everything that its journal begins with.

use kode_core::id::{AgentId, Millis, TemplateId};
use kode_core::machine::Heritage;
use kode_core::message::Role;
use serde_json::{Map, Value, json};

use crate::note::{Note, Notes};
use crate::source::Documents;
use crate::{Refused, Source, history, name, said, time, todos};

/// What an agent's journal is to begin with.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Its id here.
    pub id: AgentId,
    /// Its name there.
    pub upstream: String,
    /// Its template, by the name that it has there; none where that is not told.
    pub template: Option<TemplateId>,
    /// When it was created there; none where that is not told.
    pub created_at: Option<Millis>,
    /// The host's own data, and where it comes from.
    pub metadata: Map<String, Value>,
    /// What was said and done.
    pub heritage: Heritage,
    /// What did not come over as it was.
    pub notes: Vec<Note>,
}

impl Source {
    /// Reads one agent. Its files stay as they are.
    ///
    /// # Errors
    /// A file cannot be read or is no JSON of the shape that upstream writes, or the name cannot be one of ours.
    pub fn agent(&self, upstream: &str, now: Millis) -> Result<Imported, Refused> {
        let id = name::agent_id(upstream).map_err(|why| Refused::Name(why.to_string()))?;
        let mut notes = Notes::default();
        let documents = self.read(upstream, &mut notes)?;
        let meta = documents.meta.clone().unwrap_or(Value::Null);
        let template = meta["templateId"].as_str().filter(|id| !id.is_empty()).map(TemplateId::new);
        let created_at = created(&meta, now, &mut notes);
        let heritage = heritage(&documents, created_at.unwrap_or(now), &mut notes)?;
        let metadata = metadata(upstream, &meta, &mut notes);
        leave(&documents, &meta, &mut notes);
        let notes = notes.into_vec();
        Ok(Imported { id, upstream: upstream.to_owned(), template, created_at, metadata, heritage, notes })
    }
}

/// When the agent was created, unless that is told of the future.
fn created(meta: &Value, now: Millis, notes: &mut Notes) -> Option<Millis> {
    let at = time::instant(&meta["createdAt"]).filter(|at| *at <= now);
    if at.is_none() {
        notes.mended("meta.json tells no time of creation; it is that of the import");
    }
    at
}

fn heritage(documents: &Documents, moved: Millis, notes: &mut Notes) -> Result<Heritage, Refused> {
    let messages = list("runtime/messages.json", documents.messages.as_ref())?;
    let records = list("runtime/tool-calls.json", documents.records.as_ref())?;
    let said = said::messages(messages, notes);
    let history = history::mend(said, records, moved, notes);
    let of = |role: Role| history.messages.iter().filter(|message| message.role == role).count();
    let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
    let results =
        history.messages.iter().filter(|message| !message.content.iter().any(|b| b.as_text().is_some()));
    let spoken = of(Role::User).saturating_sub(results.filter(|message| message.role == Role::User).count());
    Ok(Heritage {
        steps: count(of(Role::Assistant)),
        turns: count(spoken),
        messages: history.messages,
        calls: history.calls,
        todos: documents.todos.as_ref().map(|document| todos::list(document, notes)),
        digest: None,
    })
}

/// A document that is a list; an empty one where there is none.
fn list<'a>(file: &str, document: Option<&'a Value>) -> Result<&'a [Value], Refused> {
    match document {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(Refused::Broken { file: file.to_owned(), why: "it is no list".to_owned() }),
    }
}

/// The host's own data, and where the agent comes from. Nothing of upstream's configuration: it may hold keys.
fn metadata(upstream: &str, meta: &Value, notes: &mut Notes) -> Map<String, Value> {
    let within = &meta["metadata"];
    let mut metadata = within["metadata"].as_object().cloned().unwrap_or_default();
    let told = ["configVersion", "lineage", "createdAt"].map(|name| (name, &meta[name]));
    let origin: Map<String, Value> = told
        .into_iter()
        .chain([("templateVersion", &within["templateVersion"])])
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .chain([("agentId".to_owned(), json!(upstream))])
        .collect();
    let mut key = "importedFrom".to_owned();
    while metadata.contains_key(&key) {
        key.push('_');
    }
    metadata.insert(key, Value::Object(origin));
    if meta["agentId"].as_str().is_some_and(|own| own != upstream) {
        notes.mended("meta.json names another agent than its directory; the directory's name was taken");
    }
    metadata
}

/// Tells what has no place in a journal.
fn leave(documents: &Documents, meta: &Value, notes: &mut Notes) {
    for (room, count) in &documents.left {
        let what = match *room {
            "events" => "old cursors mean nothing here, and subscribers begin anew",
            "history/windows" | "history/compressions" => {
                "what was compressed away before the move is not in the history"
            }
            "snapshots" => "an agent that was moved has no older places to fork at",
            "history/recovered" => "copies of files",
            _ => "a cache",
        };
        notes.left(format!("{room} ({count} files): {what}"));
    }
    let configured = ["modelConfig", "sandboxConfig", "permission", "tools"];
    if configured.iter().any(|name| !meta["metadata"][*name].is_null()) {
        notes.left("model, sandbox, tools and permissions: they are the template's here, and work files are not copied");
    }
}
