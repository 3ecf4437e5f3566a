//! A writer under load in a process of its own, and the book of what it told: what must be there when it is dead.
//!
//! The writer says on its stdout what it is about to do and what the store has acknowledged, a line each. Every
//! entry has a name of its own, so one that is lost, doubled or out of place is seen. How the writer dies is not
//! decided here.

use std::collections::BTreeMap;
use std::io::Write;

use futures_util::future::try_join_all;
use kode_core::fact::{ChunkPart, Entry, Fact};
use kode_core::id::{AgentId, Epoch};
use kode_core::store::{Catalog, Checkpoints, Durability, Journal, Leases, StoreResult};
use kode_testkit::store_suite::checkpoints::checkpoint;
use kode_testkit::store_suite::pen::{HOLDER, NOW, Pen, TTL, all, chunk, id};

use super::Dice;
use crate::FsStore;

/// Begins each line of the writer's, so that it is not taken for one of the test runner's.
const MARK: &str = "told: ";

/// Says one thing, as one write.
fn tell(what: &str) {
    let mut out = std::io::stdout().lock();
    let said = out.write_all(format!("{MARK}{what}\n").as_bytes()).and_then(|()| out.flush());
    said.expect("the reader outlives the writer");
}

/// One agent's writer.
struct Writer<'s> {
    store: &'s FsStore,
    agent: AgentId,
    run: u64,
    /// How many entries it has named.
    named: u64,
    dice: Dice,
}

impl Writer<'_> {
    /// A lease with some appends, and one of the ways in which it ends.
    async fn term(&mut self) -> StoreResult<()> {
        let lease = self.store.acquire(&self.agent, HOLDER, TTL, NOW).await?;
        tell(&format!("take {}", self.agent));
        let head = self.store.head(&self.agent).await?.unwrap_or_default();
        let mut pen = Pen { lease, head };
        for _ in 0..1 + self.dice.roll(6) {
            self.append(&mut pen).await?;
        }
        if self.dice.roll(3) == 0 {
            let covered = checkpoint(pen.head.seq.0, &self.name(self.named - 1));
            self.store.save_checkpoint(&pen.lease, &covered).await?;
        }
        match self.dice.roll(6) {
            0 => {
                tell(&format!("drop {}", self.agent));
                self.store.delete(pen.lease).await?;
                tell(&format!("gone {}", self.agent));
            }
            1..=3 => {
                tell(&format!("free {}", self.agent));
                self.store.release(pen.lease, true).await?;
            }
            _ => self.store.release(pen.lease, false).await?,
        }
        Ok(())
    }

    async fn append(&mut self, pen: &mut Pen) -> StoreResult<()> {
        let grade = if self.dice.roll(2) == 0 { Durability::Synced } else { Durability::Buffered };
        let names: Vec<_> = (0..1 + self.dice.roll(3)).map(|_| self.next_name()).collect();
        let batch = pen.entries(names.iter().map(|name| (chunk(&self.padded(name), 1), 1)));
        tell(&format!("try {} {}", self.agent, batch.len()));
        pen.try_write(self.store, &batch, grade).await?;
        tell(&format!("has {} {} {grade:?}", self.agent, pen.lease.epoch));
        Ok(())
    }

    fn next_name(&mut self) -> String {
        self.named += 1;
        self.name(self.named - 1)
    }

    fn name(&self, number: u64) -> String {
        format!("{}.{number}.", self.run)
    }

    /// Most lines are short, some are longer than a page of the disk.
    fn padded(&self, name: &str) -> String {
        let length = self.named.wrapping_mul(7_919) % 701;
        format!("{name}{}", "x".repeat(if length < 20 { 9_000 } else { length as usize }))
    }
}

/// The agents' names.
pub(super) fn agents(count: usize) -> Vec<AgentId> {
    (0..count).map(|n| id(&format!("user:{n}"))).collect()
}

/// Writes for all agents at once, until the process is killed or the disk fails.
pub(super) async fn write_for_ever(store: &FsStore, agents: &[AgentId], run: u64) {
    let writers = agents.iter().zip(1..).map(|(agent, seed)| async move {
        let dice = Dice::new(run * 1_000 + seed);
        let mut writer = Writer { store, agent: agent.clone(), run, named: 0, dice };
        loop {
            writer.term().await?;
        }
    });
    let ended: StoreResult<Vec<()>> = try_join_all(writers).await;
    if let Err(error) = ended {
        tell(&format!("fail {error}"));
    }
}

