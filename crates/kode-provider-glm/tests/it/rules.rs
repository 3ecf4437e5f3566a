//! The rules of the stream that no recorded sample shows.

use kode_core::message::Usage;
use kode_core::model::{ErrorClass, Finish};
use kode_provider_glm::codec::Codec;
use serde_json::json;

use crate::support::{DONE, Told, decode_text, delta, finish, text};

fn answered(text: &str) -> Told {
    Told { text: text.into(), finish: Some(Finish::Stop), ..Told::default() }
}

#[test]
fn frames_spliced_into_one_line_are_both_read() {
    let line = |frame: String| frame.trim().to_owned();
    let bare = |frame: String| line(frame).trim_start_matches("data: ").to_owned();
    let spliced = [
        format!("{}{}\n\n{}{DONE}", line(text("a")), bare(text("b")), finish("stop")),
        format!("{}{}\n\n{}{DONE}", line(text("a")), line(text("b")), finish("stop")),
        format!("{}\n{}\n\n{}{DONE}", line(text("a")), line(text("b")), finish("stop")),
        format!("{}{}{}{DONE}", text("a"), line(text("b")), finish("stop")),
        format!("{}{}{}", text("a"), text("b"), line(finish("stop")) + "data: [DONE]"),
    ];
    for wire in spliced {
        assert_eq!(decode_text(&wire), answered("ab"), "{wire}");
    }
}

#[test]
fn a_frame_cut_by_another_is_malformed() {
    let half = &text("a")[..20];
    let told = decode_text(&format!("{half}{}{}{DONE}", text("b"), finish("stop")));
    assert_eq!(told.class(), Some(ErrorClass::MalformedChunk));
}

#[test]
fn data_in_several_lines_is_one_chunk() {
    let wire =
        "data: {\"choices\":\ndata:  [{\"delta\":\n: a comment between\ndata: {\"content\":\"a\"}}]}\n\n";
    assert_eq!(decode_text(&format!("{wire}{}{DONE}", finish("stop"))), answered("a"));
}

#[test]
fn g9_another_generations_id_fails_the_attempt_and_salvages_nothing() {
    let other = text("b").replace("g1", "g2");
    let told = decode_text(&format!("{}{other}{}{DONE}", text("a"), finish("stop")));
    assert_eq!((told.class(), told.text.as_str()), (Some(ErrorClass::UpstreamInterrupted), "a"));
    assert!(told.error.unwrap().retryable && told.calls.is_empty());
}

#[test]
fn an_absent_null_or_empty_id_is_no_other_generation() {
    let without = text("b").replace("\"id\":\"g1\"", "\"id\":\"\"");
    let null = text("c").replace("\"id\":\"g1\"", "\"id\":null");
    assert_eq!(
        decode_text(&format!("{}{without}{null}{}{DONE}", text("a"), finish("stop"))),
        answered("abc")
    );
}

#[test]
fn an_error_in_the_stream_is_seen_in_each_of_its_forms() {
    let forms = [
        "data: {\"error\":{\"code\":\"1302\",\"message\":\"m\"}}\n\n",
        "{\"error\":{\"code\":1302,\"message\":\"m\"}}\n\n",
        "{\"error\":{\"code\":1302,\"message\":\"m\"}}",
        "event: error\ndata: {\"error\":{\"code\":\"1302\",\"message\":\"m\"}}\n\n",
        "event: error\ndata: {\"code\":\"1302\",\"message\":\"m\"}\n\n",
        "data: {\"code\":1302,\"msg\":\"m\",\"success\":false}\n\n",
    ];
    for form in forms {
        let told = decode_text(&format!("{}{form}", text("half")));
        let error = told.error.unwrap();
        assert_eq!((error.class, error.retryable), (ErrorClass::RateLimited, true), "{form}");
        assert_eq!((error.message.as_str(), error.provider_code.as_deref()), ("m", Some("1302")), "{form}");
        assert_eq!(told.text, "half", "{form}");
    }
    let plain = decode_text("event: error\ndata: boom\n\n").error.unwrap();
    assert_eq!((plain.class, plain.message.as_str()), (ErrorClass::UpstreamInterrupted, "boom"));
}

#[test]
fn nothing_after_the_end_is_read() {
    let wire = format!("{}{}{DONE}{}data: {{broken\n\n", text("a"), finish("stop"), text("b"));
    assert_eq!(decode_text(&wire), answered("a"));
}

#[test]
fn content_may_be_a_list_of_typed_parts() {
    let parts = json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "b"}]);
    let wire = format!("{}{}{DONE}", delta(json!({ "content": parts })), finish("stop"));
    assert_eq!(decode_text(&wire), answered("ab"));
}

