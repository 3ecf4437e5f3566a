//! A history that a model takes, from one that may be broken: each call gets its one result right behind it, in the
//! calls' order; no result stands anywhere else; no message is empty.

use kode_core::call::Call;
use kode_core::id::{CallId, MessageId, Millis, Seq};
use kode_core::message::{Block, Message, Role};
use serde_json::{Map, Value, json};

use crate::note::Notes;
use crate::record::{self, Answer};
use crate::said::{Part, Said};

/// Messages and records, as our journal has them.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) messages: Vec<Message>,
    pub(crate) calls: Vec<Call>,
}

/// A call of the history, by the message that asks for it.
struct Use {
    message: usize,
    upstream: String,
    name: String,
    input: Value,
    answer: Option<Answer>,
}

/// Mends the messages and joins them with the records of their calls. `moved` stands for every time that upstream
/// does not tell.
pub(crate) fn mend(said: Vec<Said>, records: &[Value], moved: Millis, notes: &mut Notes) -> History {
    let mut uses = Vec::new();
    let mut rests = Vec::with_capacity(said.len());
    for (message, said) in said.into_iter().enumerate() {
        rests.push(pair(message, said, &mut uses, notes));
    }
    let mut history = History::default();
    let mut spare: Vec<Option<&Value>> = records.iter().map(Some).collect();
    let known = known(&uses, &mut spare);
    let mut calls = uses.into_iter().zip(known).peekable();
    for (message, rest) in rests.into_iter().enumerate() {
        let mut own = Vec::new();
        while let Some(next) = calls.next_if(|(call, _)| call.message == message) {
            own.push(next);
        }
        history.say(message + 1, rest, own, moved, notes);
    }
    history.keep(spare.into_iter().flatten(), moved, notes);
    history
}

/// What is left of a message without its calls and results.
struct Rest {
    role: Role,
    system: bool,
    blocks: Vec<Block>,
    /// Whether it held results, which stand elsewhere now.
    gave: bool,
}

/// Takes calls out of a message and gives results to the calls before it.
fn pair(message: usize, said: Said, uses: &mut Vec<Use>, notes: &mut Notes) -> Rest {
    let Said { role, system, parts } = said;
    let mut blocks = Vec::new();
    let mut gave = false;
    for part in parts {
        match part {
            Part::Block(block) => blocks.push(block),
            Part::Use { id, name, input } => {
                uses.push(Use { message, upstream: id, name, input, answer: None });
            }
            Part::Result { id, content, is_error } => {
                gave = true;
                blocks.extend(give(message, uses, &id, Answer { content, is_error }, notes));
            }
        }
    }
    Rest { role, system, blocks, gave }
}

/// Gives a result to the call of that id: of several, to the first without one in the newest message that has such
/// calls. What is left over becomes text.
fn give(message: usize, uses: &mut [Use], id: &str, answer: Answer, notes: &mut Notes) -> Option<Block> {
    let number = message + 1;
    let newest = uses.iter().filter(|call| call.upstream == id).map(|call| call.message).max();
    let open = |call: &&mut Use| call.upstream == id && Some(call.message) == newest && call.answer.is_none();
    if let Some(call) = uses.iter_mut().find(open) {
        if message != call.message + 1 {
            notes.mended(format!("message {number}: the result of {id} was moved behind its call"));
        }
        call.answer = Some(answer);
        return None;
    }
    if uses.iter().any(|call| call.upstream == id && call.answer.as_ref() == Some(&answer)) {
        notes.mended(format!("message {number}: a second, equal result of {id} was left out"));
        return None;
    }
    let known = uses.iter().any(|call| call.upstream == id);
    let why = if known { "one more result of" } else { "a result without its call," };
    notes.mended(format!("message {number}: {why} {id} became text"));
    let (content, _) = record::cut(answer.content);
    Some(Block::text(format!("[result of an earlier tool call {id}]\n{content}")))
}

/// For each call its record: the newest of that id, as upstream keeps one only. Taken records are gone from `spare`.
fn known<'a>(uses: &[Use], spare: &mut [Option<&'a Value>]) -> Vec<Option<&'a Value>> {
    let mut known = vec![None; uses.len()];
    for (call, found) in uses.iter().zip(&mut known).rev() {
        let own = |record: &&mut Option<&Value>| record.is_some_and(|r| r["id"] == call.upstream.as_str());
        *found = spare.iter_mut().rev().find(own).and_then(Option::take);
    }
    known
}

