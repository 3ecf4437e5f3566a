//! One connection: reads requests, plays the scripted answers, watches for the client's going away.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::check::violations;
use super::http::{self, Incoming};
use super::record::{Outcome, Request, Shared};
use super::reply::{Body, Fault, Reply};
use super::wire::{self, Writer};

/// The paths of the chat route under all known bases.
const PATHS: [&str; 5] = [
    "/api/paas/v4/chat/completions",
    "/api/coding/paas/v4/chat/completions",
    "/v4/chat/completions",
    "/v1/chat/completions",
    "/chat/completions",
];

/// Serves until it is dropped, and its connections with it.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((socket, _)) = accepted {
                    shared.connected();
                    connections.spawn(connection(socket, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(socket: TcpStream, shared: Arc<Shared>) {
    // Without it a small chunk would wait for the one before it to be acknowledged.
    let _without = socket.set_nodelay(true);
    let (from, mut to) = socket.into_split();
    let mut from = BufReader::new(from);
    while let Ok(Some(incoming)) = http::read(&mut from, &mut to).await {
        if !exchange(&mut from, &mut to, incoming, &shared).await {
            return;
        }
    }
}

/// Answers one request; true if the connection can go on.
async fn exchange(
    from: &mut BufReader<OwnedReadHalf>,
    to: &mut OwnedWriteHalf,
    incoming: Incoming,
    shared: &Shared,
) -> bool {
    let Some(body) = understood(&incoming) else {
        return send(to, &no_route(&incoming.path)).await.is_ok();
    };
    let broken = violations(&body);
    let request = Request { path: incoming.path, headers: incoming.headers, body };
    let (number, request, reply) = shared.take(request, broken);
    let mut writes = 0;
    let outcome = tokio::select! {
        biased;
        played = play(to, &reply, &request, number, &mut writes) => played.ok(),
        () = http::closed(from) => None,
    };
    shared.ended(number, outcome.unwrap_or(Outcome::ClientClosed { writes }));
    outcome == Some(Outcome::Served)
}

/// The body of a request to the chat route.
fn understood(incoming: &Incoming) -> Option<Value> {
    let path = incoming.path.split('?').next().unwrap_or_default();
    let known = incoming.method == "POST" && PATHS.contains(&path);
    known.then(|| serde_json::from_slice(&incoming.body).ok()).flatten()
}

/// What the API's framework says to a wrong path.
fn no_route(path: &str) -> Reply {
    Reply::json(404, &json!({"status": 404, "error": "Not Found", "path": path}))
}

/// Sends an answer that needs no request to be written.
async fn send(to: &mut OwnedWriteHalf, reply: &Reply) -> io::Result<Outcome> {
    let nothing = Request { path: String::new(), headers: Vec::new(), body: Value::Null };
    play(to, reply, &nothing, 0, &mut 0).await
}

/// Plays an answer, counting the writes of its body.
async fn play(
    to: &mut OwnedWriteHalf,
    reply: &Reply,
    request: &Request,
    number: usize,
    writes: &mut usize,
) -> io::Result<Outcome> {
    let (content_type, body) = script(reply, request, number);
    if reply.fault == Some(Fault::Stall(0)) {
        std::future::pending::<()>().await;
    }
    to.write_all(http::head(reply.status, &content_type, &reply.headers).as_bytes()).await?;
    let ending = loop {
        match step(reply, &body, *writes) {
            Step::Write(bytes) => {
                pace(reply, *writes).await;
                to.write_all(&http::chunk(&bytes)).await?;
                *writes += 1;
            }
            Step::Stall => std::future::pending().await,
            Step::Ended(outcome) => break outcome,
        }
    };
    if ending == Outcome::Served {
        if let Some(gate) = &reply.gate {
            gate.pass().await;
        }
        to.write_all(http::LAST_CHUNK).await?;
    }
    Ok(ending)
}

/// What comes after so many writes.
enum Step {
    Write(Bytes),
    Stall,
    Ended(Outcome),
}

fn step(reply: &Reply, body: &[Bytes], writes: usize) -> Step {
    match reply.fault {
        Some(Fault::End(after)) if writes >= after => Step::Ended(Outcome::Served),
        Some(Fault::Cut(after)) if writes >= after => Step::Ended(Outcome::Cut),
        Some(Fault::Stall(after)) if writes >= after => Step::Stall,
        Some(Fault::Malformed(after)) if writes == after => {
            Step::Write(wire::frame("{\"id\":\"x\",\"choices\":[{\"index\":0,\"del".to_owned()).into())
        }
        Some(Fault::End(_) | Fault::Cut(_) | Fault::Malformed(_) | Fault::Stall(_)) | None => {
            body.get(writes).map_or(Step::Ended(Outcome::Served), |bytes| Step::Write(bytes.clone()))
        }
    }
}

/// Waits for the gate and the gap before a write.
async fn pace(reply: &Reply, writes: usize) {
    if let Some(gate) = &reply.gate {
        gate.pass().await;
    }
    if let Some(gap) = reply.gap.filter(|_| writes > 0) {
        tokio::time::sleep(gap).await;
    }
}

/// The content type and the writes of a body.
fn script(reply: &Reply, request: &Request, number: usize) -> (String, Vec<Bytes>) {
    match &reply.body {
        Body::Bytes { content_type, writes } => {
            (content_type.clone(), writes.iter().filter(|bytes| !bytes.is_empty()).cloned().collect())
        }
        Body::Said(saying) => {
            let writer = Writer::new(saying, request, number);
            if request.wants_stream() {
                let frames = writer.frames().into_iter().map(Bytes::from).collect();
                ("text/event-stream;charset=UTF-8".to_owned(), frames)
            } else {
                ("application/json; charset=UTF-8".to_owned(), vec![writer.whole().to_string().into()])
            }
        }
    }
}
