//! What clients were told, over all lives of the server, and whether the server's agents agree with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kode_core::call::Decision;
use kode_core::fact::{Entry, Fact};
use kode_core::id::{AgentId, Seq};
use kode_core::machine::project;
use kode_core::store::{After, Journal};
use kode_store_fs::FsStore;
use serde_json::Value;

use super::script::RAN;
use crate::harness::Server;

/// A message, by its text, which is its key as well.
struct Sent {
    agent: String,
    mode: &'static str,
    /// The message's name, once the server acknowledged it.
    id: Option<String>,
}

/// What clients were told.
#[derive(Default)]
pub(super) struct Book {
    sent: BTreeMap<String, Sent>,
    /// Decisions that were acknowledged, by agent and call.
    decided: BTreeMap<(String, String), Decision>,
    /// Forks that were acknowledged and not looked at yet: parent and name.
    forks: Vec<(String, String)>,
    forked: u64,
    repeats: u64,
    starts: u64,
    turns: u64,
}

/// What one agent looks like from outside.
pub(super) struct Outside {
    pub(super) events: Vec<Value>,
    history: Vec<Value>,
    entries: Vec<Entry>,
}

impl Outside {
    pub(super) async fn of(server: &Server, store: &Path, agent: &str) -> Self {
        let reader = FsStore::open_read_only(store).unwrap();
        let entries =
            reader.read(&AgentId::new(agent).unwrap(), After::Seq(Seq::ZERO), usize::MAX).await.unwrap();
        let none = entries.is_empty();
        let events = if none { Vec::new() } else { server.events(agent).await };
        let history = if none { Vec::new() } else { history(server, agent).await };
        Self { events, history, entries }
    }

    /// A fork begins as one, at rest, and with a part of its parent's history from its beginning on.
    pub(super) fn check_began_as(&self, fork: &str, parent: &Self) {
        assert_eq!(self.events[0]["event"]["type"], "agent_forked", "{fork}");
        let said = |message: &Value| (message["role"].clone(), message["content"].clone());
        let of_parent: Vec<_> = parent.history.iter().map(said).collect();
        let of_fork: Vec<_> = self.history.iter().map(said).collect();
        assert!(of_parent.starts_with(&of_fork), "{fork} has {of_fork:?}, its parent {of_parent:?}");
    }
}

async fn history(server: &Server, agent: &str) -> Vec<Value> {
    let (mut all, mut after): (Vec<Value>, Option<Value>) = (Vec::new(), None);
    loop {
        let from = after.map(|a| format!("&after={}", a.to_string().trim_matches('"'))).unwrap_or_default();
        let (status, page) = server.get(&format!("/api/agents/{agent}/messages?limit=1000{from}")).await;
        assert_eq!(status, 200, "{page}");
        all.extend(page["messages"].as_array().unwrap().iter().cloned());
        match page.get("next").filter(|next| !next.is_null()) {
            Some(next) => after = Some(next.clone()),
            None => return all,
        }
    }
}

impl Book {
    pub(super) fn sending(&mut self, agent: &str, text: &str, mode: &'static str) {
        let new = || Sent { agent: agent.to_owned(), mode, id: None };
        self.sent.entry(text.to_owned()).or_insert_with(new);
    }

    /// Takes the answer down, if there was one: sent again, a message keeps its name.
    pub(super) fn sent(&mut self, text: &str, answer: Option<(u16, Value)>) {
        let sent = self.sent.get_mut(text).expect("it was being sent");
        match answer {
            Some((202, queued)) => {
                let id = queued["messageId"].as_str().expect("a message has a name").to_owned();
                self.repeats += u64::from(sent.id.is_some());
                assert_eq!(sent.id.get_or_insert(id.clone()), &id, "{text} became two messages");
            }
            Some((409 | 429, _)) => {
                assert_eq!(sent.id, None, "{text} was accepted before and is refused now")
            }
            Some((status, why)) => panic!("{text}: {status} {why}"),
            None => {}
        }
    }

    /// Something of this prefix's agents that was sent; what has no answer comes first.
    pub(super) fn some_sent(&self, prefix: &str) -> Option<(String, String, &'static str)> {
        let of_set = || self.sent.iter().rev().filter(|(_, sent)| sent.agent.starts_with(prefix));
        let (text, sent) = of_set().find(|(_, sent)| sent.id.is_none()).or_else(|| of_set().next())?;
        Some((sent.agent.clone(), text.clone(), sent.mode))
    }

