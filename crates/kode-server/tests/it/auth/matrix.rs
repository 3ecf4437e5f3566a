//! Every route, for everyone, on everyone's agents. The table of routes is the server's own, and must have every
//! route that its sources have.

use std::collections::BTreeSet;
use std::path::Path;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use kode_server::auth::{Auth, Need, ROUTES, Right, Route};
use kode_testkit::scripted_model::Script;
use serde_json::{Value, json};

use crate::auth::{ADMIN, ONE, TWO, auth, token};
use crate::world::World;

/// What stands in the agents of each tenant, and in no answer to the other.
const OF_ONE: &str = "canary-of-one";
const OF_TWO: &str = "canary-of-two";
/// Mine, another's, nobody's under another's prefix, nobody's under mine.
const TARGETS: [&str; 4] = ["user:1", "user:2", "user:3", "user:1.x"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    Stranger,
    One,
    Two,
    TokenOfOne,
    Admin,
}

const ALL: [Who; 6] = [Who::Nobody, Who::Stranger, Who::One, Who::Two, Who::TokenOfOne, Who::Admin];

impl Who {
    fn shows(self) -> Option<String> {
        match self {
            Self::Nobody => None,
            Self::Stranger => Some("kode_nobody-has-this-key".into()),
            Self::One => Some(ONE.into()),
            Self::Two => Some(TWO.into()),
            Self::TokenOfOne => Some(token("1")),
            Self::Admin => Some(ADMIN.into()),
        }
    }

    /// The rule, said once more and in another way.
    fn reaches(self, agent: &str) -> bool {
        let user = match self {
            Self::Nobody | Self::Stranger => return false,
            Self::One | Self::TokenOfOne => "1",
            Self::Two => "2",
            Self::Admin => return true,
        };
        agent.split(':').nth(1) == Some(user)
    }
}

struct Raw {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
    kind: String,
}

