//! Every recorded sample gives what `fixtures/glm/index.json` says, wherever the network cut it.

use std::fs;
use std::path::{Path, PathBuf};

use kode_core::message::Usage;
use kode_core::model::Finish;
use kode_provider_glm::classify;
use kode_provider_glm::codec::Codec;
use serde_json::{Value, json};

use crate::support::{Told, decode};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/glm")
}

fn index(kind: &str) -> Vec<(String, Value)> {
    let index: Value = serde_json::from_slice(&fs::read(fixtures().join("index.json")).unwrap()).unwrap();
    let samples: Vec<_> = index[kind].as_object().unwrap().clone().into_iter().collect();
    assert!(samples.len() > 10, "the samples are there");
    samples
}

fn stream(name: &str, sample: &Value) -> Vec<u8> {
    let file = sample["use"].as_str().unwrap_or(name);
    fs::read(fixtures().join(format!("streams/{file}.sse"))).unwrap()
}

/// What came out, in the words of the index, as far as the sample has an opinion.
fn said(told: &Told, expect: &Value) -> Value {
    let calls: Vec<Value> = told.calls.iter().map(|(name, arguments)| call(name, arguments)).collect();
    let usage = told.usage.map(usage);
    let all = json!({
        "text": told.text,
        "reasoning": told.thinking,
        "finish": told.error.as_ref().map_or_else(|| told.finish.map(finish), |e| e.provider_code.clone()),
        "tool_calls": calls,
        "usage": usage,
        "error": told.error.as_ref().map(|e| json!({
            "class": e.class.code(), "retryable": e.retryable, "code": e.provider_code,
        })),
    });
    project(&all, expect)
}

/// The fields of `all` that `like` has too; tool ids are kode's own and never the model's.
fn project(all: &Value, like: &Value) -> Value {
    match (all, like) {
        (Value::Object(all), Value::Object(like)) => {
            like.iter().map(|(key, like)| (key.clone(), project(&all[key.as_str()], like))).collect()
        }
        _ => all.clone(),
    }
}

fn call(name: &str, arguments: &str) -> Value {
    let arguments = if arguments.is_empty() { "{}" } else { arguments };
    json!({"name": name, "args": serde_json::from_str::<Value>(arguments).unwrap()})
}

fn finish(finish: Finish) -> String {
    serde_json::to_value(finish).unwrap().as_str().unwrap().to_owned()
}

fn usage(usage: Usage) -> Value {
    json!({
        "in": usage.input_tokens,
        "out": usage.output_tokens,
        "cached": usage.cached_tokens,
        "reasoning": usage.reasoning_tokens,
    })
}

fn expected(sample: &Value) -> Value {
    let mut expect = sample["expect"].clone();
    for call in expect["tool_calls"].as_array_mut().into_iter().flatten() {
        call.as_object_mut().unwrap().remove("id");
    }
    let fields = expect.as_object_mut().unwrap();
    // What the index does not mention must not be there.
    fields.entry("tool_calls").or_insert(json!([]));
    fields.retain(|_, value| !value.is_null());
    if !fields.contains_key("error") {
        fields.insert("error".into(), Value::Null);
    }
    expect
}

#[test]
fn every_stream_gives_what_the_index_says() {
    for (name, sample) in index("streams") {
        let expect = expected(&sample);
        let told = decode([stream(&name, &sample).as_slice()]);
        assert_eq!(said(&told, &expect), expect, "{name}");
    }
}

#[test]
fn every_stream_gives_the_same_cut_at_every_byte() {
    for (name, sample) in index("streams") {
        let wire = stream(&name, &sample);
        let whole = decode([wire.as_slice()]);
        for at in 0..=wire.len() {
            assert_eq!(decode([&wire[..at], &wire[at..]]), whole, "{name} cut at {at}");
        }
        assert_eq!(decode(wire.chunks(1)), whole, "{name} byte by byte");
    }
}

#[test]
fn every_stream_gives_the_same_with_crlf_and_a_byte_order_mark() {
    for (name, sample) in index("streams") {
        let wire = String::from_utf8(stream(&name, &sample)).unwrap();
        let dressed = format!("\u{feff}: hello\r\n\r\n{}", wire.replace('\n', "\r\n"));
        assert_eq!(decode(dressed.as_bytes().chunks(7)), decode([wire.as_bytes()]), "{name}");
    }
}

#[test]
fn g9_no_stream_cut_short_is_an_answer() {
    for (name, sample) in index("streams") {
        let wire = stream(&name, &sample);
        let finished = wire.windows(15).position(|w| w == b"\"finish_reason\"").unwrap_or(wire.len());
        for at in 0..finished {
            let told = decode([&wire[..at]]);
            assert!(told.error.is_some_and(|e| e.retryable), "{name} cut at {at} must fail and be retryable");
        }
    }
}

#[test]
fn every_http_body_has_its_class() {
    for (name, sample) in index("http") {
        let body = fs::read(fixtures().join(sample["file"].as_str().unwrap())).unwrap();
        let status = u16::try_from(sample["status"].as_u64().unwrap()).unwrap();
        let error = match status {
            200 => Codec::whole(&body).unwrap_err(),
            _ => classify::answer(status, &body, None),
        };
        // `once-after-resign` is the transport's; to the machine it is final.
        let retryable = sample["retryable"] == true;
        assert_eq!(
            (error.class.code(), error.retryable),
            (sample["class"].as_str().unwrap(), retryable),
            "{name}"
        );
        if let Some(code) =
            name.strip_prefix(&format!("{status}-")).filter(|code| code.parse::<u16>().is_ok())
        {
            assert_eq!(error.provider_code.as_deref(), Some(code), "{name}");
        }
    }
}
