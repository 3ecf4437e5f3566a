//! Every route of the description, with good and with bad input. The answers are held against the description where
//! they come in; here is only what is sent, and that each route was brought to say what it can.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{Method, Request};
use kode_server::auth::{Auth, Need, ROUTES, Route};
use kode_testkit::scripted_model::Script;
use serde_json::{Value, json};

use crate::auth::{ADMIN, auth, key};
use crate::world::{World, request};

/// What takes a store, a clock or a load of its own is brought about elsewhere.
const HERE: [u16; 9] = [200, 201, 202, 400, 401, 403, 413, 415, 422];

/// Statuses that were met, by operation.
type Met = BTreeMap<(String, String), BTreeSet<u16>>;

/// A body that the route takes, for an agent that exists and for one of its calls that waits.
fn good(route: &Route, call: &str) -> Option<Value> {
    if route.method == "GET" || route.method == "DELETE" {
        return None;
    }
    let is_chat = route.path.contains("chat");
    Some(match route.path.rsplit('/').next().unwrap() {
        "agents" | "stream-tickets" => json!({ "agentId": "user:1" }),
        "messages" if !is_chat => json!({ "content": [{ "type": "text", "text": "hi" }], "mode": "queue" }),
        "messages" | "{userId}" => json!({ "message": "hi", "metadata": { "a": 1 } }),
        "stream" => json!({ "prompt": "hi" }),
        "todos" => json!({ "todos": [{ "id": "1", "title": "t", "status": "pending" }] }),
        "approve" => json!({ "callId": call, "decision": "deny", "note": "no" }),
        "snapshots" | "fork" | "interrupt" => json!({}),
        other => panic!("what does {other} take?"),
    })
}

/// A world with an agent that has a history and a call that waits for a person.
async fn furnished() -> (World, String) {
    let world = World::playing([Script::new().call("slow", json!({})), Script::new().text("ok")]);
    let body = json!({ "text": "go", "templateId": "careful" });
    assert_eq!(world.post("/api/agents/user:1/messages", body).await.status, 202);
    let call = world.asked("user:1").await;
    (world, call)
}

fn path_of(route: &Route) -> String {
    route.path.replace("{agentId}", "user:1").replace("{userId}", "1")
}

fn route(method: &str, path: &str) -> &'static Route {
    ROUTES.iter().find(|route| (route.method, route.path) == (method, path)).unwrap()
}

/// Who asks, and notes down what is answered.
#[derive(Default)]
struct Driver {
    met: Met,
}

impl Driver {
    async fn send(
        &mut self,
        world: &World,
        route: &Route,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> u16 {
        self.ask(world, route, request(route.method.parse().unwrap(), path, headers, body)).await
    }

    async fn ask(&mut self, world: &World, route: &Route, request: Request<Body>) -> u16 {
        let status = world.send(request).await.status().as_u16();
        self.met.entry((route.method.to_owned(), route.path.to_owned())).or_default().insert(status);
        status
    }

    /// What goes well.
    async fn well(&mut self) {
        for route in ROUTES {
            let (world, call) = furnished().await;
            let status = self.send(&world, route, &path_of(route), &[], good(route, &call)).await;
            assert!((200..300).contains(&status), "{} {} is well asked: {status}", route.method, route.path);
            let accept = [("accept", "text/event-stream")];
            self.send(&world, route, &path_of(route), &accept, good(route, &call)).await;
        }
        let world = World::new();
        let create = route("POST", "/api/agents");
        assert_eq!(self.send(&world, create, "/api/agents", &[], None).await, 201);
    }

    /// A body of another kind, one that is no JSON, too long, of another shape, with a field too many.
    async fn bad_bodies(&mut self) {
        let (world, call) = furnished().await;
        for route in ROUTES.iter().filter(|route| good(route, &call).is_some()) {
            let method: Method = route.method.parse().unwrap();
            let mut fields = good(route, &call).unwrap();
            fields["zzz"] = json!(1);
            let long = json!({ "x": "x".repeat(1 << 20) }).to_string();
            let json = "application/json";
            for (kind, body, expected) in [
                ("text/plain", "{}".to_owned(), 415),
                (json, "{".to_owned(), 400),
                (json, "\u{0}".to_owned(), 400),
                (json, long, 413),
                (json, "[1]".to_owned(), 422),
                (json, "[null, null]".to_owned(), 422),
                (json, "null".to_owned(), 422),
                (json, "7".to_owned(), 422),
                (json, fields.to_string(), 422),
            ] {
                let request = Request::builder().method(method.clone()).uri(path_of(route));
                let shown: String = body.chars().take(80).collect();
                let request = request.header("content-type", kind).body(Body::from(body)).unwrap();
                let status = self.ask(&world, route, request).await;
                assert_eq!(status, expected, "{} {} {kind} {shown}", route.method, route.path);
            }
        }
    }

    /// Ids that break a rule, agents that do not exist, parameters that are none.
    async fn bad_places(&mut self) {
        let (world, call) = furnished().await;
        let paths = kode_server::openapi()["paths"].clone();
        for route in ROUTES {
            let body = || good(route, &call);
            if route.path.contains('{') {
                for bad in ["-x", "a%2Fb", "%00", "%ff", "a:b%20"] {
                    let path = route.path.replace("{agentId}", bad).replace("{userId}", bad);
                    let status = self.send(&world, route, &path, &[], body()).await;
                    // A user's name stands behind `user:`, where it may begin as it likes.
                    assert!(status == 400 || (bad == "-x" && path.contains("chat")), "{path}: {status}");
                }
                let nobody = route.path.replace("{agentId}", "nobody").replace("{userId}", "nobody");
                self.send(&world, route, &nobody, &[], body()).await;
            }
            let operation = &paths[route.path][route.method.to_lowercase()];
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                self.bad_parameter(&world, route, parameter, body()).await;
            }
        }
    }