/// The same for one agent after the other and with an end, so that a seed decides each operation on the disk.
pub(super) async fn write_in_turn(store: &FsStore, agents: &[AgentId], run: u64, terms: usize) {
    let mut writers: Vec<_> = (agents.iter().zip(1..))
        .map(|(agent, seed)| Writer {
            store,
            agent: agent.clone(),
            run,
            named: 0,
            dice: Dice::new(run * 1_000 + seed),
        })
        .collect();
    for _ in 0..terms {
        for writer in &mut writers {
            if let Err(error) = writer.term().await {
                return tell(&format!("fail {error}"));
            }
        }
    }
    tell("over");
}

/// What may be gone after a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// Of the process: nothing that was acknowledged.
    Process,
    /// Of the machine: what was only buffered.
    Power,
}

/// What is known of one agent.
#[derive(Default)]
struct Page {
    /// What was read before this run.
    base: Vec<Entry>,
    /// The first name of this run that belongs to the agent that is there now.
    first: u64,
    /// Where this run's batches end, the one that is under way included.
    ends: Vec<u64>,
    /// Everything below is acknowledged: in any grade, and synced.
    had: u64,
    synced: u64,
    /// The highest epoch under which anything was acknowledged: no later writer's may be as low.
    epoch: Epoch,
    /// The same at the end of the run before.
    floor: Epoch,
    /// Whether a lease was granted and not given back clean.
    taken: bool,
    deleting: bool,
    /// What was deleted while the machine died: it may be as if it had not been.
    before: Vec<Page>,
}

impl Page {
    /// Takes a line in. `dark`: it came while the machine died, so what it acknowledges proves nothing.
    fn note(&mut self, what: &str, rest: &[&str], dark: bool) {
        match what {
            "take" => self.taken |= !dark,
            "try" => {
                let last = self.ends.last().copied().unwrap_or(self.first);
                self.ends.push(last + rest[0].parse::<u64>().expect("a count"));
            }
            "has" => {
                self.had = *self.ends.last().expect("it was tried before");
                if !dark {
                    self.epoch = self.epoch.max(Epoch(rest[0].parse().expect("an epoch")));
                    self.synced = if rest[1] == "Synced" { self.had } else { self.synced };
                }
            }
            "free" => self.taken = false,
            "drop" => self.deleting = true,
            "gone" => {
                let next = self.ends.last().copied().unwrap_or(self.first);
                let (epoch, floor) = (self.epoch, self.floor);
                let gone = std::mem::take(self);
                *self = Self { first: next, had: next, synced: next, epoch, floor, ..Self::default() };
                if dark {
                    self.before = vec![gone];
                }
            }
            other => panic!("the writer said {other}"),
        }
    }

    /// Whether these entries are what may be left.
    fn check(&self, found: &[Entry], run: u64, death: Death) -> Result<(), String> {
        match self.before.iter().find(|before| before.check(found, run, death).is_ok()) {
            Some(_) => Ok(()),
            None => self.check_this(found, run, death),
        }
    }

    fn check_this(&self, found: &[Entry], run: u64, death: Death) -> Result<(), String> {
        if self.deleting && found.is_empty() {
            return Ok(());
        }
        if found.len() < self.base.len() || found[..self.base.len()] != self.base {
            return Err(format!(
                "{} entries are left, and not the {} of before",
                found.len(),
                self.base.len()
            ));
        }
        let news = &found[self.base.len()..];
        let end = self.first + news.len() as u64;
        for (entry, number) in news.iter().zip(self.first..) {
            let name = name_of(entry);
            if !name.starts_with(&format!("{run}.{number}.")) {
                return Err(format!("entry {} is {name:.20} and not {run}.{number}", entry.seq));
            }
            if entry.epoch <= self.floor {
                return Err(format!("epoch {} came again", entry.epoch));
            }
        }
        let sure = if death == Death::Power { self.synced } else { self.had };
        let whole = end == self.first || self.ends.contains(&end);
        if end < sure || !whole {
            return Err(format!(
                "{end} of {sure} acknowledged entries are left; batches end at {:?}",
                self.ends
            ));
        }
        in_order(found)
    }

    /// Takes what was found as the beginning of the next run.
    fn turn(&mut self, found: Vec<Entry>, marked: bool) {
        let epoch = self.epoch.max(found.last().map(|entry| entry.epoch).unwrap_or_default());
        *self = Self { base: found, epoch, floor: epoch, taken: marked, ..Self::default() };
    }
}

fn name_of(entry: &Entry) -> &str {
    match &entry.fact {
        Fact::ModelChunk { parts, .. } => match parts.as_slice() {
            [ChunkPart::Text(text)] => text,
            _ => "no text",
        },
        _ => "no chunk",
    }
}

