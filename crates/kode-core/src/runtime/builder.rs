//! Building a runtime: what it is made of, and the defaults of what is not said.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{AgentCallback, Runtime, Shared};
use crate::agent::Agent;
use crate::clock::{Clock, Ids};
use crate::hook::Hook;
use crate::hub::Hub;
use crate::id::{Millis, TemplateId};
use crate::live::Stuck;
use crate::model::Model;
use crate::policy::Policy;
use crate::price::Prices;
use crate::registry::{Registry, RegistryError, Says};
use crate::sandbox::SandboxFactory;
use crate::secrets::Secrets;
use crate::store::Store;
use crate::system::{RandomIds, SystemClock};
use crate::template::Template;
use crate::tool::Tool;

/// How long a lease lasts without renewal, unless the host says otherwise.
const LEASE_TTL: Millis = 10_000;

/// Builds a [`Runtime`].
pub struct RuntimeBuilder {
    store: Arc<dyn Store>,
    model: Arc<dyn Model>,
    sandboxes: Arc<dyn SandboxFactory>,
    templates: Vec<Template>,
    tools: Vec<Arc<dyn Tool>>,
    says: Says,
    default_model: String,
    default_template: Option<TemplateId>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    holder: Option<String>,
    lease_ttl: Millis,
    retention: Option<Millis>,
    secrets: Secrets,
    prices: Prices,
    on_agent: Vec<AgentCallback>,
}

impl RuntimeBuilder {
    pub(super) fn new(
        store: Arc<dyn Store>,
        model: Arc<dyn Model>,
        sandboxes: Arc<dyn SandboxFactory>,
    ) -> Self {
        Self {
            store,
            model,
            sandboxes,
            templates: Vec::new(),
            tools: Vec::new(),
            says: Says::default(),
            default_model: String::new(),
            default_template: None,
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            holder: None,
            lease_ttl: LEASE_TTL,
            retention: None,
            secrets: Secrets::default(),
            prices: Prices::default(),
            on_agent: Vec::new(),
        }
    }

    /// Adds a template. The first one is the default unless another is named.
    #[must_use]
    pub fn template(mut self, template: Template) -> Self {
        self.templates.push(template);
        self
    }

    /// Adds a tool.
    #[must_use]
    pub fn tool(mut self, tool: Arc<dyn Tool>) -> Self {
        self.tools.push(tool);
        self
    }

    /// Adds tools.
    #[must_use]
    pub fn tools(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        self.tools.extend(tools);
        self
    }

    /// Adds a hook for all agents. Asked behind those that a tool brings and those of the template, in the order of
    /// registration.
    #[must_use]
    pub fn hook(mut self, hook: Arc<dyn Hook>) -> Self {
        self.says.hooks.push(hook);
        self
    }

    /// Adds a hook for the agents of one template, asked before those for all agents.
    #[must_use]
    pub fn template_hook(mut self, template: TemplateId, hook: Arc<dyn Hook>) -> Self {
        self.says.template_hooks.push((template, hook));
        self
    }

    /// Adds a permission mode of the host's own: templates choose it by this name.
    #[must_use]
    pub fn policy(mut self, name: impl Into<String>, policy: Arc<dyn Policy>) -> Self {
        self.says.policies.push((name.into(), policy));
        self
    }

    /// Names the model of templates that name none.
    #[must_use]
    pub fn default_model(mut self, model: impl Into<String>) -> Self {
        self.default_model = model.into();
        self
    }

    /// Names the template of agents for which none is named.
    #[must_use]
    pub fn default_template(mut self, template: TemplateId) -> Self {
        self.default_template = Some(template);
        self
    }

    /// Takes time from elsewhere than the system.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes ids from elsewhere than chance.
    #[must_use]
    pub fn ids(mut self, ids: Arc<dyn Ids>) -> Self {
        self.ids = ids;
        self
    }

    /// Names this process among those that share the store, and says how long it holds an agent without
    /// renewing.
    #[must_use]
    pub fn holder(mut self, name: impl Into<String>, lease_ttl: Millis) -> Self {
        self.holder = Some(name.into());
        self.lease_ttl = lease_ttl;
        self
    }

    /// Says how long this process holds an agent without renewing, under a name that is made for it.
    #[must_use]
    pub fn lease(mut self, ttl: Millis) -> Self {
        self.lease_ttl = ttl;
        self
    }

    /// Lets events that are older than this be forgotten: [`Runtime::oldest`] says what is still told, and the
    /// journal drops what no state is made of. Without it everything is told for ever. Messages, calls and all
    /// else that state is made of are kept in either case: the journal is their only copy.
    #[must_use]
    pub fn retention(mut self, age: Millis) -> Self {
        self.retention = Some(age);
        self
    }

    /// Values that must not come to agents: whatever a tool gives, or tells while it runs, has a mark in their place.
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// What models cost: the usage of each answer says it from then on, and so do the sums of it.
    #[must_use]
    pub fn prices(mut self, prices: Prices) -> Self {
        self.prices = prices;
        self
    }

    /// Calls back with each agent that is created or resumed, so that no binding is forgotten.
    #[must_use]
    pub fn on_agent(mut self, callback: impl Fn(&Agent) + Send + Sync + 'static) -> Self {
        self.on_agent.push(Arc::new(callback));
        self
    }

    /// Checks that templates, tools, hooks and policies fit, and gives the runtime.
    ///
    /// # Errors
    /// What does not fit.
    pub fn build(self) -> Result<Runtime, RegistryError> {
        let first = self.templates.first().map(|t| t.id.clone());
        let holder = self.holder.unwrap_or_else(|| format!("node-{}", self.ids.agent_suffix()));
        let shared = Shared {
            registry: Registry::new(self.templates, self.tools, self.says)?,
            store: self.store,
            model: self.model,
            default_model: self.default_model,
            sandboxes: self.sandboxes,
            clock: self.clock,
            ids: self.ids,
            hub: Hub::default(),
            stuck: Stuck::default(),
            secrets: self.secrets,
            prices: self.prices,
            holder,
            lease_ttl: self.lease_ttl,
            retention: self.retention,
            default_template: self.default_template.or(first),
            on_agent: self.on_agent,
        };
        Ok(Runtime { shared: Arc::new(shared) })
    }
}

impl Runtime {
    /// What models cost, as it was built with.
    #[must_use]
    pub fn prices(&self) -> &Prices {
        &self.shared.prices
    }

    /// Has the sandboxes find out, for each template, what they have to find out once in a process: so that the first agent
    /// does not wait for it. Nothing needs it to be called, or to have ended.
    pub async fn prepare(&self) {
        let sandboxes = &self.shared.sandboxes;
        join_all(self.shared.registry.templates().map(|template| sandboxes.prepare(&template.sandbox))).await;
    }
}