    pub(super) fn decided(
        &mut self,
        agent: &str,
        call: &str,
        decision: Decision,
        answer: Option<(u16, Value)>,
    ) {
        match answer {
            Some((204, _)) => {
                let first = self.decided.insert((agent.to_owned(), call.to_owned()), decision);
                assert_eq!(first, None, "{agent}: {call} was decided twice");
            }
            Some((404 | 409, _)) | None => {}
            Some((status, why)) => panic!("{agent}, {call}: {status} {why}"),
        }
    }

    pub(super) fn forked(&mut self, parent: &str, fork: &str, answer: Option<(u16, Value)>) {
        match answer {
            Some((201, _)) => self.forks.push((parent.to_owned(), fork.to_owned())),
            // No agent yet, or one without a place to fork at.
            Some((404 | 422, _)) | None => {}
            Some((status, why)) => panic!("{fork}: {status} {why}"),
        }
    }

    /// The forks that were acknowledged since this was asked last.
    pub(super) fn take_forks(&mut self) -> Vec<(String, String)> {
        self.forked += self.forks.len() as u64;
        std::mem::take(&mut self.forks)
    }

    pub(super) fn check(&mut self, agent: &str, outside: &Outside) {
        let acknowledged: BTreeSet<&str> = self
            .sent
            .values()
            .filter(|sent| sent.agent == agent)
            .filter_map(|sent| sent.id.as_deref())
            .collect();
        check_events(agent, &outside.events, &acknowledged);
        check_history(agent, &outside.history, &acknowledged);
        let told: Vec<_> = outside.entries.iter().flat_map(project).map(|e| e.cursor.0).collect();
        let seen: Vec<_> = outside.events.iter().map(|e| e["cursor"].as_u64().unwrap()).collect();
        assert_eq!(told, seen, "{agent}: what is told is not what is written");
        self.check_messages(agent, &outside.entries);
        self.check_calls(agent, &outside.entries);
        self.turns += check_turns(agent, &outside.entries);
    }

    /// Each text is one message, under the name that was acknowledged.
    fn check_messages(&self, agent: &str, entries: &[Entry]) {
        let mut queued = BTreeMap::new();
        for entry in entries {
            if let Fact::MessageQueued { id, content, .. } = &entry.fact {
                let text = content[0].as_text().expect("clients send text").to_owned();
                assert_eq!(queued.insert(text, id.to_string()), None, "{agent}: a message is there twice");
            }
        }
        for (text, sent) in self.sent.iter().filter(|(_, sent)| sent.agent == agent) {
            let Some(id) = &sent.id else { continue };
            assert_eq!(queued.get(text), Some(id), "{agent}: {text} was acknowledged");
        }
    }

