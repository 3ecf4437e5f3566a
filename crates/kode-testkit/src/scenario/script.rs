//! The language of scripts: one line, one command. Reads, and never runs.

mod job;

use std::collections::BTreeMap;

use kode_core::call::Decision;
use kode_core::event::Problem;
use kode_core::fact::SendMode;
use kode_core::hook::{Amendment, Verdict};
use kode_core::id::{CallId, JobId, Millis, Seq, SnapshotId};
use kode_core::lineage::ForkPoint;
use kode_core::machine::{Delta, Ruling, Settlement, Strategy};
use kode_core::model::{ErrorClass, Finish, ModelError};
use kode_core::sandbox::ProcessEnd;
use kode_core::todo::Todo;
use kode_core::tool::{ToolError, ToolTraits};
use serde_json::Value;

use super::template::Setup;
use super::words::Words;

/// A script line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// Which line, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} of the script, `{}`: {}", self.line, self.text, self.why)
    }
}

impl std::error::Error for ScriptError {}

/// One line: its text and what it does.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) command: Command,
}

/// A call in an `answer` line.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) tool: String,
    pub(super) input: Value,
    pub(super) invalid: Option<String>,
}

/// The text of an `answer` line: its last piece, and what hooks made of the whole.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) last: Option<String>,
    pub(super) edited: Option<String>,
}

/// Which attempt at the model is meant, where it is not the one under way.
pub(super) type Attempt = Option<(u32, u32)>;

/// Why an answer ends, and what its request took, where the line says so.
pub(super) type Finished = (Option<Finish>, Option<u64>);

/// What is gone.
#[derive(Debug, Clone)]
pub(super) enum Gone {
    Model,
    Tool(CallId),
    Job(JobId),
}

/// What a line does.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Template(Box<Setup>),
    Tools(BTreeMap<String, ToolTraits>),
    Open { strategy: Strategy },
    Create,
    Start,
    Say { text: String, mode: SendMode, key: Option<String>, id: Option<String> },
    Delta { attempt: Attempt, delta: Delta },
    Answer { attempt: Attempt, text: Text, finish: Finished, calls: Vec<Asked> },
    Summary { attempt: Attempt, text: String, finish: Finish },
    NoSummary { attempt: Attempt, error: ModelError },
    Fail { attempt: Attempt, error: ModelError },
    Tool { call: CallId, attempt: Option<u32>, outcome: Result<Value, ToolError>, kept: Option<u64> },
    Decide { call: CallId, decision: Decision, by: String, note: Option<String> },
    Amend(Result<Amendment, Problem>),
    Policy { call: CallId, policy: Option<String>, ruling: Ruling },
    Hook { call: CallId, verdict: Verdict },
    Emit { call: CallId, event_type: String, data: Value },
    Gone(Gone),
    Job { call: CallId, line: String },
    JobTold { job: JobId, event_type: String, data: Value },
    JobEnded { job: JobId, end: ProcessEnd },
    Kill { job: JobId, by: String },
    Interrupt { note: Option<String>, by: String },
    Todos { version: Option<u64>, todos: Vec<Todo> },
    Wait(Millis),
    Advance(Millis),
    Crash { down: Millis, strategy: Strategy },
    Settle { call: CallId, outcome: Settlement, by: String },
    Prompt,
    Snapshot { label: String },
    Fork { at: ForkPoint, name: Option<String> },
    Agent { name: String },
}

/// Reads all lines; empty ones and comments (`#`) are left out.
pub(super) fn parse(script: &str) -> Result<Vec<Line>, ScriptError> {
    let lines = script.lines().map(str::trim).zip(1..).filter(|(l, _)| !l.is_empty() && !l.starts_with('#'));
    lines
        .map(|(text, line)| match command(&mut Words::of(text)) {
            Ok(command) => Ok(Line { text: text.to_owned(), command }),
            Err(why) => Err(ScriptError { line, text: text.to_owned(), why }),
        })
        .collect()
}

fn command(words: &mut Words<'_>) -> Result<Command, String> {
    let command = match words.word("a command")? {
        "template" => Command::Template(Box::new(Setup::parse(words)?)),
        "tools" => tools(words)?,
        "open" => Command::Open { strategy: strategy(words) },
        "create" => Command::Create,
        "start" => Command::Start,
        "say" => say(words)?,
        "delta" => Command::Delta { attempt: attempt(words)?, delta: Delta::Text(words.json("the piece")?) },
        "think" => {
            Command::Delta { attempt: attempt(words)?, delta: Delta::Thinking(words.json("the piece")?) }
        }
        "answer" => answer(words)?,
        "summary" => summary(words)?,
        "fail" => fail(words)?,
        "tool" => tool(words)?,
        "decide" => decide(words)?,
        "amend" => Command::Amend(amendment(words)?),
        "policy" => policy(words)?,
        "hook" => Command::Hook { call: call(words)?, verdict: verdict(words)? },
        "emit" => emit(words)?,
        "gone" => Command::Gone(job::gone(words)?),
        "job" => job::command(words)?,
        "kill" => Command::Kill { job: job::name(words)?, by: job::by(words)? },
        "interrupt" => Command::Interrupt { note: words.maybe_text()?, by: by(words)? },
        "todos" => todos(words)?,
        "wait" => Command::Wait(words.duration()?),
        "advance" => Command::Advance(words.duration()?),
        "crash" => {
            let down = if words.takes("for") { words.duration()? } else { 0 };
            Command::Crash { down, strategy: strategy(words) }
        }
        "settle" => settle(words)?,
        "prompt" => Command::Prompt,
        "snapshot" => Command::Snapshot { label: words.json("a label")? },
        "fork" => fork(words)?,
        "agent" => Command::Agent { name: words.word("an agent")?.to_owned() },
        other => return Err(format!("{other:?} is no command")),
    };
    words.end()?;
    Ok(command)
}

