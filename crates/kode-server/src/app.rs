//! What all handlers share, and the router over them.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::middleware::from_fn_with_state;
use kode_core::id::TemplateId;
use kode_pool::Pool;
use tokio_util::sync::CancellationToken;

use crate::config::ServerConfig;
use crate::error::ApiError;
use crate::users::Users;
use crate::{auth, cluster, cors, refusal, request, routes};

/// What all handlers share. Clones are handles on the same one.
#[derive(Clone)]
pub struct App {
    pub(crate) pool: Pool,
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) started: Instant,
    pub(crate) users: Arc<Users>,
}

impl App {
    /// Over a pool. Streams end once `shutdown` is cancelled.
    #[must_use]
    pub fn new(pool: Pool, config: ServerConfig, shutdown: CancellationToken) -> Self {
        let (started, users) = (Instant::now(), Arc::default());
        Self { pool, config: Arc::new(config), shutdown, started, users }
    }

    /// Whether the server takes no new work.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_closing() || self.pool.is_draining()
    }

    /// Whether it only ends what is under way.
    pub(crate) fn is_closing(&self) -> bool {
        self.shutdown.is_cancelled()
    }

    /// Refuses a template that is not registered.
    pub(crate) fn check_template(&self, template: Option<&TemplateId>) -> Result<(), ApiError> {
        match template.filter(|t| self.pool.runtime().registry().kit(t).is_none()) {
            Some(unknown) => Err(refusal::unknown_template(unknown)),
            None => Ok(()),
        }
    }
}

/// All routes, with what surrounds each request.
pub fn router(app: App) -> Router {
    let cors = cors::layer(&app.config.cors_origins);
    let guard = from_fn_with_state(app.clone(), auth::guard);
    routes::all()
        .layer(from_fn_with_state(app.clone(), cluster::route))
        .layer(guard)
        .layer(from_fn_with_state(app.clone(), cluster::admit))
        .layer(cors)
        .layer(from_fn_with_state(app.clone(), request::frame))
        .with_state(app)
}
