//! Turns and tool runs as spans, out of the facts that a store has taken. What agents may do never belongs here.
//!
//! A span is of what is durable: it begins with the fact that says so and ends with the one that ends it. A turn that
//! another writer began is taken up with its next fact, as a trace of its own.

mod live;
mod store;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use kode_core::fact::{Entry, Fact};
use kode_core::id::AgentId;
use kode_core::machine::fnv1a;
use kode_core::message::Usage;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;

use self::live::Agent;
pub(crate) use self::store::TracedStore;
use crate::names::{CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, REASONING_TOKENS};

/// The turns under way.
#[derive(Debug)]
pub(crate) struct Turns {
    tracer: SdkTracer,
    show_agents: bool,
    provider: OnceLock<String>,
    /// By what requests to models call the agent.
    agents: Mutex<HashMap<String, Agent>>,
}

/// Where a request to a model belongs.
pub(crate) struct Place {
    pub(crate) context: Context,
    /// What spans call the agent.
    pub(crate) agent: Option<String>,
}

/// When a batch was on its way to the store, and when it was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) before: SystemTime,
    pub(crate) after: SystemTime,
}

impl Turns {
    pub(crate) fn new(tracer: SdkTracer, show_agents: bool) -> Self {
        Self { tracer, show_agents, provider: OnceLock::new(), agents: Mutex::default() }
    }

    /// Who answers the agents.
    pub(crate) fn provider(&self, name: &str) {
        self.provider.get_or_init(|| name.to_owned());
    }

    /// The turn under way of the agent that requests to models call so.
    pub(crate) fn place_of(&self, user: &str) -> Place {
        match self.locked().get(user) {
            Some(agent) => Place { context: agent.context(), agent: Some(agent.shown.clone()) },
            None => Place { context: Context::new(), agent: None },
        }
    }

    /// Ends what is under way.
    pub(crate) fn forget(&self) {
        self.locked().clear();
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Agent>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, id: &AgentId) -> Agent {
        let shown = if self.show_agents { id.to_string() } else { user_of(id) };
        Agent::new(shown)
    }

    /// Whether it is to be found out what the agent was made from, before its turn is told of.
    fn is_nameless(&self, id: &AgentId) -> bool {
        self.locked().get(&user_of(id)).is_none_or(|agent| agent.template.is_none())
    }

    fn name(&self, id: &AgentId, template: &str) {
        let mut agents = self.locked();
        let agent = agents.entry(user_of(id)).or_insert_with(|| self.fresh(id));
        agent.template.get_or_insert_with(|| template.to_owned());
    }

    /// A batch was taken.
    pub(crate) fn took(&self, id: &AgentId, entries: &[Entry], moment: Moment) {
        let mut agents = self.locked();
        let agent = agents.entry(user_of(id)).or_insert_with(|| self.fresh(id));
        let provider = self.provider.get().map_or("", String::as_str);
        entries.iter().for_each(|entry| agent.took(&self.tracer, provider, &entry.fact, moment));
    }

    /// Nobody writes to the agent any more.
    pub(crate) fn left(&self, id: &AgentId) {
        self.locked().remove(&user_of(id));
    }
}

/// What requests to models call an agent: a hash of its id.
pub(crate) fn user_of(id: &AgentId) -> String {
    format!("agent-{:016x}", fnv1a(id.as_str().as_bytes()))
}

/// Whether a fact begins or goes on with a turn.
fn is_of_a_turn(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::TurnStarted { .. }
            | Fact::ModelStarted { .. }
            | Fact::CompactionStarted { .. }
            | Fact::ToolStarted { .. }
    )
}

/// What an answer cost.
pub(crate) fn spent(usage: Usage) -> [KeyValue; 4] {
    let count = |name, tokens: u64| KeyValue::new(name, i64::try_from(tokens).unwrap_or(i64::MAX));
    [
        count(INPUT_TOKENS, usage.input_tokens),
        count(OUTPUT_TOKENS, usage.output_tokens),
        count(CACHED_TOKENS, usage.cached_tokens),
        count(REASONING_TOKENS, usage.reasoning_tokens),
    ]
}

/// The span of a context, for what happens in it.
fn span_of(context: &Context) -> opentelemetry::trace::SpanRef<'_> {
    context.span()
}
