//! Clients that live in a page: a browser without a window, a page of another origin than the server's, and what the
//! page tells of what its clients have shown. What never belongs here: the clients, which are in `examples/clients`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use kode_testkit::servers::{Dir, Guarded};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::programs::{Address, NODE_MODULES, project};
use super::told::{Shown, Teller};

/// How long a browser's children may take to end after it.
const LINGERING: Duration = Duration::from_secs(5);

/// What the page of a browser is to do.
#[derive(Default)]
pub(super) struct Tasks {
    tasks: Vec<Value>,
    tellers: HashMap<String, Teller>,
}

impl Tasks {
    /// One more client; its name says to the page which.
    pub(super) fn add(&mut self, client: &'static str, to: &Address, agent: &str, text: &str) -> Shown {
        let Address { base, key } = to;
        self.tasks.push(
            json!({ "client": client, "base": base, "agent": agent, "text": text, "key": key.as_deref() }),
        );
        let (teller, shown) = Shown::new(client, agent);
        self.tellers.insert(client.to_owned(), teller);
        shown
    }

    /// Opens the page.
    pub(super) async fn start(self) -> Browser {
        let routes = Router::new()
            .route("/", get(|| async { Html(include_str!("page.html")) }))
            .route("/tasks", get(|State(tasks): State<Arc<Self>>| async move { Json(tasks.tasks.clone()) }))
            .route("/told/{client}", post(told))
            .route("/clients/{*path}", get(|Path(path): Path<String>| module("examples/clients", path)))
            .route("/node_modules/{*path}", get(|Path(path): Path<String>| module(NODE_MODULES, path)))
            .with_state(Arc::new(self));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let page = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let pages = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let dir = Dir::make("chromium").unwrap();
        let profile = format!("--user-data-dir={}", dir.path().display());
        let flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let quiet = ["--no-first-run", "--disable-background-networking", "--no-proxy-server"];
        let args: Vec<String> =
            flags.iter().chain(&quiet).chain(&[&*profile, &page]).map(|arg| (*arg).to_owned()).collect();
        let process = Guarded::start("chromium", &args, &dir.path().join("output")).unwrap();
        Browser { process, dir, pages }
    }
}

/// A browser with the page, gone when this is dropped.
pub(super) struct Browser {
    process: Guarded,
    dir: Dir,
    pages: tokio::task::JoinHandle<()>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.pages.abort();
        self.process.kill();
        // Its children end after it, and may still write into its profile.
        let began = Instant::now();
        while std::fs::remove_dir_all(self.dir.path()).is_err() && began.elapsed() < LINGERING {
            std::thread::yield_now();
        }
    }
}

/// A line that a client has shown.
async fn told(State(tasks): State<Arc<Tasks>>, Path(client): Path<String>, line: String) -> StatusCode {
    let Some(teller) = tasks.tellers.get(&client) else { return StatusCode::NOT_FOUND };
    teller.send_modify(|lines| lines.push(line));
    StatusCode::NO_CONTENT
}

/// A module of JavaScript; packages leave the end of a file's name out.
async fn module(root: &str, path: String) -> Response {
    let file = project(root).join(if path.ends_with(".js") { path } else { path + ".js" });
    match std::fs::read_to_string(file) {
        Ok(text) => ([(CONTENT_TYPE, "text/javascript")], text).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
