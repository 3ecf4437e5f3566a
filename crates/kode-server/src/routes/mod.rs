//! The routes, one room for each thing they are about.

use axum::Router;

use crate::app::App;

mod agents;
mod approvals;
mod chat;
mod forks;
mod health;
mod info;
mod messages;
mod stream;
mod tickets;
mod todos;

/// Agents, messages or approvals of one page, unless the caller says otherwise.
const PAGE: usize = 100;
/// Most of them.
const PAGE_MAX: usize = 1_000;

/// All of them.
pub(crate) fn all() -> Router<App> {
    [agents::routes, messages::routes, stream::routes, todos::routes, approvals::routes]
        .into_iter()
        .chain([forks::routes, chat::routes, tickets::routes, info::routes, health::routes])
        .fold(Router::new(), |all, some: fn() -> Router<App>| all.merge(some()))
}

/// The size of a page: what was asked for, within bounds.
fn page(asked: Option<usize>, default: usize, max: usize) -> usize {
    asked.unwrap_or(default).clamp(1, max)
}
