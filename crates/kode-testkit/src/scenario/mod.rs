//! Scenarios: short text scripts that are played against the pure machine of an agent, and come out as
//! facts, wants and events for a snapshot. No model, no tool, no store and no clock is needed, so a rule of
//! a template is tested in a few lines:
//!
//! ```
//! use kode_testkit::scenario::Scenario;
//!
//! let told = Scenario::run(
//!     r#"
//!     template ask fs_write
//!     start
//!     say "write a.txt"
//!     answer "I will." ; calls fs_write{"path":"a.txt","content":"A"}
//!     decide call_1_0 deny by alice "not there"
//!     "#,
//! );
//! assert!(told.contains("permission_required call_1_0"));
//! assert!(told.contains("fs_write was denied by alice: not there"));
//! ```
//!
//! In a test, hand the text to `insta::assert_snapshot!` and read the snapshot once.
//!
//! # Lines
//!
//! | line | does |
//! |---|---|
//! | `template CLAUSE; …` | puts a template in force, from its defaults. Clauses: `ask`, `allow`, `deny` TOOL…, `mode auto\|approval\|readonly\|POLICY`, `expire 30s`, `parallel 2`, `max_steps 3`, `max_tokens 100`, `turn 60s`, `tool_timeout 10s`, `jobs 1h`, `expose_thinking`, `system "…"`, `language zh`, `offers` TOOL…, `window 8000`, `threshold 0.8`, `remind 10`, `remind_on_start`, `hooks`, `prompt_hooks` |
//! | `tools NAME [readonly] [replayable] [processes], …` | adds tools to `fs_read` (both), `fs_write` and `bash_run` |
//! | `open [manual]` · `create` · `start` | a writer takes the agent up · the agent comes to exist · both |
//! | `say "text"\|bytes N [queue\|steer\|interrupt\|reject] [key K] [as ID]` | a message; its id is `m1`, `m2`, … unless given |
//! | `delta "text"` · `think "text"` | a piece of the answer under way |
//! | `answer ["last piece"\|bytes N] [edited "new text"] [finish stop\|tool_calls\|length] [used N] [; calls TOOL{…} [invalid "why"], …]` | ends the attempt; its content is all pieces together, or what hooks made of them |
//! | `summary "text"\|bytes N [finish length]` · `summary fails CLASS …` | the model gives a summary of the history · fails as in `fail` |
//! | `fail CLASS ["message"] [retry_after 3s] [code C]` | the attempt fails; retryable as providers usually say of the class |
//! | `amend [{…}\|failed "why"]` | what the hooks change in the request of the next step |
//! | `policy CALL [of NAME] allow\|ask "why"\|deny "why"` | the ruling of the policy in force, or of that one |
//! | `hook CALL continue\|ask "why"\|deny "why"\|result {…}` | the hooks' verdict |
//! | `decide CALL allow\|deny [by NAME] ["note"]` | a person's decision |
//! | `tool CALL [attempt N] ok {…}\|bytes N\|error CODE ["message"] ["hint"] [kept BYTES]` | a tool comes to its end |
//! | `emit CALL TYPE {…}` | a running tool says something |
//! | `job start CALL "line"` | a running call starts a background job; of `call_1_0` it is `shell_1_0` |
//! | `job JOB ends exited N\|signaled N\|timed_out\|over_limit memory\|disk\|output "…"\|failed "why"` | its process comes to its end |
//! | `job JOB tells TYPE {…}` · `kill JOB [by NAME]` | the sandbox notices something of it · it is to be gone, for the model unless said |
//! | `interrupt ["note"] [by NAME]` · `gone CALL\|JOB\|model` | a stop is asked for · what was stopped is gone |
//! | `todos [version N] [{…}, …]` | the todo list is replaced |
//! | `advance 5s` · `wait 5s` | time passes and the machine is told · and is not told |
//! | `crash [for 10s] [manual]` | the writer ends without a word; the next one reads the journal and opens |
//! | `settle CALL ok {…}\|error CODE …\|unknown [by NAME]` | the host says what became of a call that ran before a `crash manual` |
//! | `prompt` | shows what the model would see |
//! | `snapshot "LABEL"` | the last place that can be forked at gets a name |
//! | `fork [at SEQ\|"LABEL"] [as NAME]` | another agent begins with what this one was there; the lines that follow are its (`fork1`, `fork2`, … unless given) |
//! | `agent NAME` | the lines that follow are that agent's; the first one is `scenario` |
//! | `# …` | nothing |
//!
//! A call is named `call_STEP_INDEX`, such as `call_1_0`. `delta`, `think`, `answer` and `fail` belong to the
//! attempt under way, or with `at STEP.ATTEMPT` to that one.
//!
//! # Checked after every line
//!
//! The fold of the entries (through JSON, and through a checkpoint) is the live state; seqs are gapless and
//! cursors contiguous within an epoch; each entry tells as many events as it counts; told states and
//! breakpoints form a chain; one `done` a turn, its last event, and each message in exactly one; one
//! `tool:start` and one `tool:end` a call; chunks pair or are void; an effect is durable before it is wanted
//! and its name never comes back; a tool that is not replayable is started once; a prompt has exactly one
//! result for each call; the machine rests after each step and never waits for nothing. A broken invariant
//! panics with a sentence that says which.
//!
//! What never belongs here: a rule about agents.

