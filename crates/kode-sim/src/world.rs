//! One world from its seed to its end: trouble for a while, then none, and then everything must come to an end.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kode_core::id::{AgentId, Millis};
use kode_core::store::Store;
use kode_core::store::memory::MemoryStore;
use kode_testkit::sim::chance::Chance;
use kode_testkit::sim::clock::Skew;
use kode_testkit::sim::host::Host;
use kode_testkit::sim::net::Net;
use kode_testkit::sim::trace::Trace;
use kode_testkit::sim::unfenced::{Lack, Unfenced};
use kode_testkit::sim::watch::{Rule, Violation, Watch, Watched};
use kode_testkit::workspace::MemorySandbox;
use tokio::task::JoinHandle;

use crate::census::Census;
use crate::doors::Doors;
use crate::faults::{Fault, Strike, Trouble};
use crate::load::Load;
use crate::node::{Common, Node, START};

/// How far time goes at once. What a machine tells another arrives within so long.
const STEP: Millis = 4;
/// How long things go wrong.
const TROUBLE: Millis = 20_000;
/// How long it may take afterwards until everything has come to an end.
const PATIENCE: Millis = 120_000;
/// How long a node waits for the store.
const STORE_PATIENCE: Duration = Duration::from_millis(400);
/// Lines of the history that a failure shows.
const SHOWN: usize = 400;

/// The store of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it should be.
    Whole,
    /// One that lacks a check at its appends.
    Unfenced(Lack),
}

/// What came of a world.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Stands for its whole history.
    pub hash: u64,
    /// What was broken, if anything was.
    pub violation: Option<Violation>,
    /// The end of its history.
    pub end: Vec<String>,
    /// What was done and seen.
    pub census: Census,
}

/// Lives through the world of a seed. The rules of `blind` are not judged.
#[must_use]
pub fn play(seed: u64, kind: Kind, blind: &[Rule]) -> Outcome {
    let mut world = World::begin(seed, kind, blind);
    while !world.is_over() {
        world.step();
    }
    world.outcome(seed)
}

struct World {
    trace: Arc<Trace>,
    watch: Watch,
    common: Common,
    /// The store's machine, and that of all who are outside.
    store: Host,
    outside: Host,
    nodes: Vec<Node>,
    doors: Doors,
    load: Load,
    trouble: Trouble,
    chance: Chance,
    /// What ends when.
    ends: BTreeMap<(Millis, usize), End>,
    /// Nodes that shut down.
    draining: BTreeMap<usize, JoinHandle<()>>,
    begun: usize,
}

/// The end of a fault.
enum End {
    Heal(usize),
    GoOn(usize),
    Start(usize),
    Calm,
}

impl World {
    fn begin(seed: u64, kind: Kind, blind: &[Rule]) -> Self {
        let mut chance = Chance::of(seed);
        let trace = Arc::new(Trace::keeping(SHOWN));
        let watch = Watch::new(trace.clone(), blind);
        let (store, outside) = (Host::new(), Host::new());
        let kept: Arc<dyn Store> = match kind {
            Kind::Whole => Arc::new(Watched::new(MemoryStore::new(), watch.clone())),
            Kind::Unfenced(lack) => Arc::new(Watched::new(Unfenced::new(lack), watch.clone())),
        };
        let clock = (Skew { ahead: 7_000, drift: 300 }, START);
        let net = Net::new(kept, store.handle(), clock, STORE_PATIENCE, trace.clone(), chance.split());
        let common = Common { net, watch: watch.clone(), files: Arc::new(MemorySandbox::new()) };
        let nodes: Vec<Node> = (1..=chance.index(3) + 2).map(|n| Node::new(n, &mut chance)).collect();
        let doors = Doors::closed(nodes.len());
        let trouble = Trouble::until(TROUBLE, chance.split());
        let load = Load {
            doors: doors.clone(),
            watch: watch.clone(),
            trace: trace.clone(),
            sending: Arc::new(AtomicUsize::new(0)),
            read: Arc::new(Mutex::default()),
        };
        let (ends, draining) = (BTreeMap::new(), BTreeMap::new());
        let mut world = Self {
            trace,
            watch,
            common,
            store,
            outside,
            nodes,
            doors,
            load,
            trouble,
            chance,
            ends,
            draining,
            begun: 0,
        };
        (0..world.nodes.len()).for_each(|node| world.start(node));
        world.common.net.weather(world.trouble.usual(0));
        world.populate();
        world
    }

