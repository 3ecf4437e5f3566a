//! What is the same for every request: errors, ids, limits, panics, origins.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

use crate::world::{Answer, World, request};

#[tokio::test]
async fn errors_of_the_framework_have_the_same_shape_as_ours() {
    let world = World::new();
    assert_eq!(world.get("/nowhere").await.refusal(), (404, "not_found"));
    assert_eq!(world.get("/api/agents/a/nothing").await.refusal(), (404, "not_found"));
    let wrong_method = world.put("/api/agents", json!({})).await;
    assert_eq!(wrong_method.refusal(), (405, "method_not_allowed"));
    assert_eq!(wrong_method.headers["allow"], "POST,GET,HEAD");
}

#[tokio::test]
async fn a_body_is_refused_for_its_kind_its_size_its_syntax_and_its_fields_in_this_order() {
    let world = World::new();
    let answer = async |kind: Option<&str>, body: String| {
        let request = Request::post("/api/agents/a/messages");
        let request = kind.into_iter().fold(request, |request, kind| request.header("content-type", kind));
        Answer::of(world.send(request.body(Body::from(body)).unwrap()).await).await
    };
    let text = |n: usize| json!({ "text": "x".repeat(n) }).to_string();
    let json = Some("application/json; charset=utf-8");
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        assert_eq!(answer(kind, text(1)).await.refusal(), (415, "unsupported_media_type"));
    }
    assert_eq!(answer(json, text(1 << 20)).await.refusal(), (413, "too_large"));
    for broken in ["", "{", "{\"text\":\"x\"} x", "{\"text\":\"\u{1}\"}"] {
        assert_eq!(answer(json, broken.into()).await.refusal(), (400, "bad_json"), "{broken:?}");
    }
    for (wrong, named) in [
        (json!({ "text": 1 }), "text"),
        (json!({ "text": "x", "color": "red" }), "color"),
        (json!({ "text": "x", "mode": "shout" }), "mode"),
        (json!({ "content": [{ "type": "image", "url": "x" }] }), "content[0]"),
        (json!({ "content": [{ "type": "text" }] }), "text"),
        (json!({ "text": "x", "content": [] }), "either text or content"),
        (json!({}), "either text or content"),
        (json!([]), "object"),
        (json!(["x"]), "object"),
    ] {
        let refused = answer(json, wrong.to_string()).await;
        assert_eq!(refused.refusal(), (422, "invalid_request"), "{wrong}");
        let error = refused.json["error"].as_str().unwrap();
        assert!(error.contains(named), "{error:?} names {named:?}");
    }
    for blank in [
        json!({ "text": " \n" }),
        json!({ "content": [] }),
        json!({ "content": [{ "type": "text", "text": "" }] }),
    ] {
        assert_eq!(answer(json, blank.to_string()).await.refusal(), (422, "invalid_request"));
    }
    assert_eq!(world.get("/api/agents").await.json, json!({ "agents": [] }), "none of it made an agent");
    assert_eq!(answer(json, text(1)).await.status, 202);
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_replaced() {
    let world = World::new();
    let id_for = async |told: &str| {
        let request = request(Method::GET, "/nowhere", &[("x-request-id", told)], None);
        let answer = Answer::of(world.send(request).await).await;
        answer.refusal();
        answer.json["requestId"].as_str().unwrap().to_owned()
    };
    assert_eq!(id_for("trace-1.a:b_c").await, "trace-1.a:b_c");
    for strange in ["", "a b", "<script>", &"x".repeat(129)] {
        let given = id_for(strange).await;
        assert_eq!(given.len(), 26, "{given}");
    }
    let well = world.get("/healthz").await;
    assert_eq!(well.headers["x-request-id"].len(), 26);
}

#[tokio::test]
async fn a_panic_in_a_handler_is_a_500_and_the_server_lives() {
    let world = World::new();
    for _ in 0..9 {
        assert_eq!(world.post("/api/agents", json!({})).await.status, 201);
    }
    let refused = world.post("/api/agents", json!({})).await;
    assert_eq!(refused.refusal(), (500, "internal"));
    assert!(!refused.json["error"].as_str().unwrap().contains("port"), "nothing of the panic is told");
    assert_eq!(world.post("/api/agents", json!({})).await.status, 201);
}

#[tokio::test]
async fn pages_of_this_machine_may_call_and_others_may_not() {
    let world = World::new();
    let preflight = async |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        let answer = world.send(request(Method::OPTIONS, "/api/agents", &headers, None)).await;
        answer.headers().get("access-control-allow-origin").map(|o| o.to_str().unwrap().to_owned())
    };
    assert_eq!(preflight("http://localhost:5173").await.as_deref(), Some("http://localhost:5173"));
    assert_eq!(preflight("https://evil.example").await, None);
}
