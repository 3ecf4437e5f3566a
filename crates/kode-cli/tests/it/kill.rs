//! G1 to G6 against the real process: `kill -9` in mid-turn, again and again, on one store, while clients send,
//! steer, interrupt, decide and fork, and a GLM checks every request that it gets.

mod book;
pub(crate) mod script;

use std::sync::Mutex;

use futures_util::future::join_all;
use kode_core::call::Decision;
use kode_testkit::glm_emulator::GlmEmulator;
use kode_testkit::rounds::rounds;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::book::{Book, Outside};
use crate::harness::{Dice, PATIENCE, Server};

/// Agents at work at the same time.
const AGENTS: u64 = 5;
/// Kills before the agents are looked at and others take their places, so that no history grows for ever.
const KILLS_A_SET: u64 = 25;
/// Changing a file in one way needs a person's word, in another it does not.
const TEMPLATE: &str = "default_template = 'worker'\n[[template]]\nid = 'worker'\nsystem_prompt = 'You are a test.'\n\
                        tools = '*'\npermission = { require_approval = ['fs_edit'] }\n";

/// The clients of one server, which does not live long.
struct Clients<'s> {
    server: &'s Server,
    book: &'s Mutex<Book>,
    /// Begins the names of the agents at work now.
    prefix: String,
}

/// One thing that a client does.
enum Act {
    Send {
        agent: String,
        text: String,
        mode: &'static str,
    },
    Interrupt {
        agent: String,
    },
    /// Another agent is to begin with what this one is by then.
    Fork {
        agent: String,
        name: String,
    },
    /// Two people decide on all that waits, and want different things.
    Decide,
    /// Something is sent once more.
    Repeat,
}

/// What clients will do, and how far the server comes.
struct Plan {
    acts: Vec<Act>,
    /// Where the server's death is waited for: in the turn of this message, after so many events.
    lead: Act,
    events: u64,
}

impl Plan {
    fn roll(dice: &mut Dice, round: u64, prefix: &str) -> Self {
        let mut roll_act = |nth| Self::act(dice, prefix, format!("{round}.{nth}"));
        let acts = (1..6).map(&mut roll_act).collect();
        let (agent, verb) = (agent(dice, prefix), verb(dice));
        Self {
            acts,
            lead: Act::Send { agent, text: format!("{verb} {round}.0"), mode: "queue" },
            events: dice.below(50),
        }
    }

    fn act(dice: &mut Dice, prefix: &str, number: String) -> Act {
        let mode = match dice.below(11) {
            0 => return Act::Interrupt { agent: agent(dice, prefix) },
            1 | 2 => return Act::Decide,
            3 => return Act::Repeat,
            4 => "steer",
            5 => "interrupt",
            6 => "reject",
            7 => {
                let agent = agent(dice, prefix);
                return Act::Fork { name: format!("{agent}:fork:{number}"), agent };
            }
            _ => "queue",
        };
        Act::Send { agent: agent(dice, prefix), text: format!("{} {number}", verb(dice)), mode }
    }
}

fn agent(dice: &mut Dice, prefix: &str) -> String {
    format!("{prefix}:{}", dice.below(AGENTS))
}

fn verb(dice: &mut Dice) -> &'static str {
    ["talk", "work", "work", "ask", "ask", "todo"][dice.below(6) as usize]
}

