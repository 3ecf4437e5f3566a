//! A server that dies and comes back on the same address and store, a model whose answers wait for the test, and all the
//! clients at work on it. What never belongs here: what befalls them, which is the tests'.

use std::sync::{Arc, Mutex};

use kode_testkit::glm_emulator::{Gate, GlmEmulator, Reply, Request};
use kode_testkit::servers::free_port;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::browser::{Browser, Tasks};
use super::programs::{Address, Programs, installed};
use super::told::Shown;
use crate::access::new_key;
use crate::harness::{Server, kode};

/// Words of one answer.
const WORDS: usize = 24;

/// The model: what each life of the server is told begins with a letter of its own, and waits at its gate.
struct Model {
    /// One for each agent, in this life.
    gates: Vec<Gate>,
    life: char,
}

impl Model {
    fn answer(&self, request: &Request) -> Reply {
        let asked = request.body.to_string();
        let number = asked.rsplit("agent-").find_map(|rest| rest.split_once('.')?.0.parse::<usize>().ok());
        let text: String = (0..WORDS).map(|nth| word(self.life, nth)).collect();
        Reply::text(text).pieces(WORDS).held_by(&self.gates[number.expect("an agent asks")])
    }
}

/// The `nth` word that the model says in a life of the server.
fn word(life: char, nth: usize) -> String {
    format!("{life}{nth:02} ")
}

pub(super) struct Bench {
    dir: TempDir,
    glm: GlmEmulator,
    model: Arc<Mutex<Model>>,
    /// The address at which every life of the server listens.
    pub(super) at: String,
    key: Option<String>,
    server: Option<Arc<Server>>,
    /// How many agents there are, each with one client.
    agents: usize,
    programs: Programs,
    tasks: Tasks,
    browser: Option<Browser>,
}

impl Bench {
    /// None where a client cannot be had.
    pub(super) async fn start(with_key: bool) -> Option<Self> {
        if !installed() {
            return None;
        }
        let (dir, glm) = (TempDir::new().unwrap(), GlmEmulator::start().await.unwrap());
        let key = with_key.then(|| new_key(dir.path(), &["ann", "--prefix", "user:ann"]));
        let at = format!("127.0.0.1:{}", free_port().unwrap());
        let model = Arc::new(Mutex::new(Model { gates: Vec::new(), life: '`' }));
        let asked = model.clone();
        glm.respond(move |request| asked.lock().unwrap().answer(request));
        let mut bench = Self {
            dir,
            glm,
            model,
            at,
            key,
            server: None,
            agents: 0,
            programs: Programs::default(),
            tasks: Tasks::default(),
            browser: None,
        };
        bench.begin_life();
        Some(bench)
    }

    /// Starts the next life of the server.
    pub(super) fn begin_life(&mut self) {
        {
            let mut model = self.model.lock().unwrap();
            model.life =
                char::from_u32(u32::from(model.life) + 1).expect("there are more letters than lives");
            model.gates = (0..MOST).map(|_| Gate::closed()).collect();
        }
        let mut command = kode(self.dir.path(), &["serve", "--listen", &self.at]);
        command.env("KODE_GLM_BASE_URL", self.glm.base_url()).env("ZHIPUAI_API_KEY", "testid.testsecret");
        if self.key.is_some() {
            command.env("KODE_API_KEYS_FILE", "keys.toml");
        }
        self.server = Some(Arc::new(Server::launch(command, |_| {})));
    }

    /// `kill -9`, and the next life.
    pub(super) fn kill_and_begin_life(&mut self) {
        self.server().strike();
        self.begin_life();
    }

    pub(super) fn server(&self) -> Arc<Server> {
        self.server.clone().expect("a life of the server is under way")
    }

    /// Lets the model say so many more words to each agent.
    pub(super) fn say(&self, words: usize) {
        self.model.lock().unwrap().gates.iter().for_each(|gate| gate.release(words));
    }

    /// Lets the model say all that is left.
    pub(super) fn say_all(&self) {
        self.model.lock().unwrap().gates.iter().for_each(Gate::open);
    }

    /// The `nth` word of this life.
    pub(super) fn word(&self, nth: usize) -> String {
        word(self.model.lock().unwrap().life, nth)
    }

    /// Where a client asks that goes by this base.
    pub(super) fn address(&self, base: &str) -> Address {
        Address { base: base.to_owned(), key: self.key.clone() }
    }