impl History {
    /// Adds what is left of a message, and its calls with their results.
    fn say(
        &mut self,
        number: usize,
        rest: Rest,
        calls: Vec<(Use, Option<&Value>)>,
        moved: Millis,
        notes: &mut Notes,
    ) {
        let mut content = rest.blocks;
        let mut results = Vec::with_capacity(calls.len());
        for ((call, record), index) in calls.into_iter().zip(0..) {
            let id = CallId::new(format!("call_imported_{number}_{index}"));
            let answer = settled(number, &call, record, notes);
            self.calls.push(record::call(
                id.clone(),
                &call.upstream,
                (&call.name, &call.input),
                record,
                &answer,
                moved,
            ));
            content.push(Block::ToolUse { id: id.clone(), name: call.name, input: call.input });
            results.push(Block::ToolResult { id, content: answer.content, is_error: answer.is_error });
        }
        if content.iter().all(says_nothing) {
            if !rest.gave || !content.is_empty() {
                notes.mended(format!(
                    "message {number} had nothing in it that a model reads and was left out"
                ));
            }
            return;
        }
        let metadata = if rest.system {
            [("upstreamRole".to_owned(), json!("system"))].into_iter().collect()
        } else {
            Map::new()
        };
        self.push(number, rest.role, content, metadata, moved, notes);
        if !results.is_empty() {
            self.add(Role::User, results, Map::new(), moved);
        }
    }

    /// Adds a message, or joins it to the one before where both are the model's.
    fn push(
        &mut self,
        number: usize,
        role: Role,
        content: Vec<Block>,
        metadata: Map<String, Value>,
        moved: Millis,
        notes: &mut Notes,
    ) {
        match self.messages.last_mut().filter(|last| (last.role, role) == (Role::Assistant, Role::Assistant))
        {
            Some(last) => {
                notes.mended(format!("message {number} was joined to the answer before it"));
                last.content.extend(content);
            }
            None => self.add(role, content, metadata, moved),
        }
    }

    fn add(&mut self, role: Role, content: Vec<Block>, metadata: Map<String, Value>, moved: Millis) {
        let id = MessageId::new(format!("imported_{}", self.messages.len() + 1));
        let message =
            Message { id, role, content, created_at: moved, seq: Seq::ZERO, interrupted: false, metadata };
        self.messages.push(message);
    }

    /// Keeps the records of calls that the history no longer has.
    fn keep<'a>(&mut self, records: impl Iterator<Item = &'a Value>, moved: Millis, notes: &mut Notes) {
        for (record, number) in records.zip(1..) {
            let text = |name: &str| record[name].as_str().unwrap_or_default();
            let answer = record::answer(text("name"), Some(record));
            let (id, call) =
                (CallId::new(format!("call_imported_record_{number}")), (text("name"), &record["input"]));
            if record::is_open(record) {
                notes.mended(format!("the call {} was not over; it is sealed", text("id")));
            }
            self.calls.push(record::call(id, text("id"), call, Some(record), &answer, moved));
        }
    }
}

/// The answer that a call has in the history, or the one that is made up for it.
fn settled(number: usize, call: &Use, record: Option<&Value>, notes: &mut Notes) -> Answer {
    let Use { upstream, name, .. } = call;
    let missing = call.answer.is_none();
    let Answer { content, is_error } = call.answer.clone().unwrap_or_else(|| record::answer(name, record));
    if missing {
        let now = match record {
            Some(record) if !record::is_open(record) => "that of its record was taken",
            Some(_) | None => "it is sealed, and the model is told so",
        };
        notes.mended(format!("message {number}: the call {upstream} of {name} had no result; {now}"));
    }
    let (content, was_cut) = record::cut(content);
    if was_cut {
        notes.mended(format!("message {number}: the result of {upstream} was cut in the middle"));
    }
    // A message of one empty result would be an empty message.
    let content = if content.is_empty() { "(no output)".to_owned() } else { content };
    Answer { content, is_error }
}

