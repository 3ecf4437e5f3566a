//! What is said, as the API writes it: chunks of a stream, or one whole answer.
//!
//! The form that pleases every known client: only `data:` frames, finish and usage in the last chunk, and
//! id, type, name and arguments in every tool delta.

use serde_json::{Value, json};

use super::record::Request;
use super::reply::{FragmentStyle, Saying};

/// The time in each answer: nothing here asks a clock.
const CREATED: u64 = 1_773_349_488;

/// One answer being written.
pub(super) struct Writer<'a> {
    saying: &'a Saying,
    request: &'a Request,
    number: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(saying: &'a Saying, request: &'a Request, number: usize) -> Self {
        Self { saying, request, number }
    }

    /// The frames of a stream, `[DONE]` included.
    pub(super) fn frames(&self) -> Vec<String> {
        let reasoning =
            cut(&self.saying.thinking, self.saying.pieces).map(|t| json!({"reasoning_content": t}));
        let text = cut(&self.saying.text, self.saying.pieces).map(|t| json!({"content": t}));
        let mut chunks: Vec<_> = reasoning.chain(text).map(|delta| self.chunk(delta)).collect();
        let calls = (0..self.saying.calls.len()).flat_map(|index| self.call_deltas(index));
        chunks.extend(calls.map(|call| self.chunk(json!({ "tool_calls": [call] }))));
        chunks.push(self.last_chunk());
        chunks.iter().map(ToString::to_string).chain(["[DONE]".to_owned()]).map(frame).collect()
    }

    /// The answer as one JSON body.
    pub(super) fn whole(&self) -> Value {
        let mut message = json!({"role": "assistant", "content": self.saying.text});
        if !self.saying.thinking.is_empty() {
            message["reasoning_content"] = json!(self.saying.thinking);
        }
        if !self.saying.calls.is_empty() {
            let calls =
                (0..self.saying.calls.len()).map(|index| self.call(index, &self.saying.calls[index].1));
            message["tool_calls"] = calls.collect();
        }
        let choice = json!({"index": 0, "message": message, "finish_reason": self.finish()});
        let mut body = self.envelope("chat.completion", choice);
        body["usage"] = self.usage();
        body
    }

    fn chunk(&self, mut delta: Value) -> Value {
        delta["role"] = json!("assistant");
        self.envelope("chat.completion.chunk", json!({"index": 0, "delta": delta}))
    }

    fn last_chunk(&self) -> Value {
        let mut chunk = self.chunk(json!({"content": ""}));
        chunk["choices"][0]["finish_reason"] = json!(self.finish());
        chunk["usage"] = self.usage();
        chunk
    }

    fn envelope(&self, object: &str, choice: Value) -> Value {
        json!({
            "id": format!("emulated-{}", self.number),
            "request_id": self.request.body["request_id"].as_str().unwrap_or("emulated-request"),
            "created": CREATED,
            "object": object,
            "model": self.request.body["model"],
            "choices": [choice],
        })
    }

    fn finish(&self) -> &str {
        let usual = if self.saying.calls.is_empty() { "stop" } else { "tool_calls" };
        self.saying.finish.as_deref().unwrap_or(usual)
    }

    fn usage(&self) -> Value {
        let (input, output) = self.saying.usage.unwrap_or((1, 1));
        json!({
            "prompt_tokens": input,
            "completion_tokens": output,
            "total_tokens": input + output,
            "prompt_tokens_details": {"cached_tokens": 0},
        })
    }

    /// The deltas of one call: whole, or in fragments where the client asked for them.
    fn call_deltas(&self, index: usize) -> Vec<Value> {
        let arguments = &self.saying.calls[index].1;
        let wants = self.request.body["tool_stream"] == true;
        let fragments = if wants { self.saying.fragments } else { 1 };
        let pieces = cut(arguments, fragments).enumerate();
        pieces.map(|(at, piece)| self.styled(at > 0, self.call(index, &piece))).collect()
    }

    fn call(&self, index: usize, arguments: &str) -> Value {
        json!({
            "index": index,
            "id": format!("call_{}_{index}", self.number),
            "type": "function",
            "function": {"name": self.saying.calls[index].0, "arguments": arguments},
        })
    }

    fn styled(&self, later: bool, mut call: Value) -> Value {
        match self.saying.style {
            FragmentStyle::Empty if later => {
                (call["id"], call["function"]["name"]) = (json!(""), json!(""));
                call
            }
            FragmentStyle::Omit if later => {
                json!({"index": call["index"], "function": {"arguments": call["function"]["arguments"]}})
            }
            FragmentStyle::Repeat | FragmentStyle::Empty | FragmentStyle::Omit => call,
        }
    }
}

/// One frame of an event stream.
pub(super) fn frame(data: String) -> String {
    format!("data: {data}\n\n")
}

/// The text in at most so many pieces (at least one, unless it is empty), cut between characters.
fn cut(text: &str, pieces: usize) -> impl Iterator<Item = String> {
    let chars: Vec<char> = text.chars().collect();
    let size = chars.len().div_ceil(pieces.max(1)).max(1);
    let pieces: Vec<String> = chars.chunks(size).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_characters() {
        let pieces = |text, n| cut(text, n).collect::<Vec<_>>();
        assert_eq!(pieces("你好👋", 2), ["你好", "👋"]);
        assert_eq!(pieces("ab", 9), ["a", "b"]);
        assert_eq!(pieces("ab", 0), ["ab"]);
        assert_eq!(pieces("", 3), Vec::<String>::new());
    }
}
