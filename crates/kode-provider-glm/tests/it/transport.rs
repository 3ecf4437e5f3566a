//! The provider against an emulated GLM over real HTTP.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use kode_core::id::{CallId, MessageId, Seq};
use kode_core::message::{Block, Message, Role};
use kode_core::model::{
    ErrorClass, Finish, Model, ModelError, ModelEvent, ModelRequest, ModelStream, ToolSpec,
};
use kode_provider_glm::{Auth, Glm, GlmConfig, GlmKey, Timeouts};
use kode_testkit::glm_emulator::{FragmentStyle, Gate, GlmEmulator, Outcome, Reply};
use serde_json::json;

use crate::support::Told;

const KEY: &str = "testkeyid.testkeysecret";
/// Longer than any test: what waits this long hangs.
const NEVER: Duration = Duration::from_secs(600);
const TINY: Duration = Duration::from_millis(20);

async fn emulator() -> GlmEmulator {
    GlmEmulator::start().await.unwrap()
}

fn config(base_url: String) -> GlmConfig {
    let timeouts = Timeouts { connect: NEVER, first_byte: NEVER, between_chunks: NEVER, total: None };
    GlmConfig { base_url, timeouts, ..GlmConfig::new(GlmKey::new(KEY).unwrap()) }
}

fn provider(emulator: &GlmEmulator) -> Glm {
    Glm::new(config(emulator.base_url())).unwrap()
}

fn with_timeouts(emulator: &GlmEmulator, timeouts: Timeouts) -> Glm {
    Glm::new(GlmConfig { timeouts, ..config(emulator.base_url()) }).unwrap()
}

#[tokio::test]
async fn the_window_of_a_known_model_is_told_and_no_other() {
    let glm = provider(&emulator().await);
    assert_eq!([glm.window("GLM-4.6"), glm.window("llama")], [Some(200_000), None]);
}

fn message(role: Role, content: Vec<Block>) -> std::sync::Arc<Message> {
    let (id, metadata) = (MessageId::new("m"), serde_json::Map::new());
    Message { id, role, content, created_at: 0, seq: Seq(1), interrupted: false, metadata }.into()
}

fn request(model: &str) -> ModelRequest {
    ModelRequest {
        model: model.into(),
        system: "Be brief.".into(),
        messages: [message(Role::User, vec![Block::text("hi")])].into_iter().collect(),
        turn_start: 0,
        tools: vec![ToolSpec { name: "f".into(), description: "d".into(), input_schema: json!({}) }].into(),
        max_tokens: 100,
        request_id: "request-1".into(),
        user: "hash-of-agent".into(),
    }
}

/// Lets all that can go on go on: every task and what the sockets bring.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

/// The next piece of text, behind the word of who answers.
async fn next_piece(stream: &mut ModelStream) -> String {
    loop {
        match stream.next().await {
            Some(Ok(ModelEvent::Began { .. })) => {}
            Some(Ok(ModelEvent::Text(piece))) => return piece,
            other => panic!("expected a piece of text, got {other:?}"),
        }
    }
}

async fn ask(glm: &Glm) -> Told {
    match glm.stream(request("glm-4.6")).await {
        Ok(stream) => collect(stream).await,
        Err(error) => Told { error: Some(error), ..Told::default() },
    }
}

async fn collect(mut stream: ModelStream) -> Told {
    let mut told = Told::default();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => told.add(event),
            Err(error) => told.error = Some(error),
        }
    }
    told
}

fn class(told: &Told) -> (ErrorClass, bool) {
    told.error.as_ref().map(|e| (e.class, e.retryable)).expect("the attempt fails")
}

