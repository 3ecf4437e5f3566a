//! `kode store migrate`: journals in the format of this version. Older ones are read as they are, so it is never
//! needed; it makes a store of one format.

use kode_core::id::AgentId;
use serde_json::json;

use super::Finding;
use crate::args::Check;
use crate::compose::FsStore;
use crate::failure::Failure;

const ADVICE: &str = "they are as they were; run `kode store check`";

pub(super) async fn run(what: &Check, dry: bool) -> Result<(), Failure> {
    let store = super::open(what, !dry)?;
    let mut findings = Vec::new();
    for agent in super::agents(&store, what).await? {
        findings.push(finding(&store, &agent, dry).await);
    }
    super::print(&findings, what, ADVICE)
}

async fn finding(store: &FsStore, agent: &AgentId, dry: bool) -> Finding {
    match store.migrate(agent, dry).await {
        Ok(files) => {
            let json = json!({"agentId": agent, "ok": true, "files": files, "migrated": !dry && files > 0});
            let said = match (files, dry) {
                (0, _) => {
                    "nothing to do: its files are of this version's format, or there are none".to_owned()
                }
                (files, true) => format!("{files} files of an older format would be written anew"),
                (files, false) => format!("{files} files of an older format were written anew"),
            };
            Finding::good(agent, &said, json)
        }
        Err(error) => Finding::bad(agent, &error),
    }
}
