//! One attempt as the JSON body that GLM reads.
//!
//! Pure: the same request gives the same bytes, so that the provider's cache serves the common prefix.

mod turns;

use kode_core::model::{ErrorClass, ModelError, ModelRequest, ToolSpec};
use serde::Serialize;
use serde_json::Value;

use self::turns::Turn;
use crate::config::{GlmConfig, Thinking};
use crate::models::{Capabilities, capabilities};

/// Most tools of one request.
const MOST_TOOLS: usize = 128;

#[derive(Debug, Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Turn<'a>>,
    stream: bool,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<ThinkingParam>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ThinkingParam {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    clear_thinking: Option<bool>,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Debug, Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

/// The body of an attempt.
///
/// # Errors
/// [`ErrorClass::BadRequest`] for what the provider is sure to refuse: nothing to answer, too many tools, a
/// tool's name that it does not take.
pub(crate) fn body(request: &ModelRequest, config: &GlmConfig) -> Result<Vec<u8>, ModelError> {
    let can = capabilities(&request.model);
    let tools = tools(&request.tools)?;
    let some = !tools.is_empty();
    let body = Body {
        model: &request.model,
        messages: messages(request, config.thinking)?,
        stream: true,
        max_tokens: request.max_tokens.min(can.output.unwrap_or(u32::MAX)),
        thinking: thinking(config.thinking, can),
        temperature: config.temperature,
        top_p: config.top_p,
        tools,
        tool_choice: some.then_some("auto"),
        // Fragments keep the stream alive while the model writes long arguments.
        tool_stream: (some && can.tool_stream).then_some(true),
        stream_options: config.stream_options.then_some(StreamOptions { include_usage: true }),
        request_id: sized(&request.request_id, 6, 64),
        user_id: sized(&request.user, 6, 128),
    };
    serde_json::to_vec(&body).map_err(|_| refused("the request cannot be written as JSON"))
}

fn messages(request: &ModelRequest, thinking: Thinking) -> Result<Vec<Turn<'_>>, ModelError> {
    let system = (!request.system.trim().is_empty()).then_some(Turn::System { content: &request.system });
    // Reasoning belongs to its own tool loop; across turns it goes back complete or not at all.
    let from = if thinking == Thinking::Preserved { 0 } else { request.turn_start };
    let history = request.messages.iter().enumerate();
    let history = history.flat_map(|(at, message)| turns::of(message, at >= from));
    let turns: Vec<_> = system.into_iter().chain(history).collect();
    let answerable = turns.iter().any(|turn| matches!(turn, Turn::User { .. } | Turn::Tool { .. }));
    if answerable { Ok(turns) } else { Err(refused("there is no message to answer; send one with text")) }
}

fn tools(specs: &[ToolSpec]) -> Result<Vec<Tool<'_>>, ModelError> {
    if specs.len() > MOST_TOOLS {
        let message = format!("{} tools are too many, {MOST_TOOLS} is the most; offer fewer", specs.len());
        return Err(refused(message));
    }
    if let Some(spec) = specs.iter().find(|spec| !turns::is_legal(&spec.name)) {
        let message = format!("the tool name {:?} is not 1 to 64 of a-z A-Z 0-9 _ -; rename it", spec.name);
        return Err(refused(message));
    }
    let mut specs: Vec<_> = specs.iter().collect();
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(specs.into_iter().map(tool).collect())
}

fn tool(spec: &ToolSpec) -> Tool<'_> {
    let ToolSpec { name, description, input_schema } = spec;
    Tool { r#type: "function", function: Function { name, description, parameters: input_schema } }
}