impl Clients<'_> {
    async fn act(&self, act: &Act) {
        match act {
            Act::Send { agent, text, mode } => drop(self.send(agent, text, mode).await),
            Act::Interrupt { agent } => {
                let path = format!("/api/agents/{agent}/interrupt");
                let _ = self.server.try_post(&path, &json!({ "note": "enough" })).await;
            }
            Act::Fork { agent, name } => {
                let body = json!({ "agentId": name, "workspace": "empty" });
                let answer = self.server.try_post(&format!("/api/agents/{agent}/fork"), &body).await;
                self.book.lock().unwrap().forked(agent, name, answer);
            }
            Act::Decide => drop(self.decide_all().await),
            Act::Repeat => {
                let again = self.book.lock().unwrap().some_sent(&self.prefix);
                if let Some((agent, text, mode)) = again {
                    self.send(&agent, &text, mode).await;
                }
            }
        }
    }

    /// A message's text is its key as well: sent once more, it is to be the same message. Its cursor, if it was
    /// accepted.
    async fn send(&self, agent: &str, text: &str, mode: &'static str) -> Option<u64> {
        self.book.lock().unwrap().sending(agent, text, mode);
        let body = json!({ "text": text, "mode": mode });
        let path = format!("/api/agents/{agent}/messages");
        let answer = self.server.try_post_with_key(&path, text, &body).await;
        let cursor = answer.as_ref().and_then(|(_, queued)| queued["cursor"].as_u64());
        self.book.lock().unwrap().sent(text, answer);
        cursor
    }

    /// Decides on all that waits; how much that was.
    async fn decide_all(&self) -> usize {
        let path = format!("/api/approvals?prefix={}", self.prefix);
        let Some((200, open)) = self.server.try_get(&path).await else { return 0 };
        let open = open["approvals"].as_array().unwrap();
        let both = [(Decision::Allow, "allow"), (Decision::Deny, "deny")];
        join_all(open.iter().flat_map(|open| both.map(|said| self.decide(open, said)))).await;
        open.len()
    }

    async fn decide(&self, open: &Value, (decision, word): (Decision, &str)) {
        let (agent, call) = (open["agentId"].as_str().unwrap(), open["callId"].as_str().unwrap());
        let body = json!({ "callId": call, "decision": word, "note": "for a reason" });
        let answer = self.server.try_post(&format!("/api/agents/{agent}/approve"), &body).await;
        self.book.lock().unwrap().decided(agent, call, decision, answer);
    }

    /// Sends the plan's first message and follows its turn until so many events have come, so that the kill hits
    /// different places; less far where the turn pauses or ends.
    async fn lead(&self, plan: &Plan) {
        let Act::Send { agent, text, mode } = &plan.lead else { return };
        let Some(since) = self.send(agent, text, mode).await else { return };
        let Some((200, status)) = self.server.try_get(&format!("/api/agents/{agent}/status")).await else {
            return;
        };
        if status["state"] == "PAUSED" {
            return;
        }
        let path = format!("/api/agents/{agent}/stream?since={since}&channels=progress,control,monitor");
        let Some(mut stream) = self.server.try_stream(&path).await else { return };
        let (mut told, mut events) = (String::new(), 0);
        while events < plan.events && !told.contains("\"PAUSED\"") {
            let Ok(Some(piece)) = stream.chunk().await else { return };
            told = String::from_utf8_lossy(&piece).into_owned();
            events += told.matches("\ndata:").count() as u64;
        }
    }

    /// All of the plan at once, and the end of the server in the middle of it.
    async fn live(&self, plan: &Plan) {
        let acting = join_all(plan.acts.iter().map(|act| self.act(act)));
        let dying = async {
            let leading = tokio::time::timeout(PATIENCE, self.lead(plan));
            leading.await.expect("a turn goes on, pauses or ends");
            self.server.strike();
        };
        tokio::join!(acting, dying);
    }

    /// Decides until every agent is at rest.
    async fn settle(&self) {
        let settling = async {
            while self.decide_all().await > 0 || !self.are_at_rest().await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, settling).await.expect("every agent comes to rest");
    }

    async fn are_at_rest(&self) -> bool {
        let look = |n| async move {
            let (_, status) = self.server.get(&format!("/api/agents/{}:{n}/status", self.prefix)).await;
            status["state"] == "READY" && status["queued"] == 0
        };
        join_all((0..AGENTS).map(look)).await.into_iter().all(|at_rest| at_rest)
    }

    async fn check(&self, store: &std::path::Path) {
        for n in 0..AGENTS {
            let agent = format!("{}:{n}", self.prefix);
            let outside = Outside::of(self.server, store, &agent).await;
            self.book.lock().unwrap().check(&agent, &outside);
        }
        self.check_forks(store).await;
    }

    /// Each fork that was answered is there, was whole at once, and goes on by itself.
    async fn check_forks(&self, store: &std::path::Path) {
        let forks = self.book.lock().unwrap().take_forks();
        for (parent, fork) in forks {
            let (of_parent, of_fork) = (
                Outside::of(self.server, store, &parent).await,
                Outside::of(self.server, store, &fork).await,
            );
            of_fork.check_began_as(&fork, &of_parent);
            let (status, sent) =
                self.server.post(&format!("/api/agents/{fork}/messages"), &json!({ "text": "talk" })).await;
            assert_eq!(status, 202, "{fork}: {sent}");
            self.server.until_ready(&fork).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_g2_g3_g4_g6_hold_over_kill_9_in_mid_turn() {
    let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
    std::fs::write(dir.path().join("kode.toml"), TEMPLATE).unwrap();
    script::play(&glm);
    let (mut dice, book) = (Dice::new(20_261_123), Mutex::new(Book::default()));
    let start = || Server::start_with_glm(&dir, &glm.base_url(), "testid.testsecret", |_| {});
    let kills = rounds("kill -9 of the server under load", 300, 3_000);
    for round in 0..kills {
        let prefix = format!("user:{}", round / KILLS_A_SET);
        let plan = Plan::roll(&mut dice, round, &prefix);
        Clients { server: &start(), book: &book, prefix: prefix.clone() }.live(&plan).await;
        if round % KILLS_A_SET == KILLS_A_SET - 1 || round == kills - 1 {
            let (server, store) = (start(), dir.path().join(".kode"));
            let clients = Clients { server: &server, book: &book, prefix };
            clients.settle().await;
            clients.check(&store).await;
        }
    }
    assert_eq!(glm.violations(), Vec::<String>::new());
    book.lock().unwrap().check_files(&dir.path().join("workspace"));
    println!(
        "{kills} kills, {} requests to the model; {}",
        glm.requests().len(),
        book.lock().unwrap().told()
    );
}