mod invariants;
mod play;
mod render;
mod script;
mod subject;
mod template;
mod words;

use std::collections::BTreeMap;

use kode_core::event::Envelope;
use kode_core::fact::Entry;
use kode_core::id::Millis;
use kode_core::lineage::NotForkable;
use kode_core::machine::{Effect, EffectKey, Prompt, Rejected};

pub(crate) use invariants::{Invariants, paired};
pub use script::ScriptError;
pub use subject::{START, Subject};
pub use template::Setup;

/// A script that was read.
#[derive(Debug, Clone)]
pub struct Scenario {
    lines: Vec<script::Line>,
}

impl Scenario {
    /// Reads a script.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn parse(script: &str) -> Result<Self, ScriptError> {
        Ok(Self { lines: script::parse(script)? })
    }

    /// Plays the script from its first line.
    ///
    /// # Panics
    /// When an invariant is broken; the sentence names the line.
    #[must_use]
    pub fn play(&self) -> Played {
        play::play(&self.lines)
    }

    /// Reads and plays a script, and renders what came of it.
    ///
    /// # Panics
    /// When a line cannot be read, or an invariant is broken.
    #[must_use]
    pub fn run(script: &str) -> String {
        match Self::parse(script) {
            Ok(scenario) => scenario.play().to_string(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A script that was played. Its text form is for snapshots.
#[derive(Debug, Clone)]
pub struct Played {
    /// What came of each line.
    pub beats: Vec<Beat>,
    /// The machine of the last line, as that left it.
    pub subject: Subject,
}

impl Played {
    /// Every event that was told, in order.
    pub fn events(&self) -> impl Iterator<Item = &Envelope> {
        self.beats.iter().flat_map(|beat| &beat.envelopes)
    }
}

/// What came of one line.
#[derive(Debug, Clone)]
pub struct Beat {
    /// The line.
    pub line: String,
    /// The entries that it added to the journal: one batch.
    pub entries: Vec<Entry>,
    /// Their events.
    pub envelopes: Vec<Envelope>,
    /// Why the machine refused, if it did.
    pub refused: Option<Rejected>,
    /// Why the agent cannot be forked there, if it cannot.
    pub not_forkable: Option<NotForkable>,
    /// The effects that should be in flight after it.
    pub wanted: BTreeMap<EffectKey, Effect>,
    /// When the machine must be looked at again.
    pub wakes: Option<Millis>,
    /// The simulated time of the line.
    pub now: Millis,
    /// The prompt, where the line asked for it.
    pub prompt: Option<Prompt>,
}