#[test]
fn g9_an_answer_without_text_and_calls_is_none() {
    let thought = delta(json!({"reasoning_content": "hm"}));
    for wire in [
        format!("{thought}{}{DONE}", finish("stop")),
        format!("{}{DONE}", finish("stop")),
        format!("{thought}{}{}{DONE}", text(" \n"), finish("stop")),
        format!("{thought}{}{DONE}", finish("tool_calls")),
    ] {
        let error = decode_text(&wire).error.unwrap();
        assert_eq!((error.class, error.retryable), (ErrorClass::EmptyAnswer, true), "{wire}");
    }
}

#[test]
fn g9_the_end_without_a_finish_is_truncated() {
    for wire in
        [String::new(), text("a"), format!("{}{DONE}", text("a")), format!("{}{}", text("a"), finish(""))]
    {
        assert_eq!(decode_text(&wire).class(), Some(ErrorClass::TruncatedStream), "{wire:?}");
    }
    let two = text("a") + &text("b");
    for at in 0..two.len() {
        // Also inside a frame: it is the stream that is broken then, not the chunk.
        assert_eq!(decode_text(&two[..at]).class(), Some(ErrorClass::TruncatedStream), "cut at {at}");
    }
}

#[test]
fn a_finish_on_every_tool_chunk_does_not_end_the_answer() {
    let chunk = |index: u32, name: &str| {
        let call = json!({"index": index, "id": name, "function": {"name": name, "arguments": "{}"}});
        let choice = json!({"index": 0, "finish_reason": "tool_calls", "delta": {"tool_calls": [call]}});
        format!("data: {}\n\n", json!({"id": "g1", "choices": [choice]}))
    };
    let told = decode_text(&format!("{}{}{DONE}", chunk(0, "f"), chunk(1, "g")));
    assert_eq!(told.calls, [("f".to_owned(), "{}".to_owned()), ("g".into(), "{}".into())]);
    assert_eq!(told.finish, Some(Finish::ToolCalls));
}

#[test]
fn calls_count_more_than_the_finish_that_comes_with_them() {
    let call =
        delta(json!({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{\"x\": tru"}}]}));
    for (reason, expected) in [
        ("stop", Finish::ToolCalls),
        ("tool_calls", Finish::ToolCalls),
        ("something_new", Finish::ToolCalls),
        ("length", Finish::Length),
    ] {
        let told = decode_text(&format!("{call}{}{DONE}", finish(reason)));
        assert_eq!(told.finish, Some(expected), "{reason}");
        assert_eq!(told.calls, [("f".to_owned(), "{\"x\": tru".to_owned())], "told to the model as they are");
    }
}

#[test]
fn an_unknown_finish_is_a_stop_and_no_later_word_undoes_a_failure() {
    assert_eq!(decode_text(&format!("{}{}{DONE}", text("a"), finish("something_new"))), answered("a"));
    let undone = format!("{}{}{}{DONE}", text("a"), finish("sensitive"), finish("stop"));
    assert_eq!(decode_text(&undone).class(), Some(ErrorClass::ContentFiltered));
}

#[test]
fn the_last_usage_counts_and_may_have_gaps() {
    let usage = |usage| format!("data: {}\n\n", json!({"id": "g1", "choices": [], "usage": usage}));
    let wire = format!(
        "{}{}{}{}{}{DONE}",
        usage(json!({"prompt_tokens": 1, "completion_tokens": 1})),
        text("a"),
        finish("stop"),
        usage(json!({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": null})),
        usage(json!(null)),
    );
    let expected = Usage { input_tokens: 5, output_tokens: 2, total_tokens: 7, ..Usage::default() };
    assert_eq!(decode_text(&wire).usage, Some(expected));
}

#[test]
fn an_answer_that_came_whole_is_read_too() {
    let message = json!({"role": "assistant", "content": "hi", "reasoning_content": "hm"});
    let body = json!({"id": "g1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
    let mut told = Told::default();
    Codec::whole(body.to_string().as_bytes()).unwrap().into_iter().for_each(|event| told.add(event));
    assert_eq!(told, Told { thinking: "hm".into(), ..answered("hi") });
    let mislabelled = format!("{}{}{DONE}", text("a"), finish("stop"));
    assert_eq!(Codec::whole(mislabelled.as_bytes()).unwrap().len(), 3, "a stream under a wrong content type");
    for other in ["{}", "{\"hello\":1}", "<html>", "", "[]"] {
        assert_eq!(
            Codec::whole(other.as_bytes()).unwrap_err().class,
            ErrorClass::MisconfiguredBaseUrl,
            "{other}"
        );
    }
}

#[test]
fn who_answers_is_told_once_and_before_all_else() {
    let chunk = |id: &str, model: &str, text: &str| {
        let choice = json!({"index": 0, "delta": {"content": text}});
        format!("data: {}\n\n", json!({"id": id, "model": model, "choices": [choice]}))
    };
    let long = "n".repeat(500);
    let wire = [chunk("g1", &long, "a"), chunk("g1", "another", "b"), finish("stop"), DONE.into()].concat();
    assert_eq!(decode_text(&wire), Told { model: Some("n".repeat(200)), ..answered("ab") });
}
