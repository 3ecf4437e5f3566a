//! `kode store repair` of a redis store: its index of names, made whole from the agents that are there.
//!
//! There is nothing else to repair: the server keeps its own log, and every entry is checked as it is read.

use std::io::Write as _;

use serde_json::json;

use crate::args::Check;
use crate::compose::{self, RedisUrl};
use crate::failure::Failure;

pub(super) async fn rebuild(url: &RedisUrl, what: &Check, dry: bool) -> Result<(), Failure> {
    if dry || what.agent.is_some() {
        return Err(Failure::usage(
            "a redis store is repaired as a whole: names that its index lost are put back, and nothing is taken away; \
             say it without --dry-run and without an agent",
        ));
    }
    let looked_at = compose::redis(url).await?.rebuild_index().await.map_err(Failure::failed)?;
    let line = if what.json {
        json!({"ok": true, "agents": looked_at}).to_string()
    } else {
        format!("the index of names is whole; {looked_at} agents were looked at")
    };
    writeln!(std::io::stdout().lock(), "{line}").map_err(Failure::failed)
}