fn says_nothing(block: &Block) -> bool {
    match block {
        Block::Thinking { .. } => true,
        Block::Text { text } => text.trim().is_empty(),
        Block::ToolUse { .. } | Block::ToolResult { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::said;
    use kode_core::call::CallState;
    use kode_testkit::rounds::cases;
    use proptest::prelude::*;

    fn mended(messages: &[Value], records: &[Value]) -> (History, Vec<String>) {
        let mut notes = Notes::default();
        let said = said::messages(messages, &mut notes);
        let history = mend(said, records, 7, &mut notes);
        (history, notes.into_vec().into_iter().map(|note| note.what).collect())
    }

    fn text(text: &str) -> Value {
        json!({ "type": "text", "text": text })
    }

    fn asks(id: &str) -> Value {
        json!({ "type": "tool_use", "id": id, "name": "fs_read", "input": { "path": id } })
    }

    fn gives(id: &str, content: &str) -> Value {
        json!({ "type": "tool_result", "tool_use_id": id, "content": content })
    }

    fn user(content: &[Value]) -> Value {
        json!({ "role": "user", "content": content })
    }

    fn model(content: &[Value]) -> Value {
        json!({ "role": "assistant", "content": content })
    }

    /// What a model reads, a line a block; calls by their tool's input.
    fn story(history: &History) -> Vec<String> {
        let line = |message: &Message, block: &Block| {
            let who = if message.role == Role::User { "user" } else { "model" };
            match block {
                Block::Text { text } => format!("{who}: {text}"),
                Block::Thinking { text } => format!("{who} thinks: {text}"),
                Block::ToolUse { id, input, .. } => {
                    format!("{id} asks {}", input["path"].as_str().unwrap_or("?"))
                }
                Block::ToolResult { id, content, .. } => format!("{id} gives {content}"),
            }
        };
        history.messages.iter().flat_map(|m| m.content.iter().map(move |block| line(m, block))).collect()
    }

    /// What must hold of every history that a model is sent.
    fn flaw(history: &History) -> Option<String> {
        let mut open: Vec<&CallId> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut last = None;
        for message in &history.messages {
            let uses: Vec<_> = message.content.iter().filter_map(asked).collect();
            let results: Vec<_> = message.content.iter().filter_map(answered).collect();
            if results != open {
                return Some(format!("{results:?} where {open:?} are asked for"));
            }
            let wrong_side = |calls: &[&CallId], role| !calls.is_empty() && message.role != role;
            if wrong_side(&uses, Role::Assistant) || wrong_side(&results, Role::User) {
                return Some(format!("{} has what is the other side's", message.id));
            }
            if message.content.iter().all(says_nothing) || !uses.iter().all(|id| seen.insert(*id)) {
                return Some(format!("{} is empty, or a call's name repeats", message.id));
            }
            if (last, message.role) == (Some(Role::Assistant), Role::Assistant) {
                return Some(format!("{} is an answer to an answer", message.id));
            }
            (open, last) = (uses, Some(message.role));
        }
        (!open.is_empty()).then(|| format!("no results for {open:?}"))
    }

    fn asked(block: &Block) -> Option<&CallId> {
        if let Block::ToolUse { id, .. } = block { Some(id) } else { None }
    }

    fn answered(block: &Block) -> Option<&CallId> {
        if let Block::ToolResult { id, .. } = block { Some(id) } else { None }
    }

    #[test]
    fn a_good_history_comes_over_without_a_note() {
        let messages = [
            user(&[text("read a and b")]),
            model(&[json!({ "type": "reasoning", "reasoning": "hm" }), text("I will"), asks("a"), asks("b")]),
            user(&[gives("a", "A"), gives("b", "B")]),
            model(&[text("done")]),
        ];
        let record = json!({ "id": "a", "name": "fs_read", "state": "COMPLETED", "createdAt": 1, "startedAt": 2,
            "completedAt": 5, "durationMs": 3, "result": { "text": "A" }, "approval": { "required": false },
            "auditTrail": [{ "state": "PENDING", "timestamp": 1 }, { "state": "COMPLETED", "timestamp": 5 }] });
        let (history, notes) = mended(&messages, &[record]);
        assert_eq!(
            story(&history),
            [
                "user: read a and b",
                "model thinks: hm",
                "model: I will",
                "call_imported_2_0 asks a",
                "call_imported_2_1 asks b",
                "call_imported_2_0 gives A",
                "call_imported_2_1 gives B",
                "model: done",
            ]
        );
        assert_eq!((notes, flaw(&history)), (vec![], None));
        let first = &history.calls[0];
        assert_eq!(
            (first.state, first.started_at, first.duration_ms),
            (CallState::Completed, Some(2), Some(3))
        );
        assert_eq!(first.result, Some(json!({ "text": "A" })));
        assert_eq!(first.audit_trail[0].note.as_deref(), Some("upstream's call a"));
    }

    #[test]
    fn a_call_without_a_result_is_sealed_or_answered_by_its_record() {
        let messages =
            [user(&[text("go")]), model(&[asks("ran"), asks("done"), asks("asked"), asks("lost")])];
        let record =
            |id: &str, state: &str| json!({ "id": id, "name": "fs_read", "state": state, "result": "R" });
        let asked = json!({ "id": "asked", "name": "fs_read", "state": "APPROVAL_REQUIRED", "approval": { "required": true } });
        let (history, notes) =
            mended(&messages, &[record("ran", "EXECUTING"), record("done", "COMPLETED"), asked]);
        assert_eq!(flaw(&history), None);
        let told = story(&history);
        assert!(told[5].contains("unknown_outcome"), "{told:?}");
        assert_eq!(told[6], "call_imported_2_1 gives R");
        assert!(told[7].contains("not_started") && told[8].contains("unknown_outcome"), "{told:?}");
        let states: Vec<_> = history.calls.iter().map(|call| call.state).collect();
        assert_eq!(states, [CallState::Sealed, CallState::Completed, CallState::Sealed, CallState::Failed]);
        let approval = history.calls[2].approval.as_ref().unwrap();
        assert_eq!(approval.decided_by.as_deref(), Some("import"));
        assert_eq!(notes.len(), 4);
    }

    #[test]
    fn doubled_orphaned_and_late_results_find_their_place_or_become_text() {
        let messages = [
            user(&[gives("gone", "G"), text("go")]),
            model(&[asks("a")]),
            user(&[text("meanwhile")]),
            user(&[gives("a", "A"), gives("a", "A"), gives("a", "other")]),
            model(&[text("done")]),
        ];
        let (history, notes) = mended(&messages, &[]);
        assert_eq!(flaw(&history), None);
        assert_eq!(
            story(&history),
            [
                "user: [result of an earlier tool call gone]\nG",
                "user: go",
                "call_imported_2_0 asks a",
                "call_imported_2_0 gives A",
                "user: meanwhile",
                "user: [result of an earlier tool call a]\nother",
                "model: done",
            ]
        );
        assert_eq!(notes.len(), 4, "{notes:?}");
    }

    #[test]
    fn ids_that_repeat_are_told_apart() {
        let messages = [
            user(&[text("go")]),
            model(&[asks("x"), asks("x")]),
            user(&[gives("x", "1"), gives("x", "2")]),
            model(&[asks("x")]),
            user(&[gives("x", "3")]),
        ];
        let record = json!({ "id": "x", "name": "fs_read", "state": "FAILED", "error": "no" });
        let (history, notes) = mended(&messages, &[record]);
        assert_eq!((flaw(&history), notes), (None, vec![]));
        let gives: Vec<_> = story(&history).into_iter().filter(|line| line.contains(" gives ")).collect();
        assert_eq!(
            gives,
            ["call_imported_2_0 gives 1", "call_imported_2_1 gives 2", "call_imported_4_0 gives 3"]
        );
        // Upstream keeps one record of an id: that of its newest call.
        let states: Vec<_> = history.calls.iter().map(|call| call.state).collect();
        assert_eq!(states, [CallState::Completed, CallState::Completed, CallState::Failed]);
    }

    #[test]
    fn system_messages_empty_ones_and_media_are_told() {
        let messages = [
            json!({ "role": "system", "content": [text("<context-summary>…</context-summary>")] }),
            user(&[text(" ")]),
            model(&[text("one")]),
            user(&[]),
            model(&[text("two")]),
            user(&[
                json!({ "type": "image", "base64": "AAAA", "mime_type": "image/png" }),
                text("what is it?"),
            ]),
            json!({ "role": "tool", "content": "odd" }),
            json!(17),
        ];
        let (history, notes) = mended(&messages, &[]);
        assert_eq!(flaw(&history), None);
        assert_eq!(
            story(&history),
            [
                "user: <context-summary>…</context-summary>",
                "model: one",
                "model: two",
                "user: [image image/png: not carried over]",
                "user: what is it?",
                "user: odd",
            ]
        );
        assert_eq!(history.messages[0].metadata["upstreamRole"], "system");
        assert_eq!(notes.len(), 8, "{notes:?}");
    }

    #[test]
    fn records_of_forgotten_calls_stay_records() {
        let record =
            json!({ "id": "old", "name": "bash_run", "state": "EXECUTING", "input": { "cmd": "ls" } });
        let (history, notes) = mended(&[], &[record]);
        assert_eq!(history.calls[0].state, CallState::Sealed);
        assert_eq!((history.messages.len(), notes.len()), (0, 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(cases("broken upstream histories", 512, 10_240)))]

        /// G2 for histories from elsewhere: whatever upstream left, the model is sent what it takes.
        #[test]
        fn g2_any_broken_history_becomes_one_that_a_model_takes(
            messages in prop::collection::vec(message(), 0..12),
            records in prop::collection::vec(a_record(), 0..5),
        ) {
            let (history, notes) = mended(&messages, &records);
            prop_assert_eq!(flaw(&history), None);
            let mut names: Vec<_> = history.calls.iter().map(|call| &call.id).collect();
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), history.calls.len());
            prop_assert!(history.calls.iter().all(|call| call.is_error == (call.state != CallState::Completed)));
            // What was said is still said, somewhere.
            let told = story(&history).join("\n");
            for word in messages.iter().flat_map(words) {
                prop_assert!(told.contains(&word), "{} is gone: {:?}", word, notes);
            }
        }
    }

    /// The texts of a message, without those of results, which may be equal and then stand once.
    fn words(message: &Value) -> Vec<String> {
        let blocks = message["content"].as_array().cloned().unwrap_or_default();
        let said =
            blocks.iter().filter_map(|block| block["text"].as_str()).filter(|text| !text.trim().is_empty());
        said.map(ToOwned::to_owned).collect()
    }

    fn message() -> impl Strategy<Value = Value> {
        let role = prop_oneof![
            4 => Just(json!("user")), 4 => Just(json!("assistant")), 1 => Just(json!("system")),
            1 => Just(json!("tool")), 1 => Just(json!(null)),
        ];
        let content = prop_oneof![
            6 => prop::collection::vec(block(), 0..5).prop_map(Value::Array),
            1 => Just(json!("plain")), 1 => Just(json!(null)), 1 => Just(json!({ "odd": true })),
        ];
        (role, content).prop_map(|(role, content)| json!({ "role": role, "content": content }))
    }

    fn block() -> impl Strategy<Value = Value> {
        let id = || prop_oneof![Just("a"), Just("b"), Just("c"), Just("")];
        prop_oneof![
            prop_oneof![Just(""), Just(" "), Just("hello"), Just("there")].prop_map(text),
            Just(json!({ "type": "reasoning", "reasoning": "hm" })),
            id().prop_map(asks),
            (id(), prop_oneof![Just("1"), Just("2"), Just("")]).prop_map(|(id, content)| gives(id, content)),
            Just(json!({ "type": "tool_use" })),
            Just(json!({ "type": "image_url", "image_url": { "url": "https://example.org/a.png" } })),
            Just(json!({ "type": "novelty", "x": 1 })),
            Just(json!(null)),
        ]
    }

    fn a_record() -> impl Strategy<Value = Value> {
        let state = prop_oneof![
            Just("PENDING"),
            Just("APPROVAL_REQUIRED"),
            Just("APPROVED"),
            Just("EXECUTING"),
            Just("COMPLETED"),
            Just("FAILED"),
            Just("DENIED"),
            Just("SEALED"),
            Just("NOVEL"),
        ];
        let id = prop_oneof![Just("a"), Just("b"), Just("z")];
        (id, state, any::<bool>()).prop_map(|(id, state, required)| {
            json!({ "id": id, "name": "fs_read", "state": state, "approval": { "required": required } })
        })
    }
}