fn in_order(found: &[Entry]) -> Result<(), String> {
    let gapless = found.iter().zip(1..).all(|(entry, seq)| entry.seq.0 == seq);
    let rising = found.windows(2).all(|w| w[0].last_cursor() < w[1].cursor && w[0].epoch <= w[1].epoch);
    if gapless && rising { Ok(()) } else { Err("the entries are out of order".into()) }
}

/// What a writer told, over all its deaths.
pub(super) struct Book {
    death: Death,
    run: u64,
    pages: BTreeMap<AgentId, Page>,
    /// Whether the machine is dying.
    dark: bool,
    over: bool,
    failed: Option<String>,
    /// Entries that were acknowledged, and are known to be there.
    pub(super) acknowledged: u64,
    /// Deaths that left a torn tail.
    pub(super) torn: u64,
}

impl Book {
    pub(super) fn new(death: Death, agents: &[AgentId]) -> Self {
        let pages = agents.iter().map(|agent| (agent.clone(), Page::default())).collect();
        Self { death, run: 0, pages, dark: false, over: false, failed: None, acknowledged: 0, torn: 0 }
    }

    /// The writer of this number begins.
    pub(super) fn begin(&mut self, run: u64) {
        (self.run, self.dark, self.over, self.failed) = (run, false, false, None);
    }

    /// The end begins. A machine says things while it dies that are not true any more; a process does not.
    pub(super) fn darken(&mut self) {
        self.dark = self.death == Death::Power;
    }

    /// Takes a line in; whether it was an acknowledgement.
    pub(super) fn note(&mut self, line: &str) -> bool {
        let Some(said) = line.strip_suffix('\n').and_then(|line| line.strip_prefix(MARK)) else {
            return false;
        };
        let words: Vec<&str> = said.split(' ').collect();
        match words.as_slice() {
            ["over"] => self.over = true,
            ["fail", ..] => self.failed = Some(said.to_owned()),
            [what, agent, rest @ ..] => {
                self.pages.get_mut(&id(agent)).expect("it is one of the agents").note(what, rest, self.dark);
                return *what == "has";
            }
            _ => panic!("the writer said {said}"),
        }
        false
    }

    /// Whether the writer came to its end by itself.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// What the store refused, if it did.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// In one line.
    pub(super) fn told(&self) -> String {
        let Self { acknowledged, torn, .. } = self;
        format!("{acknowledged} acknowledged entries, {torn} torn tails; none lost, none doubled")
    }

    /// Compares the store with the book, and turns the page.
    pub(super) async fn check(&mut self, store: &FsStore) -> Result<(), String> {
        let marked = store.unfinished().await.map_err(|error| error.to_string())?;
        let mut torn = false;
        for (agent, page) in &mut self.pages {
            let wrong = |why: String| format!("run {}, {agent}: {why}", self.run);
            let report = store.check(agent).await.map_err(|error| wrong(error.to_string()))?;
            torn |= report.is_some_and(|report| report.torn > 0);
            let found = all(store, agent).await;
            page.check(&found, self.run, self.death).map_err(wrong)?;
            check_checkpoint(store, agent, &found).await.map_err(wrong)?;
            let is_marked = marked.contains(agent);
            if page.taken && !page.deleting && !is_marked {
                return Err(wrong("it is unfinished, and the index does not know it".into()));
            }
            self.acknowledged += page.had - page.first;
            page.turn(found, is_marked);
        }
        self.torn += u64::from(torn);
        Ok(())
    }
}

/// A checkpoint is none, or one that was saved for the entry that it names.
async fn check_checkpoint(store: &FsStore, agent: &AgentId, found: &[Entry]) -> Result<(), String> {
    let loaded = store.load_checkpoint(agent).await.map_err(|error| error.to_string())?;
    let Some(loaded) = loaded else { return Ok(()) };
    let covered = found.get(loaded.seq.0 as usize - 1).ok_or("a checkpoint covers more than there is")?;
    let name: String = name_of(covered).split_inclusive('.').take(2).collect();
    let fits =
        loaded.files.values().all(|file| String::from_utf8_lossy(file).contains(&format!("\"{name}\"")));
    if fits { Ok(()) } else { Err(format!("the checkpoint at {} is of another entry", loaded.seq)) }
}

/// Every agent can be taken up and written to, and what is there stays.
pub(super) async fn go_on(store: &FsStore, agents: &[AgentId]) {
    for agent in agents {
        let before = all(store, agent).await;
        let news = Pen::take(store, agent).await.write_steps(store, 2).await;
        assert_eq!(all(store, agent).await, [before, news].concat(), "{agent}");
        let torn = store.check(agent).await.unwrap().map(|report| report.torn);
        assert_eq!(torn, Some(0), "{agent}: a torn tail was left behind");
    }
}