    /// A call is started at most once, decided at most once and as was acknowledged, and ended once.
    fn check_calls(&mut self, agent: &str, entries: &[Entry]) {
        let (mut starts, mut ends, mut decisions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut may_repeat = BTreeSet::new();
        for entry in entries {
            match &entry.fact {
                Fact::ModelAnswered { calls, .. } => may_repeat.extend(
                    calls
                        .iter()
                        .filter(|new| new.traits.is_some_and(|t| t.replayable))
                        .map(|new| &new.call.id),
                ),
                Fact::ToolStarted { call, .. } => *starts.entry(call).or_insert(0) += 1,
                Fact::ToolEnded { call, .. } => *ends.entry(&call.id).or_insert(0) += 1,
                Fact::PermissionDecided { call, decision, .. } => {
                    assert_eq!(
                        decisions.insert(call.as_str(), *decision),
                        None,
                        "{agent}: {call} decided twice"
                    );
                }
                _ => {}
            }
        }
        let twice: Vec<_> =
            starts.iter().filter(|(call, n)| **n > 1 && !may_repeat.contains(*call)).collect();
        assert!(twice.is_empty(), "{agent}: started more than once: {twice:?}");
        assert!(ends.values().all(|n| *n == 1), "{agent}: a call ended more than once: {ends:?}");
        assert!(
            starts.keys().all(|call| ends.contains_key(call)),
            "{agent}: a call was started and has no end"
        );
        for ((_, call), decision) in self.decided.iter().filter(|((of, _), _)| of == agent) {
            assert_eq!(decisions.get(call.as_str()), Some(decision), "{agent}: the decision on {call}");
        }
        self.starts += starts.values().sum::<u64>();
    }

    /// No file was changed twice by one call.
    pub(super) fn check_files(&self, workspace: &Path) {
        let mut changed = 0;
        for agent in std::fs::read_dir(workspace).unwrap() {
            for file in std::fs::read_dir(agent.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let Ok(text) = std::fs::read_to_string(&path) else { continue };
                let ran = text.lines().filter(|line| *line == RAN).count();
                assert!(ran <= 1, "{}: a tool ran {ran} times", path.display());
                changed += ran;
            }
        }
        assert!(changed > 0, "no tool left a trace");
    }

    /// In one line.
    pub(super) fn told(&self) -> String {
        let acknowledged = self.sent.values().filter(|sent| sent.id.is_some()).count();
        let Self { repeats, starts, turns, decided, forked, .. } = self;
        let decided = decided.len();
        format!(
            "{acknowledged} messages acknowledged, {repeats} of them again; {turns} turns, {starts} tools started, \
             {decided} approvals decided, {forked} forks: none lost, none twice"
        )
    }
}

/// Turns begin and end in turn, and each message has one of them. How many there were.
fn check_turns(agent: &str, entries: &[Entry]) -> u64 {
    let (mut taken, mut answered, mut open, mut turns) = (BTreeSet::new(), BTreeSet::new(), false, 0);
    for entry in entries {
        match &entry.fact {
            Fact::TurnStarted { messages, .. } => {
                assert!(!open, "{agent}: a turn began within another");
                open = true;
                turns += 1;
                assert!(messages.iter().all(|id| taken.insert(id)), "{agent}: a message has two turns");
            }
            Fact::Steered { messages } => {
                assert!(messages.iter().all(|id| taken.insert(id)), "{agent}: a message was taken twice");
            }
            Fact::TurnEnded { messages, .. } => {
                assert!(open, "{agent}: a turn ended twice");
                open = false;
                assert!(
                    messages.iter().all(|id| answered.insert(id)),
                    "{agent}: a message was answered twice"
                );
            }
            _ => {}
        }
    }
    assert_eq!((open, taken), (false, answered), "{agent}: not every message was answered");
    turns
}

fn check_events(agent: &str, events: &[Value], acknowledged: &BTreeSet<&str>) {
    let cursors: Vec<u64> = events.iter().map(|e| e["cursor"].as_u64().unwrap()).collect();
    assert!(cursors.windows(2).all(|w| w[0] < w[1]), "{agent}: cursors do not rise");
    let of = |kind: &str, field: &[&str]| -> Vec<String> {
        let told = events.iter().filter(|e| e["event"]["type"] == kind);
        told.map(|e| field.iter().fold(&e["event"], |v, f| &v[*f]).as_str().unwrap().to_owned()).collect()
    };
    let (starts, ends) = (of("tool:start", &["call", "id"]), of("tool:end", &["call", "id"]));
    let once: BTreeSet<_> = starts.iter().collect();
    assert_eq!(
        (once.len(), starts.len()),
        (ends.len(), ends.len()),
        "{agent}: a call started or ended twice"
    );
    assert_eq!(once, ends.iter().collect(), "{agent}: a call has no end");
    let mut answered = BTreeMap::new();
    for event in events.iter().filter(|e| e["event"]["type"] == "done") {
        for id in event["event"]["messageIds"].as_array().unwrap() {
            *answered.entry(id.as_str().unwrap().to_owned()).or_insert(0) += 1;
        }
    }
    assert!(answered.values().all(|n| *n == 1), "{agent}: a message was answered twice");
    let lost: Vec<_> = acknowledged.iter().filter(|id| !answered.contains_key(**id)).collect();
    assert!(lost.is_empty(), "{agent}: acknowledged and never answered: {lost:?}");
}

fn check_history(agent: &str, messages: &[Value], acknowledged: &BTreeSet<&str>) {
    let ids: Vec<&str> = messages.iter().map(|m| m["id"].as_str().unwrap()).collect();
    for id in acknowledged {
        assert_eq!(ids.iter().filter(|i| *i == id).count(), 1, "{agent}: {id} is not once in the history");
    }
    let blocks = |message: &Value, kind: &str, field: &str| -> Vec<Value> {
        let content = message["content"].as_array().unwrap();
        content.iter().filter(|b| b["type"] == kind).map(|b| b[field].clone()).collect()
    };
    for (at, message) in messages.iter().enumerate() {
        let asked = blocks(message, "tool_use", "id");
        if !asked.is_empty() {
            let results = messages.get(at + 1).map(|next| blocks(next, "tool_result", "toolUseId"));
            assert_eq!(results, Some(asked), "{agent}: a call without its one result");
        }
    }
}
