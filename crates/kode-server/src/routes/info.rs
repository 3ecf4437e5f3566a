//! What the server is made of and how it does: for people and their dashboards.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};

use crate::app::App;
use crate::openapi::Operation;
use crate::shape::{Metrics, RuntimeMetrics, Template, Templates};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/templates", get(templates))
        .route("/api/metrics", get(metrics))
        .route("/metrics", get(text))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/templates", "listTemplates", "The templates, without their prompts.")
            .gives::<Templates>(200, "All of them."),
        Operation::get("/api/metrics", "getMetrics", "Numbers for people.")
            .gives::<Metrics>(200, "The numbers."),
        Operation::get(
            "/metrics",
            "getPrometheusMetrics",
            "Numbers for Prometheus, without any name of an agent, a user or a key.",
        )
        .gives_text("text/plain", "The text form, version 0.0.4."),
    ]
}

async fn templates(State(app): State<App>) -> Json<Templates> {
    let runtime = app.pool.runtime();
    let shown = |template: &kode_core::template::Template| Template {
        id: template.id.clone(),
        model: template.model.clone().unwrap_or_else(|| runtime.default_model().to_owned()),
        tools: runtime
            .registry()
            .kit(&template.id)
            .map_or_else(Vec::new, |kit| kit.specs.iter().map(|spec| spec.name.clone()).collect()),
        expose_thinking: template.expose_thinking,
        default: runtime.default_template() == Some(&template.id),
    };
    Json(Templates { templates: runtime.registry().templates().map(|t| shown(t)).collect() })
}

async fn metrics(State(app): State<App>) -> Json<Metrics> {
    let (runtime, pool) = (app.pool.runtime(), app.pool.stats());
    Json(Metrics {
        active_agents: pool.resident,
        total_users: app.users.count(&**runtime.store()).await,
        runtime: RuntimeMetrics {
            store_type: runtime.store().kind(),
            template_count: runtime.registry().templates().count(),
            tool_count: runtime.registry().tool_count(),
            model: runtime.default_model().to_owned(),
            demo: app.config.demo,
        },
        pool: pool.into(),
        uptime_seconds: app.started.elapsed().as_secs(),
    })
}

async fn text(State(app): State<App>) -> impl IntoResponse {
    let text = app.config.metrics.text(&app.pool, app.started.elapsed());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// The text alone, for a listener of its own.
pub(super) fn text_alone(app: App) -> Router {
    Router::new().route("/metrics", get(text)).with_state(app)
}
