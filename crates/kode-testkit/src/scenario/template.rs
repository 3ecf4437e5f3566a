//! The `template` line of a script: what is in force from there on.

use kode_core::template::{Template, ToolSet};

use super::words::Words;

/// A template, and which hooks the host has.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// The template in force.
    pub template: Template,
    /// Whether hooks are asked before each call.
    pub hooks: bool,
    /// Whether hooks are asked before the request of each step.
    pub prompt_hooks: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { template: Template::new("scenario", "You are under test."), hooks: false, prompt_hooks: false }
    }
}

impl Setup {
    /// Reads clauses between `;`, each of which changes a default.
    pub(super) fn parse(words: &mut Words<'_>) -> Result<Self, String> {
        let mut setup = Self::default();
        while !words.is_empty() {
            setup.clause(words)?;
            if !words.sign(';') {
                words.end()?;
            }
        }
        Ok(setup)
    }

    fn remind(&mut self, steps: u32) {
        (self.template.todo.enabled, self.template.todo.remind_every_steps) = (true, steps);
    }

    fn clause(&mut self, words: &mut Words<'_>) -> Result<(), String> {
        let (permission, limits) = (&mut self.template.permission, &mut self.template.limits);
        match words.word("a clause such as `parallel 2`")? {
            "ask" => permission.require_approval = words.words(),
            "allow" => permission.allow = words.words(),
            "deny" => permission.deny = words.words(),
            "mode" => permission.mode = words.named("permission mode")?,
            "expire" => permission.expire_secs = Some(words.duration()? / 1_000),
            "parallel" => limits.parallel_tools = words.parsed("a number of tools")?,
            "max_steps" => limits.max_steps = words.parsed("a number of steps")?,
            "max_tokens" => limits.max_tokens = words.parsed("a number of tokens")?,
            "turn" => limits.turn_secs = words.duration()? / 1_000,
            "tool_timeout" => limits.tool_timeout_secs = words.duration()? / 1_000,
            "jobs" => limits.job_secs = words.duration()? / 1_000,
            "expose_thinking" => self.template.expose_thinking = true,
            "system" => self.template.system_prompt = words.json("the system prompt")?,
            "offers" => self.template.tools = ToolSet::These(words.words()),
            "language" => self.template.language = Some(words.named("language")?),
            "window" => self.template.context.window = Some(words.parsed("a number of tokens")?),
            "threshold" => self.template.context.threshold = words.json("a part such as 0.8")?,
            "remind" => self.remind(words.parsed("a number of steps")?),
            "remind_on_start" => self.template.todo.remind_on_start = true,
            "hooks" => self.hooks = true,
            "prompt_hooks" => self.prompt_hooks = true,
            other => return Err(format!("{other:?} is no clause of a template line")),
        }
        Ok(())
    }
}