fn call(words: &mut Words<'_>) -> Result<CallId, String> {
    words.word("a call such as call_1_0").map(CallId::new)
}

fn by(words: &mut Words<'_>) -> Result<String, String> {
    if words.takes("by") { words.word("a name").map(str::to_owned) } else { Ok("local".into()) }
}

/// `at STEP.ATTEMPT`, where it is not the attempt under way.
fn attempt(words: &mut Words<'_>) -> Result<Attempt, String> {
    if !words.takes("at") {
        return Ok(None);
    }
    let word = words.word("STEP.ATTEMPT")?;
    let both = word.split_once('.').and_then(|(s, a)| Some((s.parse().ok()?, a.parse().ok()?)));
    both.map(Some).ok_or_else(|| format!("{word:?} is not STEP.ATTEMPT"))
}

fn tools(words: &mut Words<'_>) -> Result<Command, String> {
    let mut tools = BTreeMap::new();
    loop {
        let name = words.word("a tool")?.to_owned();
        let mut traits = ToolTraits::default();
        for word in words.words() {
            match word.as_str() {
                "readonly" => traits.readonly = true,
                "replayable" => traits.replayable = true,
                "processes" => traits.processes = true,
                _ => return Err(format!("{word:?} is no trait; traits are readonly, replayable, processes")),
            }
        }
        tools.insert(name, traits);
        if !words.sign(',') {
            return Ok(Command::Tools(tools));
        }
    }
}

fn say(words: &mut Words<'_>) -> Result<Command, String> {
    let text = words.long_text("what is said")?;
    let (mut mode, mut key, mut id) = (SendMode::Queue, None, None);
    while !words.is_empty() {
        if words.takes("key") {
            key = Some(words.word("a key")?.to_owned());
        } else if words.takes("as") {
            id = Some(words.word("a message id")?.to_owned());
        } else {
            mode = words.named("mode")?;
        }
    }
    Ok(Command::Say { text, mode, key, id })
}

fn answer(words: &mut Words<'_>) -> Result<Command, String> {
    let attempt = attempt(words)?;
    let last = if words.takes("bytes") { Some(words.bytes()?) } else { words.maybe_text()? };
    let edited = if words.takes("edited") { Some(words.json("the new text")?) } else { None };
    let finish = if words.takes("finish") { Some(words.named("finish")?) } else { None };
    let used = if words.takes("used") { Some(words.parsed("a number of tokens")?) } else { None };
    words.sign(';');
    let calls = if words.takes("calls") { calls(words)? } else { Vec::new() };
    Ok(Command::Answer { attempt, text: Text { last, edited }, finish: (finish, used), calls })
}

fn summary(words: &mut Words<'_>) -> Result<Command, String> {
    let attempt = attempt(words)?;
    if words.takes("fails") {
        return Ok(Command::NoSummary { attempt, error: error(words)? });
    }
    let text = words.long_text("the summary")?;
    let finish = if words.takes("finish") { words.named("finish")? } else { Finish::Stop };
    Ok(Command::Summary { attempt, text, finish })
}

fn calls(words: &mut Words<'_>) -> Result<Vec<Asked>, String> {
    let mut calls = Vec::new();
    loop {
        let tool = words.word("a tool")?.to_owned();
        let input = words.maybe_json("the input")?.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let invalid = if words.takes("invalid") { Some(words.json("why")?) } else { None };
        calls.push(Asked { tool, input, invalid });
        if !words.sign(',') {
            return Ok(calls);
        }
    }
}

fn fail(words: &mut Words<'_>) -> Result<Command, String> {
    Ok(Command::Fail { attempt: attempt(words)?, error: error(words)? })
}

fn error(words: &mut Words<'_>) -> Result<ModelError, String> {
    let class: ErrorClass = words.named("error class")?;
    let message = words.maybe_text()?.unwrap_or_else(|| format!("scripted {class}"));
    let mut error = ModelError { retryable: mends_itself(class), ..ModelError::fatal(class, message) };
    while !words.is_empty() {
        match words.word("retry_after or code")? {
            "retry_after" => error.retry_after = Some(words.duration()?),
            "code" => error.provider_code = Some(words.word("a code")?.to_owned()),
            other => return Err(format!("{other:?} is neither retry_after nor code")),
        }
    }
    Ok(error)
}

