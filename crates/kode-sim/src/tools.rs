//! The tools of the simulated world. What they do outside is noted at the moment when they begin.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kode_core::model::ToolSpec;
use kode_core::tool::{Tool, ToolCx, ToolError, ToolTraits};
use kode_testkit::sim::chance::Chance;
use kode_testkit::sim::net::Net;
use kode_testkit::sim::watch::Watch;
use serde_json::{Value, json};

use crate::node::Common;

/// Changes the world.
pub(crate) const ACT: &str = "act";
/// Changes nothing and may be run again.
pub(crate) const LOOK: &str = "look";
/// Changes the world, and a person is asked first.
pub(crate) const ASK: &str = "ask";
/// All of them.
pub(crate) const NAMES: [&str; 3] = [ACT, LOOK, ASK];

struct SimTool {
    name: &'static str,
    node: String,
    watch: Watch,
    net: Net,
    chance: Arc<Mutex<Chance>>,
}

/// The tools of one node.
pub(crate) fn of(node: &str, common: &Common, chance: Chance) -> Vec<Arc<dyn Tool>> {
    let chance = Arc::new(Mutex::new(chance));
    let tool = |name| SimTool {
        name,
        node: node.to_owned(),
        watch: common.watch.clone(),
        net: common.net.clone(),
        chance: chance.clone(),
    };
    NAMES.into_iter().map(|name| Arc::new(tool(name)) as Arc<dyn Tool>).collect()
}

#[async_trait]
impl Tool for SimTool {
    fn spec(&self) -> ToolSpec {
        let description = "A tool of the simulated world.".into();
        ToolSpec { name: self.name.into(), description, input_schema: json!({ "type": "object" }) }
    }

    fn traits(&self) -> ToolTraits {
        let harmless = self.name == LOOK;
        ToolTraits { readonly: harmless, replayable: harmless, ..ToolTraits::NONE }
    }

    fn check(&self, _: &Value) -> Result<(), ToolError> {
        Ok(())
    }

    async fn call(&self, cx: &ToolCx, _: Value) -> Result<Value, ToolError> {
        let here = (self.node.as_str(), self.net.store_time());
        self.watch.tool_starts(here, &cx.agent, &cx.call, self.traits().replayable);
        let (time, fails) = {
            let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
            (Duration::from_millis(chance.between(0, 200)), chance.happens(50))
        };
        tokio::time::sleep(time).await;
        match fails {
            true => Err(ToolError::new("failed", "it did not work")),
            false => Ok(json!({ "ok": true })),
        }
    }
}
