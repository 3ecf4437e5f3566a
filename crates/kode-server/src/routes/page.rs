//! The server's own pages: a chat over the API, and the API in words. One file each, which loads nothing from
//! elsewhere; what they may do is said by a policy that names their script and style by hash.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::app::App;
use crate::openapi::Operation;

static CHAT: LazyLock<Page> = LazyLock::new(|| Page::new(include_str!("../page/index.html")));
static DOCS: LazyLock<Page> = LazyLock::new(|| Page::new(include_str!("../page/docs.html")));

pub(super) fn routes() -> Router<App> {
    Router::new().route("/", get(chat)).route("/docs", get(docs))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/", "getPage", "A page to talk with an agent.").gives_text("text/html", "The page."),
        Operation::get("/docs", "getDocs", "This document as a page.").gives_text("text/html", "The page."),
    ]
}

async fn chat(State(app): State<App>) -> Response {
    let is = |fact: bool| if fact { "true" } else { "false" };
    let page = CHAT.text.replace("{{demo}}", is(app.config.demo));
    CHAT.of(page.replace("{{asks}}", is(app.config.auth.asks())))
}

async fn docs() -> Response {
    DOCS.of(DOCS.text.to_owned())
}

/// One file, and what it may do.
struct Page {
    text: &'static str,
    policy: String,
}

impl Page {
    fn new(text: &'static str) -> Self {
        let (script, style) = (hash(text, "script"), hash(text, "style"));
        // A page of kode's shows what a model wrote: even if that came to be markup, it could load and send nothing.
        let policy = format!(
            "default-src 'none'; script-src '{script}'; style-src '{style}'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Self { text, policy }
    }

    fn of(&self, text: String) -> Response {
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, self.policy.as_str()),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-cache"),
        ];
        (headers, text).into_response()
    }
}

/// The digest of what stands in the page's one element of this name, as a policy names it.
fn hash(text: &str, element: &str) -> String {
    let inner = text
        .split_once(&format!("<{element}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{element}>")));
    format!("sha256-{}", STANDARD.encode(Sha256::digest(inner.map_or("", |(inner, _)| inner))))
}
