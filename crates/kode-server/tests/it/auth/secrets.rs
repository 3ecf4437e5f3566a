//! Keys, tokens and tickets are shown nowhere: not in a log at its most talkative, not in an answer, an event or
//! an error, and not by `Debug`.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::auth::{ADMIN, ONE, SECRET, guarded, token};
use crate::world::{World, request};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything that an answer has, its head and its body.
async fn told(world: &World, request: Request<Body>) -> String {
    let (head, body) = world.send(request).await.into_parts();
    let is_stream =
        head.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream; charset=utf-8");
    let body =
        if is_stream { Vec::new() } else { axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec() };
    format!("{:?} {:?} {}", head.status, head.headers, String::from_utf8_lossy(&body))
}

#[tokio::test]
async fn no_secret_is_in_a_log_an_answer_or_an_event() {
    let log = Log::default();
    let talkative = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    let _all = tracing::subscriber::set_default(talkative.with_writer(log.clone()).finish());

    let world = guarded(World::new());
    let (jwt, mut answers) = (token("1"), String::new());
    let issued = world.post_as(ONE, "/api/stream-tickets", json!({ "agentId": "user:1" })).await;
    let ticket = issued.json["ticket"].as_str().unwrap().to_owned();
    let wrong = "kode_0123456789-is-nobodys-key";
    let secrets = [ONE, ADMIN, SECRET, wrong, jwt.as_str(), ticket.as_str()];

    for held in [ONE, ADMIN, jwt.as_str(), wrong, ticket.as_str()] {
        let bearer = format!("Bearer {held}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        for (method, path, body) in [
            (Method::GET, "/api/agents", None),
            (Method::GET, "/api/metrics", None),
            (Method::GET, "/api/templates", None),
            (Method::POST, "/api/agents/user:1/messages", Some(json!({ "text": "hello" }))),
            (Method::POST, "/api/agents/user:1/messages", Some(json!({ "text": 7 }))),
            (Method::GET, "/api/agents/user:2", None),
            (Method::GET, "/api/agents/..%2Fx", None),
            (Method::GET, "/nowhere", None),
            (Method::PATCH, "/api/agents", None),
            (Method::GET, "/api/agents?limit=x", None),
        ] {
            answers += &told(&world, request(method, path, &headers, body)).await;
        }
        // Where a ticket does not belong, and where it does.
        for path in [
            "agents/user:1/stream",
            "agents/user:2/stream",
            "agents",
            "agents/user:1/events",
            "nowhere",
            "agents/user:1/stream?limit=x",
        ] {
            let joint = if path.contains('?') { '&' } else { '?' };
            let path = format!("/api/{path}{joint}ticket={held}");
            answers += &told(&world, request(Method::GET, &path, &[], None)).await;
        }
    }
    for path in [
        "/api/agents/user:1/events?channels=progress,control,monitor",
        "/api/agents/user:1/messages",
        "/api/agents/user:1",
        "/api/agents/user:1/status",
    ] {
        answers += &world.get_as(ADMIN, path).await.json.to_string();
    }
    answers += &format!("{:?} {:?}", world.config, world.config.auth);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("caller=\"one\"") && log.contains("/api/agents/user:1/stream"), "it logs: {log}");
    assert!(answers.contains("hello") && answers.contains("unauthorized"));
    for secret in secrets {
        for (place, text) in [("the log", &log), ("an answer", &answers)] {
            let part = &secret[..secret.len().min(24)];
            assert!(!text.contains(secret) && !text.contains(part), "{part}… is in {place}");
        }
        let hash = kode_server::auth::KeyHash::of(secret).to_string();
        assert!(!log.contains(&hash[7..]) && !answers.contains(&hash[7..]), "a hash is shown");
    }
}
