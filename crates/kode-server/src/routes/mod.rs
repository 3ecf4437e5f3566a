//! The routes, one room for each thing they are about.

use axum::Router;

use crate::app::App;
use crate::openapi::Operation;

mod agents;
mod approvals;
mod chat;
mod description;
mod forks;
mod health;
mod info;
mod messages;
mod page;
mod stream;
mod tickets;
mod todos;
mod usage;

/// Agents, messages or approvals of one page, unless the caller says otherwise.
const PAGE: usize = 100;
/// Most of them.
const PAGE_MAX: usize = 1_000;

/// All of them.
pub(crate) fn all() -> Router<App> {
    [agents::routes, messages::routes, stream::routes, todos::routes, approvals::routes]
        .into_iter()
        .chain([
            forks::routes,
            chat::routes,
            tickets::routes,
            usage::routes,
            info::routes,
            health::routes,
            description::routes,
            page::routes,
        ])
        .fold(Router::new(), |all, some: fn() -> Router<App>| all.merge(some()))
}

/// `/metrics` alone, open to everybody.
pub(crate) fn metrics_alone(app: App) -> Router {
    info::text_alone(app)
}

/// What they say of themselves, in the same order.
pub(crate) fn operations() -> Vec<Operation> {
    [agents::operations, messages::operations, stream::operations, todos::operations, approvals::operations]
        .into_iter()
        .chain([
            forks::operations,
            chat::operations,
            tickets::operations,
            usage::operations,
            info::operations,
            health::operations,
            description::operations,
            page::operations,
        ])
        .flat_map(|some: fn() -> Vec<Operation>| some())
        .collect()
}

pub(crate) use messages::wants_stream;

/// The size of a page: what was asked for, within bounds.
fn page(asked: Option<usize>, default: usize, max: usize) -> usize {
    asked.unwrap_or(default).clamp(1, max)
}