    /// Sends those outside on their ways.
    fn populate(&mut self) {
        for number in 0..self.chance.between(2, 5) {
            let agent = AgentId::new(format!("user:{number}")).expect("it is a name");
            for sender in 0..self.chance.between(1, 2) {
                self.load.sending.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let (name, count) = (format!("c{number}.{sender}"), self.chance.between(6, 14));
                self.outside.spawn(self.load.clone().send_all(
                    name,
                    agent.clone(),
                    count,
                    self.chance.split(),
                ));
            }
            self.outside.spawn(self.load.clone().read_all(agent.clone(), self.chance.split()));
            self.outside.spawn(self.load.clone().interrupt(agent, TROUBLE - 8_000, self.chance.split()));
        }
        self.outside.spawn(self.load.clone().decide_all(self.chance.split()));
    }

    /// Lets a little time pass everywhere.
    fn step(&mut self) {
        let now = self.trace.now();
        while let Some(entry) = self.ends.first_entry().filter(|entry| entry.key().0 <= now) {
            let end = entry.remove();
            self.end(end);
        }
        if let Some(strike) = self.trouble.strike(now, self.nodes.len()) {
            self.strike(strike);
        }
        let step = Duration::from_millis(STEP);
        self.store.pass(step);
        self.nodes.iter_mut().filter_map(|node| node.host.as_mut()).for_each(|host| host.pass(step));
        self.outside.pass(step);
        self.bury_the_drained();
        self.trace.pass(STEP);
    }

    fn strike(&mut self, strike: Strike) {
        let Strike { fault, node, lasts } = strike;
        let there = &self.nodes[node];
        let busy = !there.is_up() || there.is_stopped() || self.draining.contains_key(&node);
        if busy && !matches!(fault, Fault::Storm(_) | Fault::Partition(_)) {
            return;
        }
        self.trouble.count(strike, &self.nodes[node].name, &self.trace);
        match fault {
            Fault::Partition(cut) => {
                self.common.net.cut(&self.nodes[node].name, cut);
                self.later(lasts, End::Heal(node));
            }
            Fault::Pause => {
                self.nodes[node].host.iter_mut().for_each(Host::stop);
                self.later(lasts, End::GoOn(node));
            }
            Fault::Crash => {
                self.doors.set(node, None);
                self.nodes[node].crash();
                self.later(lasts, End::Start(node));
            }
            Fault::Drain(grace) => self.drain(node, grace),
            Fault::Storm(weather) => {
                self.common.net.weather(weather);
                self.later(lasts, End::Calm);
            }
        }
    }

    fn end(&mut self, end: End) {
        match end {
            End::Heal(node) => self.common.net.heal(&self.nodes[node].name),
            End::GoOn(node) => {
                self.trace.note(format_args!("{} goes on", self.nodes[node].name));
                self.nodes[node].host.iter_mut().for_each(Host::go_on);
            }
            End::Start(node) => self.start(node),
            End::Calm => self.common.net.weather(self.trouble.usual(self.trace.now())),
        }
    }

    fn later(&mut self, lasts: Millis, end: End) {
        self.begun += 1;
        self.ends.insert((self.trace.now() + lasts, self.begun), end);
    }

    fn start(&mut self, node: usize) {
        let (age, chance) = (self.trace.now(), self.chance.split());
        self.trace.note(format_args!("{} starts", self.nodes[node].name));
        let door = self.nodes[node].start(&self.common, age, chance);
        self.doors.set(node, Some(door));
    }

    fn drain(&mut self, node: usize, grace: Duration) {
        let Some(host) = &self.nodes[node].host else { return };
        let Some(pool) = self.doors.pool(node) else { return };
        let drained = host.spawn(async move {
            pool.shutdown(grace).await;
        });
        self.draining.insert(node, drained);
    }

    /// A node that has shut down ends, and is started again a little later.
    fn bury_the_drained(&mut self) {
        let done: Vec<usize> = self
            .draining
            .iter()
            .filter(|(_, drained)| drained.is_finished())
            .map(|(node, _)| *node)
            .collect();
        for node in done {
            self.draining.remove(&node);
            self.doors.set(node, None);
            self.nodes[node].crash();
            self.trace.note(format_args!("{} has ended", self.nodes[node].name));
            self.later(100, End::Start(node));
        }
    }

    /// Whether something is broken, or all is done, or there was time enough for it.
    fn is_over(&mut self) -> bool {
        let now = self.trace.now();
        if self.watch.verdict().is_some() {
            return true;
        }
        if !self.trouble.is_over(now) || !self.ends.is_empty() || !self.draining.is_empty() {
            return false;
        }
        self.common.net.weather(self.trouble.usual(now));
        if self.load.is_over() && self.watch.all_answered() {
            return true;
        }
        if now > TROUBLE + PATIENCE {
            self.watch.time_is_up(&self.load.rest());
            return true;
        }
        false
    }

    fn outcome(self, seed: u64) -> Outcome {
        let seconds = self.trace.now() / 1_000;
        let census = Census { worlds: 1, faults: self.trouble.counts, sights: self.watch.sights(), seconds };
        let (violation, end) = (self.watch.verdict(), self.trace.end());
        Outcome { seed, hash: self.trace.hash(), violation, end, census }
    }
}