async fn ask(world: &World, who: Who, route: &Route, target: &str) -> Raw {
    let user = target.strip_prefix("user:").unwrap();
    let path = route.path.replace("{agentId}", target).replace("{userId}", user);
    let path = if route.path == "/api/agents" || route.path == "/api/approvals" {
        format!("{path}?prefix={target}")
    } else {
        path
    };
    let method: Method = route.method.parse().unwrap();
    let mut request = Request::builder().method(method.clone()).uri(path).header("x-request-id", "r");
    if let Some(shown) = who.shows() {
        request = request.header("authorization", format!("Bearer {shown}"));
    }
    let body = match body(route, target) {
        _ if method == Method::GET || method == Method::DELETE => Body::empty(),
        body => {
            request = request.header("content-type", "application/json");
            body.to_string().into()
        }
    };
    let (head, body) = world.send(request.body(body).unwrap()).await.into_parts();
    let kind = head.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let kind = kind.unwrap_or_default();
    let body = match kind.starts_with("text/event-stream") {
        true => String::new(),
        false => String::from_utf8(axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap(),
    };
    Raw { status: head.status, headers: head.headers, body, kind }
}

fn body(route: &Route, target: &str) -> Value {
    match route.path.rsplit('/').next().unwrap() {
        "agents" | "stream-tickets" => json!({ "agentId": target }),
        "messages" if route.path.contains("chat") => json!({ "message": "hi" }),
        "{userId}" => json!({ "message": "hi" }),
        "messages" => json!({ "text": "hi" }),
        "stream" => json!({ "prompt": "hi" }),
        "todos" => json!({ "todos": [] }),
        "approve" => json!({ "callId": "call_1", "decision": "allow" }),
        "fork" => json!({ "workspace": "empty", "agentId": format!("{target}:f") }),
        _ => json!({}),
    }
}

/// Two tenants, each with an agent, a session and something that waits; all asleep.
async fn tenants() -> World {
    let asks = |canary: &str| Script::new().call("slow", json!({ "of": canary }));
    let mut world = World::playing([asks(OF_ONE), asks(OF_TWO)]);
    for (id, canary) in
        [("user:1", OF_ONE), ("user:1:session:s", OF_ONE), ("user:2", OF_TWO), ("user:2:session:s", OF_TWO)]
    {
        let careful = json!({ "agentId": id, "metadata": { "note": canary }, "templateId": "careful" });
        assert_eq!(world.post("/api/agents", careful).await.status, 201);
    }
    for id in ["user:1", "user:2"] {
        world.post(&format!("/api/agents/{id}/messages"), json!({ "text": "x" })).await;
        world.asked(id).await;
    }
    let waiting = world.get("/api/approvals").await.json.to_string();
    assert!(waiting.contains(OF_ONE) && waiting.contains(OF_TWO), "{waiting}");
    world.start_again();
    world.config.auth = auth();
    world
}

/// Everything that a request could change.
async fn footprint(world: &World) -> String {
    let store = world.pool.runtime().store();
    let names = store.list("", None, 100).await.unwrap();
    let mut told = format!("{:?}", world.pool.stats());
    for name in names {
        told += &format!("{name} {:?}\n", store.head(&name).await.unwrap());
    }
    told
}

/// What anybody gets for an agent that does not exist.
fn missing(agent: &str) -> String {
    let error = format!("there is no agent {agent}; send it a message to create it");
    json!({ "success": false, "error": error, "code": "agent_not_found", "requestId": "r" }).to_string()
}

fn same(body: &str, expected: &str) -> bool {
    serde_json::from_str::<Value>(body).unwrap() == serde_json::from_str::<Value>(expected).unwrap()
}

/// Whether the world is as it was.
async fn check(world: &World, who: Who, route: &Route, target: &str) -> bool {
    let before = footprint(world).await;
    let told = ask(world, who, route, target).await;
    let what = format!("{who:?} {} {} on {target}: {} {}", route.method, route.path, told.status, told.body);
    let refused = match (route.need, who) {
        (Need::Nothing, _) => {
            assert_eq!(told.status, 200, "{what}");
            return true;
        }
        (_, Who::Nobody | Who::Stranger) => {
            assert_eq!(told.headers["www-authenticate"], "Bearer realm=\"kode\"", "{what}");
            Some(401)
        }
        (Need::May(Right::Admin), _) if who != Who::Admin => Some(403),
        (Need::May(_) | Need::Stream, _) => {
            let names = route.path.contains('{') || route.method == "POST";
            (names && !who.reaches(target)).then_some(404)
        }
    };
    if let Some(status) = refused {
        assert_eq!(told.status.as_u16(), status, "{what}");
        assert_eq!(footprint(world).await, before, "a refused request left something: {what}");
    }
    if refused == Some(404) {
        // Byte for byte what one gets who reaches everything, for an agent that nobody has.
        let nobodys = ask(
            world,
            Who::Admin,
            &Route { method: "GET", path: "/api/agents/{agentId}", need: Need::Nothing },
            "user:9",
        )
        .await;
        assert_eq!(told.body, nobodys.body.replace("user:9", target), "{what}");
        assert!(same(&told.body, &missing(target)), "{what}");
        let plain = |headers: &HeaderMap| {
            headers
                .iter()
                .filter(|(n, _)| *n != "content-length")
                .map(|(n, v)| (n.to_string(), v.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(plain(&told.headers), plain(&nobodys.headers), "{what}");
    }
    if refused.is_none() {
        assert!(![401, 403].contains(&told.status.as_u16()), "{what}");
        assert!(told.status != 404 || told.body.contains("_not_found"), "{what}");
        let exists = ["user:1", "user:2"].contains(&target);
        assert!(!exists || !told.body.contains("agent_not_found"), "{what}");
        assert!(!told.kind.is_empty() || told.status == 204 || told.status == 202, "{what}");
    }
    let others = match who {
        Who::Nobody | Who::Stranger => vec![OF_ONE, OF_TWO],
        Who::One | Who::TokenOfOne => vec![OF_TWO, "user:2"],
        Who::Two => vec![OF_ONE, "user:1"],
        Who::Admin => vec![],
    };
    for secret in others.into_iter().filter(|secret| !target.starts_with(secret)) {
        assert!(!told.body.contains(secret), "{what} shows {secret}");
    }
    refused.is_some() || route.method == "GET"
}

#[tokio::test]
async fn nobody_reaches_anything_beyond_their_prefixes_on_any_route() {
    let (mut world, mut checked) = (tenants().await, 0);
    for route in ROUTES {
        for who in ALL {
            for target in TARGETS {
                if !check(&world, who, route, target).await {
                    world = tenants().await;
                }
                checked += 1;
            }
        }
    }
    assert_eq!(checked, ROUTES.len() * ALL.len() * TARGETS.len());
}

#[tokio::test]
async fn the_table_of_routes_is_that_of_the_sources() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes");
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(dir).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for route in text.split(".route(").skip(1) {
            let (path, methods) = route.trim_start().strip_prefix('"').unwrap().split_once("\",").unwrap();
            let methods = methods.split([';', '\n']).next().unwrap();
            for (call, method) in [("get(", "GET"), ("post(", "POST"), ("put(", "PUT"), ("delete(", "DELETE")]
            {
                if methods.contains(call) {
                    found.insert((method.to_owned(), path.to_owned()));
                }
            }
        }
    }
    let listed: BTreeSet<_> = ROUTES.iter().map(|r| (r.method.to_owned(), r.path.to_owned())).collect();
    assert_eq!(listed, found);
}

#[tokio::test]
async fn a_right_that_is_missing_is_told_before_any_agent_is_looked_for() {
    let mut world = tenants().await;
    let reader = crate::auth::key("reader", "kode_reader", &["user:1"], [Right::Read].into_iter().collect());
    world.config.auth = Auth::new(vec![reader], None);
    for (path, body) in [
        ("/api/agents/user:1/messages", json!({ "text": "x" })),
        ("/api/agents/user:2/approve", json!({ "callId": "c", "decision": "allow" })),
        ("/api/chat/1", json!({ "message": "x" })),
    ] {
        assert_eq!(world.post_as("kode_reader", path, body).await.refusal(), (403, "forbidden"));
    }
    assert_eq!(world.get_as("kode_reader", "/api/agents/user:1").await.status, 200);
    assert_eq!(world.get_as("kode_reader", "/api/metrics").await.refusal(), (403, "forbidden"));
    let patch = world.call("kode_reader", Method::PATCH, "/api/agents", None).await;
    assert_eq!(patch.refusal(), (403, "forbidden"), "what no table lists is the operator's");
}

#[tokio::test]
async fn who_shows_something_that_is_no_key_hears_no_more_than_who_shows_nothing() {
    let world = tenants().await;
    let long = "x".repeat(9_000);
    let shown: &[&[(&str, &str)]] = &[
        &[],
        &[("authorization", "")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", ONE)],
        &[("authorization", "Basic a2V5Og==")],
        &[("authorization", "Bearer kode_wrong")],
        &[("authorization", "Bearer a.b.c")],
        &[("authorization", "Bearer \u{e9}")],
        &[("authorization", &long)],
        &[("authorization", "Bearer kode_key-of-the-first-tenant"), ("authorization", "Bearer x")],
    ];
    let mut bodies = BTreeSet::new();
    for headers in shown {
        let headers: Vec<_> = headers.iter().copied().chain([("x-request-id", "r")]).collect();
        let answer = world.send(crate::world::request(Method::GET, "/api/agents", &headers, None)).await;
        let answer = crate::world::Answer::of(answer).await;
        assert_eq!(answer.refusal(), (401, "unauthorized"), "{headers:?}");
        bodies.insert(answer.json.to_string());
    }
    assert_eq!(bodies.len(), 1);
    let scheme = [("authorization", "bearer kode_key-of-the-first-tenant")];
    let answer = world.send(crate::world::request(Method::GET, "/api/agents", &scheme, None)).await;
    assert_eq!(answer.status(), 200, "the scheme's case does not matter");
    assert_eq!(world.get("/nowhere").await.refusal(), (404, "not_found"), "there is nothing to guard");
}