    /// A new agent and what it is asked.
    pub(super) fn agent(&mut self) -> (String, String) {
        let number = self.agents;
        self.agents += 1;
        assert!(number < MOST, "each agent has a gate");
        (format!("user:ann:{number}"), format!("talk, agent-{number}. As you like."))
    }

    /// One that has been asked, for those who only follow.
    async fn agent_at_work(&mut self) -> String {
        let (agent, text) = self.agent();
        let url = format!("http://{}/api/agents/{agent}/messages", self.at);
        let answer = self.authorized(http().post(url)).json(&json!({ "text": text })).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        agent
    }

    /// Opens a stream of an agent that does not end by itself.
    pub(super) async fn stream(&self, agent: &str) -> reqwest::Response {
        let url = format!("http://{}/api/agents/{agent}/stream?since=0&follow=true", self.at);
        self.authorized(http().get(url)).send().await.unwrap()
    }

    /// All that an agent told on the channels that a stream has.
    async fn told(&self, agent: &str) -> Vec<Value> {
        let url = format!("http://{}/api/agents/{agent}/events?since=0&limit=10000", self.at);
        let page: Value = self.authorized(http().get(url)).send().await.unwrap().json().await.unwrap();
        assert_eq!(page["end"], true, "{page}");
        page["events"].as_array().unwrap().clone()
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Where clients ask that go to the server itself.
    pub(super) fn here(&self) -> impl Iterator<Item = Address> + use<> {
        std::iter::repeat(self.address(&format!("http://{}", self.at)))
    }

    /// Starts every client, each on an agent of its own, at the next of the addresses.
    pub(super) async fn start_clients(&mut self, mut addresses: impl Iterator<Item = Address>) -> Vec<Shown> {
        let mut to = || addresses.next().expect("there is an address for each client");
        let mut shown = Vec::new();
        for (client, package) in [
            ("eventsource 2", "eventsource-2"),
            ("eventsource 3", "eventsource-3"),
            ("eventsource 4", "eventsource-4"),
            ("eventsource 5", "eventsource"),
        ] {
            let (agent, text) = self.agent();
            shown.push(self.programs.eventsource(client, package, &to(), &agent, &text));
        }
        let (agent, text) = self.agent();
        shown.push(self.programs.curl("curl", &to(), &agent, Some(&text)));
        let (agent, text) = self.agent();
        shown.push(self.programs.httpx("httpx-sse", &to(), &agent, Some(&text)));
        for client in ["EventSource", "fetch-event-source"] {
            let (agent, text) = self.agent();
            shown.push(self.tasks.add(client, &to(), &agent, &text));
        }
        let agent = self.agent_at_work().await;
        shown.push(self.programs.curl("curl follows", &to(), &agent, None));
        let agent = self.agent_at_work().await;
        shown.push(self.programs.httpx("httpx-sse follows", &to(), &agent, None));
        let agent = self.agent_at_work().await;
        shown.push(self.tasks.add("fetch-event-source follows", &to(), &agent, ""));
        self.browser = Some(std::mem::take(&mut self.tasks).start().await);
        assert_eq!(shown.len(), CLIENTS);
        shown
    }

    /// Every client came to its end and has shown every event of its agent's only turn once, in order; how often an
    /// answer began anew.
    pub(super) async fn check(&self, clients: &[Shown], resets: usize) {
        for shown in clients {
            let (client, seen) = (shown.client, shown.events().await);
            let told = self.told(&shown.agent).await;
            // Who sends a message sees what it causes, up to its `done`: not that the agent was made for it before, nor
            // that another server took it up since.
            let of = |kind: &str| told.iter().position(|event| event["event"]["type"] == kind);
            let begun = if shown.follows() { 0 } else { of("state_changed").expect("it worked") };
            let told = &told[begun..=of("done").expect("it was answered")];
            assert_eq!(seen, told, "{client}: each event once, in order");
            let of = |kind: &str| told.iter().filter(|event| event["event"]["type"] == kind).count();
            assert_eq!((of("text_reset"), of("done")), (resets, 1), "{client}: {told:#?}");
            assert_eq!(told[told.len() - 1]["event"]["reason"], "completed", "{client}");
        }
        assert_eq!(self.glm.violations(), Vec::<String>::new());
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// How many clients there are.
pub(super) const CLIENTS: usize = 11;
/// Gates of one life: more than there are agents.
const MOST: usize = CLIENTS + 1;