/// What providers usually say of a class.
fn mends_itself(class: ErrorClass) -> bool {
    match class {
        ErrorClass::RateLimited
        | ErrorClass::Overloaded
        | ErrorClass::Server
        | ErrorClass::UpstreamInterrupted
        | ErrorClass::TruncatedStream
        | ErrorClass::MalformedChunk
        | ErrorClass::EmptyAnswer
        | ErrorClass::Timeout
        | ErrorClass::Network => true,
        ErrorClass::Auth
        | ErrorClass::Billing
        | ErrorClass::BadRequest
        | ErrorClass::ModelNotFound
        | ErrorClass::Permission
        | ErrorClass::MisconfiguredBaseUrl
        | ErrorClass::ContextOverflow
        | ErrorClass::ContentFiltered
        | ErrorClass::QuotaExhausted
        | ErrorClass::QuotaWindow
        | ErrorClass::HookFailed => false,
    }
}

fn tool(words: &mut Words<'_>) -> Result<Command, String> {
    let call = call(words)?;
    let attempt = if words.takes("attempt") { Some(words.parsed("an attempt")?) } else { None };
    let outcome = outcome(words)?;
    let kept = if words.takes("kept") { Some(words.parsed("how many bytes")?) } else { None };
    Ok(Command::Tool { call, attempt, outcome, kept })
}

fn outcome(words: &mut Words<'_>) -> Result<Result<Value, ToolError>, String> {
    Ok(match words.word("ok, text or error")? {
        "ok" => Ok(words.json("the result")?),
        "bytes" => Ok(Value::String(words.bytes()?)),
        "error" => {
            let code = words.word("a code")?;
            let message = words.maybe_text()?.unwrap_or_else(|| format!("scripted {code}"));
            Err(ToolError { hint: words.maybe_text()?, ..ToolError::new(code, message) })
        }
        other => return Err(format!("{other:?} is neither ok, bytes nor error")),
    })
}

/// `manual`, where it is not the usual one.
fn strategy(words: &mut Words<'_>) -> Strategy {
    if words.takes("manual") { Strategy::Manual } else { Strategy::Crash }
}

fn settle(words: &mut Words<'_>) -> Result<Command, String> {
    let call = call(words)?;
    let outcome = match words.takes("unknown") {
        true => Settlement::Unknown,
        false => outcome(words)?.map_or_else(Settlement::Failed, Settlement::Done),
    };
    Ok(Command::Settle { call, outcome, by: by(words)? })
}

fn decide(words: &mut Words<'_>) -> Result<Command, String> {
    let (call, decision) = (call(words)?, words.named("decision")?);
    Ok(Command::Decide { call, decision, by: by(words)?, note: words.maybe_text()? })
}

/// What the hooks change in the request, or why it must not be sent.
fn amendment(words: &mut Words<'_>) -> Result<Result<Amendment, Problem>, String> {
    if words.takes("failed") {
        let (code, message) = (ErrorClass::HookFailed.code().into(), words.json("why")?);
        return Ok(Err(Problem { code, message }));
    }
    Ok(Ok(words.maybe_json("what is changed")?.unwrap_or_default()))
}

fn policy(words: &mut Words<'_>) -> Result<Command, String> {
    let call = call(words)?;
    let policy = if words.takes("of") { Some(words.word("a policy")?.to_owned()) } else { None };
    let ruling = match words.word("allow, ask or deny")? {
        "allow" => Ruling::Allow,
        "ask" => Ruling::Ask(words.json("why")?),
        "deny" => Ruling::Deny(words.json("why")?),
        other => return Err(format!("{other:?} is no ruling")),
    };
    Ok(Command::Policy { call, policy, ruling })
}

fn verdict(words: &mut Words<'_>) -> Result<Verdict, String> {
    Ok(match words.word("continue, ask, deny or result")? {
        "continue" => Verdict::Continue,
        "ask" => Verdict::Ask { reason: words.json("why")? },
        "deny" => Verdict::Deny { reason: words.json("why")? },
        "result" => Verdict::Result { value: words.json("the result")? },
        other => return Err(format!("{other:?} is no verdict")),
    })
}

fn emit(words: &mut Words<'_>) -> Result<Command, String> {
    let call = call(words)?;
    Ok(Command::Emit { call, event_type: words.word("a type")?.to_owned(), data: words.json("the data")? })
}

/// `at SEQ` or `at "LABEL"`, where it is not the last place that can be forked at.
fn fork(words: &mut Words<'_>) -> Result<Command, String> {
    let at = match words.takes("at") {
        false => ForkPoint::Last,
        true => match words.maybe_text()? {
            Some(label) => ForkPoint::Snapshot(SnapshotId::new(label)),
            None => ForkPoint::Seq(Seq(words.parsed("a seq or a label")?)),
        },
    };
    let name = if words.takes("as") { Some(words.word("a name")?.to_owned()) } else { None };
    Ok(Command::Fork { at, name })
}

fn todos(words: &mut Words<'_>) -> Result<Command, String> {
    let version = if words.takes("version") { Some(words.parsed("a version")?) } else { None };
    Ok(Command::Todos { version, todos: words.json("the list")? })
}
