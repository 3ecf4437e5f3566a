//! The rules of a request, as a pure function over its body.

use std::collections::BTreeSet;

use serde_json::Value;

/// What is wrong with a request's body, in words; empty for a good one.
///
/// The rules are those that hold for every request that a model ever sees: each assistant tool call has
/// exactly one result, before anything else is said; no result is without its call; no user message is
/// empty; at most one system message, at the beginning; something is there to answer. And those of the
/// API's contract: legal tool names, arguments that are a JSON object, at most 128 tools.
#[must_use]
pub fn violations(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    let mut found = Found::default();
    found.systems(messages);
    found.answerable(messages);
    let mut open = BTreeSet::new();
    for (at, message) in messages.iter().enumerate() {
        found.message(at, message, &mut open);
    }
    found.settled(messages.len(), &open);
    found.tools(body);
    found.0
}

#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    fn rule(&mut self, holds: bool, broken: impl FnOnce() -> String) {
        if !holds {
            self.0.push(broken());
        }
    }

    fn systems(&mut self, messages: &[Value]) {
        let late = messages.iter().skip(1).filter(|m| role(m) == "system").count();
        self.rule(late == 0, || format!("{late} system message(s) after the first message"));
    }

    fn answerable(&mut self, messages: &[Value]) {
        let any = messages.iter().any(|m| matches!(role(m), "user" | "tool"));
        self.rule(any, || "no user or tool message".to_owned());
    }

    fn message(&mut self, at: usize, message: &Value, open: &mut BTreeSet<String>) {
        match role(message) {
            "tool" => self.result(at, message, open),
            "assistant" => {
                self.settled(at, open);
                *open = self.calls(at, message);
            }
            "user" => {
                self.settled(at, open);
                open.clear();
                self.rule(!is_blank(&message["content"]), || format!("message {at}: an empty user message"));
            }
            "system" => {}
            other => self.0.push(format!("message {at}: no such role as {other:?}")),
        }
    }

    fn result(&mut self, at: usize, message: &Value, open: &mut BTreeSet<String>) {
        let id = text(&message["tool_call_id"]);
        self.rule(open.remove(id), || format!("message {at}: a result for {id:?}, which no open call has"));
        self.rule(message["content"].is_string(), || format!("message {at}: a result's content is a string"));
    }

    fn calls(&mut self, at: usize, message: &Value) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for call in message["tool_calls"].as_array().map_or(&[][..], Vec::as_slice) {
            let (id, function) = (text(&call["id"]), &call["function"]);
            self.rule(!id.is_empty() && ids.insert(id.to_owned()), || {
                format!("message {at}: the call id {id:?} is empty or used twice")
            });
            self.name(function);
            let arguments = serde_json::from_str::<Value>(text(&function["arguments"]));
            let is_object = arguments.is_ok_and(|value| value.is_object());
            self.rule(is_object, || format!("message {at}: the arguments of {id:?} are no JSON object"));
        }
        ids
    }

    fn settled(&mut self, at: usize, open: &BTreeSet<String>) {
        self.rule(open.is_empty(), || format!("before message {at}: calls without a result: {open:?}"));
    }

    fn tools(&mut self, body: &Value) {
        let tools = body["tools"].as_array().map_or(&[][..], Vec::as_slice);
        self.rule(tools.len() <= 128, || format!("{} tools", tools.len()));
        tools.iter().for_each(|tool| self.name(&tool["function"]));
    }

    fn name(&mut self, function: &Value) {
        let name = text(&function["name"]);
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let is_legal = (1..=64).contains(&name.len()) && name.bytes().all(legal);
        self.rule(is_legal, || format!("the tool name {name:?} is not legal"));
    }
}

fn role(message: &Value) -> &str {
    text(&message["role"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A string, or a list of typed parts, of which all that is text is white space.
fn is_blank(content: &Value) -> bool {
    match content {
        Value::Array(parts) => {
            parts.iter().all(|part| part["type"] == "text" && text(&part["text"]).trim().is_empty())
        }
        other => text(other).trim().is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn broken(messages: Value) -> Vec<String> {
        violations(&json!({ "messages": messages }))
    }

    fn call(id: &str) -> Value {
        json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}})
    }

    fn user() -> Value {
        json!({"role": "user", "content": "hi"})
    }

    fn asks(ids: &[&str]) -> Value {
        json!({"role": "assistant", "tool_calls": ids.iter().map(|id| call(id)).collect::<Vec<_>>()})
    }

    fn result(id: &str) -> Value {
        json!({"role": "tool", "tool_call_id": id, "content": "x"})
    }

    #[test]
    fn a_good_history_breaks_nothing() {
        let system = json!({"role": "system", "content": "s"});
        let history =
            json!([system, user(), asks(&["a", "b"]), result("b"), result("a"), asks(&["a"]), result("a")]);
        assert_eq!(broken(history), Vec::<String>::new());
    }

    #[test]
    fn g2_each_broken_pairing_is_found() {
        let open_a = |at| vec![format!("before message {at}: calls without a result: {{\"a\"}}")];
        let orphan = |at| vec![format!("message {at}: a result for \"a\", which no open call has")];
        assert_eq!(broken(json!([user(), asks(&["a"])])), open_a(2));
        assert_eq!(broken(json!([user(), asks(&["a"]), user()])), open_a(2));
        assert_eq!(broken(json!([user(), asks(&["a"]), asks(&["b"]), result("b")])), open_a(2));
        assert_eq!(broken(json!([user(), result("a")])), orphan(1));
        assert_eq!(broken(json!([user(), asks(&["a"]), result("a"), result("a")])), orphan(3));
        let twice = broken(json!([user(), asks(&["a", "a"]), result("a")]));
        assert_eq!(twice, ["message 1: the call id \"a\" is empty or used twice"]);
    }

    #[test]
    fn empty_users_second_systems_and_nothing_to_answer_are_found() {
        let system = json!({"role": "system", "content": "s"});
        assert_eq!(broken(json!([system, system, user()])), ["1 system message(s) after the first message"]);
        assert_eq!(broken(json!([system])), ["no user or tool message"]);
        for content in
            [json!(""), json!(" \n"), json!([]), json!([{"type": "text", "text": ""}]), json!(null)]
        {
            let found = broken(json!([{"role": "user", "content": content}]));
            assert_eq!(found, ["message 0: an empty user message"], "{content}");
        }
    }

    #[test]
    fn the_contract_on_tools_is_checked() {
        let tools = vec![json!({"type": "function", "function": {"name": "a b"}}); 129];
        let found = violations(&json!({"messages": [user()], "tools": tools}));
        assert_eq!((found.len(), found[0].as_str()), (130, "129 tools"));
        let bad = json!({"role": "assistant", "tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": "{\"x\": tru"}},
        ]});
        assert_eq!(
            broken(json!([user(), bad, result("a")])),
            ["message 1: the arguments of \"a\" are no JSON object"]
        );
    }
}