#[tokio::test]
async fn reasoning_text_and_usage_arrive() {
    let emulator = emulator().await;
    emulator.push(Reply::text("你好，世界").thinking("a greeting").pieces(3).usage(12, 6));
    let told = ask(&provider(&emulator)).await;
    assert_eq!((told.thinking.as_str(), told.text.as_str()), ("a greeting", "你好，世界"));
    assert_eq!(
        (told.finish, told.usage.map(|u| (u.input_tokens, u.total_tokens))),
        (Some(Finish::Stop), Some((12, 18)))
    );
    assert_eq!(emulator.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn deltas_arrive_one_by_one_while_the_answer_is_held() {
    let (emulator, gate) = (emulator().await, Gate::closed());
    emulator.push(Reply::text("abc").pieces(3).held_by(&gate));
    let mut stream = {
        gate.release(1);
        provider(&emulator).stream(request("glm-4.6")).await.unwrap()
    };
    for piece in ["a", "b", "c"] {
        assert_eq!(next_piece(&mut stream).await, piece);
        gate.release(1);
    }
    gate.open();
    assert_eq!(collect(stream).await.finish, Some(Finish::Stop));
}

#[tokio::test]
async fn tool_calls_arrive_whole_and_in_fragments_of_every_style() {
    let (emulator, arguments) = (emulator().await, json!({"path": "a \"b\" 北京", "n": [1, 2]}));
    let glm = provider(&emulator);
    let expected = [("f".to_owned(), arguments.to_string()), ("g".into(), "{}".into())];
    for style in [FragmentStyle::Repeat, FragmentStyle::Empty, FragmentStyle::Omit] {
        for fragments in [1, 4, 100] {
            let reply = Reply::call("f", &arguments).and_call("g", &json!({}));
            emulator.push(reply.fragments(fragments, style));
            let told = ask(&glm).await;
            assert_eq!((told.finish, told.calls.as_slice()), (Some(Finish::ToolCalls), &expected[..]));
        }
    }
}

#[tokio::test]
async fn g2_a_whole_tool_loop_breaks_no_rule_of_the_model() {
    let emulator = emulator().await;
    emulator.push(Reply::text("done"));
    let id = CallId::of(1, 0);
    let call = Block::ToolUse { id: id.clone(), name: "f".into(), input: json!("not {json") };
    let result = Block::ToolResult { id, content: "no".into(), is_error: true };
    let mut request = request("glm-4.6");
    request.messages.push(message(Role::Assistant, vec![Block::Thinking { text: "hm".into() }, call]));
    request.messages.push(message(Role::User, vec![result, Block::text("")]));
    let told = collect(provider(&emulator).stream(request).await.unwrap()).await;
    assert_eq!((told.text.as_str(), emulator.violations()), ("done", vec![]));
}

#[tokio::test]
async fn the_contract_of_a_request_is_kept_on_the_wire() {
    let emulator = emulator().await;
    emulator.push(Reply::text("x"));
    ask(&provider(&emulator)).await;
    let sent = emulator.request(0).await;
    assert_eq!(sent.path, "/api/paas/v4/chat/completions");
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(sent.header("content-type"), Some("application/json"));
    assert_eq!(sent.body["stream"], true);
    assert_eq!(
        (&sent.body["request_id"], &sent.body["user_id"]),
        (&json!("request-1"), &json!("hash-of-agent"))
    );
    assert_eq!(sent.body.get("stream_options"), None);
}

#[tokio::test]
async fn g9_failures_of_every_kind_have_their_class() {
    let emulator = emulator().await;
    let glm = provider(&emulator);
    let ok = |reply: Reply| reply.pieces(4);
    let cases = [
        (Reply::error(429, "1302", "m"), ErrorClass::RateLimited, true),
        (Reply::error(429, "1113", "m"), ErrorClass::Billing, false),
        (Reply::error(400, "1261", "m"), ErrorClass::ContextOverflow, false),
        (Reply::bytes(502, "text/html", "<html>"), ErrorClass::Server, true),
        (Reply::bytes(200, "text/html", "<html>"), ErrorClass::MisconfiguredBaseUrl, false),
        (Reply::json(200, &json!({"code": 401, "msg": "m", "success": false})), ErrorClass::Auth, false),
        (
            Reply::json(302, &json!({})).header("location", "http://other.example/"),
            ErrorClass::MisconfiguredBaseUrl,
            false,
        ),
        (ok(Reply::text("abcd")).ending_after(2), ErrorClass::TruncatedStream, true),
        (ok(Reply::text("abcd")).cut_after(2), ErrorClass::TruncatedStream, true),
        (ok(Reply::text("abcd")).cut_after(0), ErrorClass::TruncatedStream, true),
        (ok(Reply::text("abcd")).malformed_after(2), ErrorClass::MalformedChunk, true),
        (ok(Reply::text("abcd")).finish("sensitive"), ErrorClass::ContentFiltered, false),
        (Reply::text("").thinking("hm"), ErrorClass::EmptyAnswer, true),
    ];
    for (reply, expected, retryable) in cases {
        emulator.push(reply.clone());
        assert_eq!(class(&ask(&glm).await), (expected, retryable), "{reply:?}");
    }
    assert_eq!(emulator.requests().len(), 13, "one attempt each: no redirect followed, nothing tried again");
}

#[tokio::test]
async fn g9_a_connection_cut_behind_a_finish_that_is_not_the_last_is_no_answer() {
    let emulator = emulator().await;
    // The last chunk carries the finish; what is cut is `[DONE]` and the end of the body.
    emulator.push(Reply::call("f", &json!({})).cut_after(2));
    assert_eq!(class(&ask(&provider(&emulator)).await), (ErrorClass::TruncatedStream, true));
}

#[tokio::test]
async fn retry_after_comes_through_in_both_forms() {
    let emulator = emulator().await;
    let glm = provider(&emulator);
    for (header, expected) in [("7", Some(7_000)), ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)), ("soon", None)]
    {
        emulator.push(Reply::error(429, "1302", "m").header("Retry-After", header));
        assert_eq!(ask(&glm).await.error.unwrap().retry_after, expected, "{header}");
    }
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection_at_the_model() {
    let (emulator, gate) = (emulator().await, Gate::closed());
    emulator.push(Reply::text("abc").pieces(3).held_by(&gate));
    gate.release(1);
    let mut stream = provider(&emulator).stream(request("glm-4.6")).await.unwrap();
    assert_eq!(next_piece(&mut stream).await, "a");
    drop(stream);
    assert_eq!(emulator.outcome(0).await, Outcome::ClientClosed { writes: 1 });
}

#[tokio::test]
async fn dropping_the_call_before_its_answer_closes_the_connection_too() {
    let emulator = emulator().await;
    emulator.push(Reply::text("abc").stalling_after(0));
    let glm = provider(&emulator);
    tokio::select! {
        _ = glm.stream(request("glm-4.6")) => panic!("nothing was answered"),
        _ = emulator.request(0) => {}
    }
    assert_eq!(emulator.outcome(0).await, Outcome::ClientClosed { writes: 0 });
}

#[tokio::test]
async fn each_time_out_ends_the_attempt_and_closes_the_connection() {
    let emulator = emulator().await;
    let patient = config(emulator.base_url()).timeouts;
    let cases = [
        ("no answer began within 20ms", Timeouts { first_byte: TINY, ..patient }, 0),
        ("the answer paused, nothing came within 20ms", Timeouts { between_chunks: TINY, ..patient }, 1),
        ("the answer was not complete within 20ms", Timeouts { total: Some(TINY), ..patient }, 0),
        ("the answer was not complete within 20ms", Timeouts { total: Some(TINY), ..patient }, 1),
    ];
    for (number, (expected, timeouts, writes)) in cases.into_iter().enumerate() {
        emulator.push(Reply::text("abc").pieces(3).stalling_after(writes));
        let error = ask(&with_timeouts(&emulator, timeouts)).await.error.unwrap();
        assert_eq!(error, ModelError::retryable(ErrorClass::Timeout, expected));
        let outcome = emulator.outcome(number).await;
        assert!(matches!(outcome, Outcome::ClientClosed { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_stream_that_goes_on_outlives_the_first_bytes_time_out() {
    let (emulator, gate) = (emulator().await, Gate::closed());
    emulator.push(Reply::text("ab").pieces(2).held_by(&gate));
    gate.release(1);
    let timeouts = Timeouts { first_byte: Duration::from_secs(5), ..config(emulator.base_url()).timeouts };
    let glm = with_timeouts(&emulator, timeouts);
    let mut stream = glm.stream(request("glm-4.6")).await.unwrap();
    assert_eq!(next_piece(&mut stream).await, "a");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    gate.open();
    assert_eq!(collect(stream).await.text, "b");
}

#[tokio::test]
async fn no_connection_is_a_network_failure_that_names_no_address() {
    let unbound = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let told = ask(&Glm::new(config(format!("http://{unbound}"))).unwrap()).await;
    assert_eq!(class(&told), (ErrorClass::Network, true));
    assert!(!told.error.unwrap().to_string().contains("127.0.0.1"));
}

#[tokio::test]
async fn a_finished_answer_waits_for_its_end_so_that_its_connection_serves_again() {
    let (emulator, gate) = (emulator().await, Gate::closed());
    let glm = provider(&emulator);
    emulator.push(Reply::text("x").held_by(&gate));
    // Text, finish and `[DONE]`, but not the end of the body: the answer is whole without it.
    gate.release(3);
    assert_eq!(ask(&glm).await.finish, Some(Finish::Stop));
    settle().await;
    assert_eq!(emulator.outcome(0).now_or_never(), None, "the client has not closed the connection");
    gate.open();
    assert_eq!(emulator.outcome(0).await, Outcome::Served);
}

#[tokio::test]
async fn a_token_is_sent_instead_of_the_key_and_signed_anew_once() {
    let emulator = emulator().await;
    let glm = Glm::new(GlmConfig { auth: Auth::Jwt, ..config(emulator.base_url()) }).unwrap();
    emulator.push(Reply::error(401, "1003", "token expired"));
    emulator.push(Reply::text("x"));
    assert_eq!(ask(&glm).await.text, "x");
    emulator.push(Reply::error(401, "1003", "token expired"));
    emulator.push(Reply::error(401, "1003", "token expired"));
    assert_eq!(class(&ask(&glm).await), (ErrorClass::Auth, false));
    assert_eq!(emulator.requests().len(), 4, "once, not for ever");
    for request in emulator.requests() {
        let header = request.header("authorization").unwrap();
        assert!(header.starts_with("Bearer eyJ") && !header.contains("testkeysecret"));
    }
}

#[tokio::test]
async fn a_bearer_key_is_not_sent_again_after_1003() {
    let emulator = emulator().await;
    emulator.push(Reply::error(401, "1003", "token expired"));
    assert_eq!(class(&ask(&provider(&emulator)).await), (ErrorClass::Auth, false));
    assert_eq!(emulator.requests().len(), 1);
}

#[tokio::test]
async fn no_failure_shows_the_key_that_the_provider_echoes() {
    let emulator = emulator().await;
    let glm = provider(&emulator);
    let echo = format!("key {KEY} of testkeyid with testkeysecret is bad");
    let in_band = format!("data: {}\n\n", json!({"error": {"code": KEY, "message": echo}}));
    emulator.push(Reply::error(401, "1000", &echo));
    emulator.push(Reply::json(200, &json!({"code": 401, "msg": echo, "success": false})));
    emulator.push(Reply::wire([in_band]));
    for _ in 0..3 {
        let shown = format!("{:?}", ask(&glm).await.error.unwrap());
        assert!(shown.contains("[redacted]") && !shown.contains("testkey"), "{shown}");
    }
    assert!(!format!("{glm:?}").contains("testkey"));
}

#[tokio::test]
async fn g10_requests_beyond_the_limit_wait_and_a_1302_lowers_it() {
    let (emulator, gate) = (emulator().await, Gate::closed());
    let glm = std::sync::Arc::new(
        Glm::new(GlmConfig { max_concurrency: 2, ..config(emulator.base_url()) }).unwrap(),
    );
    emulator.respond({
        let gate = gate.clone();
        move |_| Reply::text("x").held_by(&gate)
    });
    emulator.push(Reply::error(429, "1302", "too many"));
    assert_eq!(class(&ask(&glm).await), (ErrorClass::RateLimited, true));
    let spawn = || {
        tokio::spawn({
            let glm = glm.clone();
            async move { ask(&glm).await }
        })
    };
    let asked = [spawn(), spawn()];
    emulator.request(1).await;
    settle().await;
    assert_eq!(emulator.requests().len(), 2, "the refused one and one more: the other waits");
    gate.open();
    for told in asked {
        assert_eq!(told.await.unwrap().finish, Some(Finish::Stop));
    }
}

#[tokio::test]
async fn bytes_cut_between_writes_are_put_together() {
    let emulator = emulator().await;
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/glm/streams/01-text-plain.sse");
    let wire = std::fs::read(sample).unwrap();
    emulator.push(Reply::wire(wire.chunks(1).map(<[u8]>::to_vec)));
    assert_eq!(ask(&provider(&emulator)).await.text, "你好，世界 👋");
}