    async fn bad_parameter(&mut self, world: &World, route: &Route, parameter: &Value, body: Option<Value>) {
        let (name, place) = (parameter["name"].as_str().unwrap(), &parameter["in"]);
        if place == "query" {
            let twice = format!("{}?{name}=1&{name}=1", path_of(route));
            assert_eq!(self.send(world, route, &twice, &[], body.clone()).await, 400, "{twice}");
        }
        let bad =
            ["", "x", "-1", "1e9", "99999999999999999999", "%ff", "a%00b", "true", "/", "progress,loud"];
        for bad in bad {
            if place == "query" {
                let path = format!("{}?{name}={bad}", path_of(route));
                self.send(world, route, &path, &[], body.clone()).await;
            } else if place == "header" && !bad.is_empty() {
                let name = name.to_lowercase();
                self.send(world, route, &path_of(route), &[(&name, bad)], body.clone()).await;
            }
        }
    }

    /// Those who show nothing, and those who lack the right.
    async fn strangers(&mut self) {
        let (mut world, call) = furnished().await;
        let nothing = key("none", "kode_none", &["*"], [].into_iter().collect());
        world.config.auth = Auth::new(vec![nothing], None);
        for route in ROUTES.iter().filter(|route| route.need != Need::Nothing) {
            assert_eq!(self.send(&world, route, &path_of(route), &[], good(route, &call)).await, 401);
            let none = [("authorization", "Bearer kode_none")];
            assert_eq!(self.send(&world, route, &path_of(route), &none, good(route, &call)).await, 403);
        }
        world.config.auth = auth();
        let admin = format!("Bearer {ADMIN}");
        for route in ROUTES.iter().filter(|route| route.method == "GET") {
            let admin = [("authorization", admin.as_str())];
            let status = self.send(&world, route, &path_of(route), &admin, None).await;
            assert_eq!(status, 200, "{}", route.path);
        }
    }

    /// What is refused because of what is there: a second decision, an old version, a name that is taken.
    async fn conflicts(&mut self) {
        let (world, call) = furnished().await;
        let approve = route("POST", "/api/agents/{agentId}/approve");
        let decide =
            |hash: Option<&str>| Some(json!({ "callId": call, "decision": "deny", "inputHash": hash }));
        for (hash, expected) in [(Some("00"), 409), (None, 204), (None, 409)] {
            assert_eq!(self.send(&world, approve, &path_of(approve), &[], decide(hash)).await, expected);
        }
        let todos = route("PUT", "/api/agents/{agentId}/todos");
        let old = Some(json!({ "todos": [], "version": 9 }));
        assert_eq!(self.send(&world, todos, &path_of(todos), &[], old).await, 409);
        let snapshots = route("POST", "/api/agents/{agentId}/snapshots");
        for expected in [201, 409] {
            let label = Some(json!({ "label": "here" }));
            assert_eq!(self.send(&world, snapshots, &path_of(snapshots), &[], label).await, expected);
        }
        let fork = route("POST", "/api/agents/{agentId}/fork");
        for (body, expected) in [
            (json!({ "agentId": "user:1", "workspace": "empty" }), 409),
            (json!({ "at": 99_999, "workspace": "empty" }), 422),
            (json!({ "at": "nowhere", "workspace": "empty" }), 422),
            (json!({ "at": { "seq": 1 } }), 422),
            (json!({ "at": "here", "workspace": "empty" }), 201),
        ] {
            assert_eq!(self.send(&world, fork, &path_of(fork), &[], Some(body)).await, expected);
        }
        let stream = route("GET", "/api/agents/{agentId}/stream");
        let late = "/api/agents/user:1/stream?since=9007199254740991";
        assert_eq!(self.send(&world, stream, late, &[], None).await, 400);
    }
}

#[tokio::test]
async fn every_route_says_what_the_description_says_to_good_and_to_bad_input() {
    let mut driver = Driver::default();
    driver.well().await;
    driver.bad_bodies().await;
    driver.bad_places().await;
    driver.strangers().await;
    driver.conflicts().await;
    let document = kode_server::openapi();
    let (mut all, mut seen) = (0, 0);
    for route in ROUTES {
        let responses = &document["paths"][route.path][route.method.to_lowercase()]["responses"];
        let told: BTreeSet<u16> = responses.as_object().unwrap().keys().map(|s| s.parse().unwrap()).collect();
        let met = &driver.met[&(route.method.to_owned(), route.path.to_owned())];
        let missing: Vec<_> = told.iter().filter(|s| HERE.contains(s) && !met.contains(s)).collect();
        assert!(missing.is_empty(), "{} {} can say {missing:?}, and did not", route.method, route.path);
        (all, seen) = (all + told.len(), seen + met.len());
    }
    assert!(seen * 2 > all, "{seen} of {all} statuses were met");
}
