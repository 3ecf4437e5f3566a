//! What must not be, wherever nodes die, stop or drain: what was acknowledged and is lost, or is there twice.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::reader::told_until;
use crate::kill::script;

/// What must not be. It is gathered and told whole: without a fence one agent loses, the next one doubles.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) lost: Vec<String>,
    pub(super) doubled: Vec<String>,
    /// Agents that never rest, or whose journals nobody can read any more: entries of two writers lie in them.
    pub(super) broken: Vec<String>,
}

impl Faults {
    /// What has to be there once, and is there so many times.
    fn once(&mut self, what: String, times: usize) {
        match times {
            0 => self.lost.push(what),
            1 => {}
            _ => self.doubled.push(format!("{what}: {times} times")),
        }
    }

    /// Each message, by its text and name, is in the history once and was answered by one turn.
    ///
    /// # Errors
    /// What is answered where the agent cannot be read.
    pub(super) async fn check(
        &mut self,
        cluster: &Cluster,
        agent: &str,
        sent: &[(String, String)],
    ) -> Result<(), String> {
        let history = history(cluster, agent).await?;
        let told = told_until(cluster, agent, u64::MAX).await?;
        let answered: Vec<&Value> = told.iter().filter(|e| e["event"]["type"] == "done").collect();
        for (text, id) in sent {
            let said = |message: &&Value| {
                message["role"] == "user" && message["content"][0]["text"] == text.as_str()
            };
            self.once(format!("{agent}: {text:?} in the history"), history.iter().filter(said).count());
            let names = |done: &&&Value| done["event"]["messageIds"].as_array().unwrap().contains(&json!(id));
            self.once(format!("{agent}: the answer to {text:?}"), answered.iter().filter(names).count());
        }
        Ok(())
    }

    /// A tool that ran twice has left two lines. How many ran.
    pub(super) fn check_files(&mut self, cluster: &Cluster) -> usize {
        let mut all = 0;
        for agent in std::fs::read_dir(cluster.dir.path().join("workspace")).unwrap().flatten() {
            if agent.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            for file in
                std::fs::read_dir(agent.path()).unwrap().flatten().filter(|file| file.path().is_file())
            {
                let text = std::fs::read_to_string(file.path()).unwrap();
                let ran = text.lines().filter(|line| *line == script::RAN).count();
                if ran > 1 {
                    self.once(format!("the tool of {}", file.path().display()), ran);
                }
                all += ran;
            }
        }
        all
    }
}

/// All messages of an agent.
async fn history(cluster: &Cluster, agent: &str) -> Result<Vec<Value>, String> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = cluster.told(&format!("/api/agents/{agent}/messages?limit=1000{after}")).await?;
        all.extend(page["messages"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(all),
        }
    }
}
