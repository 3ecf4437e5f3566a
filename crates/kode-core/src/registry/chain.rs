//! The hooks of one template, in the order in which they are asked: those that its tools bring, its own, the
//! runtime's.

use std::sync::Arc;

use crate::hook::{Hook, HookPoints};
use crate::machine::Hooked;
use crate::tool::Tool;

/// One hook and where it came from.
struct Link {
    hook: Arc<dyn Hook>,
    points: HookPoints,
    /// The tool that brought it: it looks at that tool's calls only.
    tool: Option<String>,
}

/// The hooks of one template.
#[derive(Default)]
pub(crate) struct Chain {
    links: Vec<Link>,
    /// The tools that bring hooks to ask before their calls.
    tools: Vec<String>,
}

impl Chain {
    /// Puts hooks one behind the other.
    pub(super) fn new<'a>(
        tools: impl Iterator<Item = (&'a String, &'a Arc<dyn Tool>)>,
        others: impl Iterator<Item = &'a Arc<dyn Hook>>,
    ) -> Self {
        let brought =
            tools.flat_map(|(name, tool)| tool.hooks().into_iter().map(|hook| (Some(name.clone()), hook)));
        let links: Vec<Link> = brought
            .chain(others.map(|hook| (None, hook.clone())))
            .map(|(tool, hook)| Link { points: hook.points(), hook, tool })
            .collect();
        let asks = links.iter().filter(|link| link.points.pre_tool);
        let mut tools: Vec<String> = asks.filter_map(|link| link.tool.clone()).collect();
        tools.dedup();
        Self { links, tools }
    }

    /// Which of them the machine is to have asked.
    pub(crate) fn hooked(&self) -> Hooked<'_> {
        Hooked {
            calls: self.links.iter().any(|link| link.points.pre_tool && link.tool.is_none()),
            tools: &self.tools,
            prompts: self.links.iter().any(|link| link.points.pre_model),
        }
    }

    /// Those that look at a call of this tool.
    pub(crate) fn on_call(&self, tool: &str, has: fn(&HookPoints) -> bool) -> Vec<Arc<dyn Hook>> {
        let looks = |link: &&Link| has(&link.points) && link.tool.as_deref().is_none_or(|own| own == tool);
        self.links.iter().filter(looks).map(|link| link.hook.clone()).collect()
    }

    /// Those that look at requests, answers or the history.
    pub(crate) fn having(&self, has: fn(&HookPoints) -> bool) -> Vec<Arc<dyn Hook>> {
        self.links.iter().filter(|link| has(&link.points)).map(|link| link.hook.clone()).collect()
    }
}
