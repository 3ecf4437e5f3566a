//! `kode store migrate`: journals in the format of this version. Older ones are read as they are, so it is never
//! needed; it makes a store of one format.

use kode_core::id::AgentId;
use serde_json::json;

use super::{Finding, NO_FILES};
use crate::args::Check;
use crate::compose::{self, FsStore, Versions};
use crate::config::StoreUrl;
use crate::failure::Failure;
use crate::out::Out;

const ADVICE: &str = "they are as they were; run `kode store check`";

pub(super) async fn run(what: &Check, dry: bool) -> Result<(), Failure> {
    let url = super::meant(what)?;
    let dir = match &url {
        StoreUrl::Fs(dir) => dir,
        StoreUrl::Redis(_) => return Err(Failure::usage(NO_FILES)),
        StoreUrl::Postgres(address) => return tables(&url, address, what.json, dry).await,
    };
    let store = super::files(dir, !dry)?;
    let mut findings = Vec::new();
    for agent in super::agents(&store, what).await? {
        findings.push(finding(&store, &agent, dry).await);
    }
    super::print(&findings, what, ADVICE)
}

/// The tables of a database. A server does the same when it starts; this is for a role that has the right to.
async fn tables(url: &StoreUrl, address: &str, as_json: bool, dry: bool) -> Result<(), Failure> {
    let Versions { database, program } = compose::versions(url, address).await?;
    let behind = database < program;
    if behind && !dry {
        compose::store(url).await?;
    }
    let mut out = Out::new();
    if as_json {
        let migrated = behind && !dry;
        out.line(json!({"ok": true, "database": database, "program": program, "migrated": migrated}))?;
    } else {
        let said = match (behind, dry, database) {
            (false, _, _) => {
                format!("nothing to do: the tables are of version {program}, which is this program's")
            }
            (true, true, 0) => format!("there are no tables; version {program} would be made"),
            (true, true, _) => format!("the tables would go from version {database} to {program}"),
            (true, false, 0) => format!("there were no tables; version {program} was made"),
            (true, false, _) => format!("the tables went from version {database} to {program}"),
        };
        out.line(format!("{url}: {said}"))?;
    }
    out.flush()
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
