//! A node: a real runtime and a real pool on a simulated machine, with a clock of its own and the store at the other
//! end of a network. Lost, it is started again as another incarnation of the same name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kode_core::Runtime;
use kode_core::clock::Ids;
use kode_core::id::{MessageId, Millis};
use kode_core::template::{Permission, Template};
use kode_pool::{Pool, PoolOptions};
use kode_testkit::sim::chance::Chance;
use kode_testkit::sim::clock::{HostClock, Skew};
use kode_testkit::sim::host::Host;
use kode_testkit::sim::net::Net;
use kode_testkit::sim::watch::Watch;
use kode_testkit::workspace::MemorySandbox;

use crate::doors::Door;
use crate::{model, tools};

/// How long a lease lasts.
pub(crate) const LEASE: Millis = 1_000;
/// The right time at a world's beginning.
pub(crate) const START: Millis = 1_780_000_000_000;

/// What all nodes of a world share.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) net: Net,
    pub(crate) watch: Watch,
    pub(crate) files: Arc<MemorySandbox>,
}

/// A node.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) host: Option<Host>,
    skew: Skew,
    options: PoolOptions,
    incarnation: u32,
}

impl Node {
    /// A node that is not up yet. How wrong its clock is and how much room it has is left to chance.
    pub(crate) fn new(number: usize, chance: &mut Chance) -> Self {
        let ahead = i64::try_from(chance.below(240_000)).unwrap_or(0) - 120_000;
        let drift = i64::try_from(chance.below(2_000)).unwrap_or(0) - 1_000;
        let options = PoolOptions {
            max_agents: chance.index(8) + 2,
            idle: chance.happens(700).then_some(Duration::from_secs(2)),
        };
        let name = format!("n{number}");
        Self { name, host: None, skew: Skew { ahead, drift }, options, incarnation: 0 }
    }

    /// Starts it in a world of this age.
    pub(crate) fn start(&mut self, common: &Common, age: Millis, mut chance: Chance) -> Door {
        self.incarnation += 1;
        let host = Host::new();
        let name = format!("{}.{}", self.name, self.incarnation);
        let clock = host.run(async { HostClock::begin(self.skew, START, age) });
        let store = Arc::new(common.net.remote(&self.name));
        let runtime =
            Runtime::builder(store, model::of(&name, &common.watch, chance.split()), common.files.clone())
                .tools(tools::of(&self.name, common, chance.split()))
                .template(template())
                .clock(Arc::new(clock))
                .ids(Arc::new(SimIds { of: name, given: AtomicU64::new(0) }))
                .holder(&self.name, LEASE)
                .build();
        let pool = Pool::new(runtime.expect("templates and tools fit"), self.options);
        host.spawn({
            let pool = pool.clone();
            async move { pool.keep_watch("http://node.test".into(), String::new()).await }
        });
        let door = Door { machine: host.handle(), pool };
        self.host = Some(host);
        door
    }

    /// Loses it, with all that it was doing.
    pub(crate) fn crash(&mut self) {
        self.host = None;
    }

    pub(crate) fn is_up(&self) -> bool {
        self.host.is_some()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.host.as_ref().is_some_and(Host::is_stopped)
    }
}

fn template() -> Template {
    let permission = Permission {
        require_approval: vec![tools::ASK.into()],
        expire_secs: Some(6),
        ..Permission::default()
    };
    Template { permission, ..Template::new("sim", "You are simulated.").with_tools(tools::NAMES) }
}

/// Ids that no other incarnation gives.
struct SimIds {
    of: String,
    given: AtomicU64,
}

impl SimIds {
    fn next(&self) -> u64 {
        self.given.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Ids for SimIds {
    fn message_id(&self) -> MessageId {
        MessageId::new(format!("msg_{}_{}", self.of, self.next()))
    }

    fn agent_suffix(&self) -> String {
        format!("{}_{}", self.of, self.next())
    }
}