/// A model of the table that does not reason is not asked to; a model that the table does not know is asked
/// for what the host configured.
fn thinking(wanted: Thinking, can: Capabilities) -> Option<ThinkingParam> {
    let (r#type, clear_thinking) = match wanted {
        Thinking::ModelDefault => return None,
        Thinking::Enabled => ("enabled", None),
        Thinking::Preserved => ("enabled", Some(false)),
        Thinking::Disabled => ("disabled", None),
    };
    let known = can != Capabilities::default();
    (can.thinking || !known).then_some(ThinkingParam { r#type, clear_thinking })
}

/// The text if its length is one that GLM takes: without it a request works, with a wrong one it does not.
fn sized(text: &str, least: usize, most: usize) -> Option<&str> {
    (least..=most).contains(&text.chars().count()).then_some(text)
}

fn refused(message: impl Into<String>) -> ModelError {
    ModelError::fatal(ErrorClass::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kode_core::id::{CallId, MessageId, Seq};
    use kode_core::message::{Block, Message, Role};
    use serde_json::json;

    use super::*;
    use crate::auth::GlmKey;

    fn config() -> GlmConfig {
        GlmConfig::new(GlmKey::new("testid.testsecret").unwrap())
    }

    fn message(role: Role, content: Vec<Block>) -> Arc<Message> {
        let (id, metadata) = (MessageId::new("m"), serde_json::Map::new());
        Arc::new(Message { id, role, content, created_at: 0, seq: Seq(1), interrupted: false, metadata })
    }

    fn request(model: &str, messages: Vec<Arc<Message>>) -> ModelRequest {
        ModelRequest {
            model: model.into(),
            system: "Be brief.".into(),
            messages: messages.into_iter().collect(),
            turn_start: 0,
            tools: Vec::new().into(),
            max_tokens: 1_000,
            request_id: "request-1".into(),
            user: "hash-of-agent".into(),
        }
    }

    fn asking(text: &str) -> Vec<Arc<Message>> {
        vec![message(Role::User, vec![Block::text(text)])]
    }

    fn tool_use(id: &str, name: &str, input: Value) -> Block {
        Block::ToolUse { id: CallId::new(id), name: name.into(), input }
    }

    fn tool_result(id: &str, content: &str) -> Block {
        Block::ToolResult { id: CallId::new(id), content: content.into(), is_error: false }
    }

    fn spec(name: &str) -> ToolSpec {
        ToolSpec { name: name.into(), description: "d".into(), input_schema: json!({"type": "object"}) }
    }

    fn sent(request: &ModelRequest, config: &GlmConfig) -> Value {
        serde_json::from_slice(&body(request, config).unwrap()).unwrap()
    }

    fn refusal(request: &ModelRequest) -> (ErrorClass, bool) {
        let error = body(request, &config()).unwrap_err();
        (error.class, error.retryable)
    }

    #[test]
    fn a_plain_request() {
        let expected = json!({
            "model": "glm-4.5-air",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
            "stream": true,
            "max_tokens": 1_000,
            "request_id": "request-1",
            "user_id": "hash-of-agent",
        });
        assert_eq!(sent(&request("glm-4.5-air", asking("hi")), &config()), expected);
    }

    #[test]
    fn g2_a_tool_loop_sends_each_call_with_its_result_and_the_reasoning_back() {
        let call = vec![
            Block::Thinking { text: "look".into() },
            Block::text("Let me see."),
            tool_use("call_1_0", "fs_read", json!({"path": "a"})),
            tool_use("call_1_1", "todo_read", Value::Null),
        ];
        let results =
            vec![tool_result("call_1_0", "A"), tool_result("call_1_1", "[]"), Block::text("Go on.")];
        let history = vec![
            message(Role::User, vec![Block::text("one"), Block::text("two")]),
            message(Role::Assistant, call),
            message(Role::User, results),
        ];
        let function = |name, arguments| json!({"name": name, "arguments": arguments});
        let expected = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one\n\ntwo"},
            {"role": "assistant", "content": "Let me see.", "reasoning_content": "look", "tool_calls": [
                {"id": "call_1_0", "type": "function", "function": function("fs_read", "{\"path\":\"a\"}")},
                {"id": "call_1_1", "type": "function", "function": function("todo_read", "{}")},
            ]},
            {"role": "tool", "tool_call_id": "call_1_0", "content": "A"},
            {"role": "tool", "tool_call_id": "call_1_1", "content": "[]"},
            {"role": "user", "content": "Go on."},
        ]);
        assert_eq!(sent(&request("glm-4.6", history), &config())["messages"], expected);
    }

    #[test]
    fn reasoning_of_earlier_turns_goes_back_only_where_it_is_preserved() {
        let thought = |text: &str| Block::Thinking { text: text.into() };
        let answer = |thinking| vec![message(Role::Assistant, vec![thought(thinking), Block::text("x")])];
        let mut request =
            request("glm-4.6", [asking("1"), answer("old"), asking("2"), answer("new")].concat());
        request.turn_start = 2;
        let reasoning = |config: &GlmConfig| {
            let sent = sent(&request, config);
            [2, 4].map(|at| sent["messages"][at]["reasoning_content"].clone())
        };
        assert_eq!(reasoning(&config()), [Value::Null, json!("new")]);
        let preserved = GlmConfig { thinking: Thinking::Preserved, ..config() };
        assert_eq!(reasoning(&preserved), [json!("old"), json!("new")]);
    }

    #[test]
    fn what_a_model_invented_stays_acceptable() {
        let call = vec![
            tool_use("a", "no such tool!", json!("{\"path\": tru")),
            tool_use("b", "", json!({})),
            tool_use("c", &"x".repeat(70), json!({})),
        ];
        let sent =
            sent(&request("m", [asking("hi"), vec![message(Role::Assistant, call)]].concat()), &config());
        let functions = |field| -> Vec<String> {
            let calls = sent["messages"][2]["tool_calls"].as_array().unwrap();
            calls.iter().map(|call| call["function"][field].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(functions("name"), ["no_such_tool_".to_owned(), "unnamed".into(), "x".repeat(64)]);
        assert_eq!(functions("arguments"), ["{\"unparsed\":\"{\\\"path\\\": tru\"}", "{}", "{}"]);
    }

    #[test]
    fn a_message_without_content_is_not_sent_and_nothing_to_answer_is_refused() {
        let silent = vec![Block::Thinking { text: "hm".into() }];
        let history = [asking("hi"), vec![message(Role::Assistant, silent)], asking(" \n")].concat();
        let mut request = request("m", history);
        request.system = "".into();
        assert_eq!(sent(&request, &config())["messages"], json!([{"role": "user", "content": "hi"}]));
        request.messages = asking("").into_iter().collect();
        assert_eq!(refusal(&request), (ErrorClass::BadRequest, false));
    }

    #[test]
    fn tools_are_sorted_and_streamed_where_the_model_can() {
        let mut request = request("glm-4.6", asking("hi"));
        request.tools = vec![spec("b"), spec("a")].into();
        let new = sent(&request, &config());
        let function = |name| json!({"name": name, "description": "d", "parameters": {"type": "object"}});
        let tool = |name| json!({"type": "function", "function": function(name)});
        assert_eq!(new["tools"], json!([tool("a"), tool("b")]));
        assert_eq!((&new["tool_choice"], &new["tool_stream"]), (&json!("auto"), &json!(true)));
        request.model = "glm-4.5".into();
        assert_eq!(sent(&request, &config())["tool_stream"], Value::Null);
    }

    #[test]
    fn tools_that_the_provider_would_refuse_are_refused_here() {
        let mut request = request("m", asking("hi"));
        request.tools = vec![spec("white space")].into();
        assert_eq!(refusal(&request), (ErrorClass::BadRequest, false));
        request.tools = (0..=MOST_TOOLS).map(|n| spec(&format!("t{n}"))).collect();
        assert_eq!(refusal(&request), (ErrorClass::BadRequest, false));
    }

    #[test]
    fn options_are_sent_only_where_they_are_understood() {
        let wishes = GlmConfig {
            thinking: Thinking::Preserved,
            temperature: Some(0.6),
            top_p: Some(0.9),
            stream_options: true,
            ..config()
        };
        let told = sent(&request("glm-4.6", asking("hi")), &wishes);
        assert_eq!(told["thinking"], json!({"type": "enabled", "clear_thinking": false}));
        assert_eq!((&told["temperature"], &told["top_p"]), (&json!(0.6), &json!(0.9)));
        assert_eq!(told["stream_options"], json!({"include_usage": true}));
        let off = GlmConfig { thinking: Thinking::Disabled, ..config() };
        let told = sent(&request("some-other-model", asking("hi")), &off);
        assert_eq!(told["thinking"], json!({"type": "disabled"}));
    }

    #[test]
    fn bounds_of_the_contract_are_kept() {
        let mut request = request("glm-4.5v", asking("hi"));
        (request.max_tokens, request.request_id, request.user) = (1_000_000, "short".into(), "u".repeat(129));
        let told = sent(&request, &config());
        assert_eq!(told["max_tokens"], json!(16 * 1_024));
        assert_eq!((&told["request_id"], &told["user_id"]), (&Value::Null, &Value::Null));
    }
}
