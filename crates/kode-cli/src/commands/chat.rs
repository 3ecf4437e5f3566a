//! `kode chat`: a talk with one agent, in this process, on the same runtime as the server's.

mod history;
mod input;
mod run;
mod screen;
mod slash;

use std::io::{IsTerminal, Stdout, stdin, stdout};
use std::sync::Arc;
use std::time::Duration;

use kode_core::id::{AgentId, Cursor, TemplateId};
use kode_core::machine::View;
use kode_core::{Agent, AgentSpec, ForkSpec, Outgoing};
use kode_pool::{Pool, PoolError, PoolOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::history::History;
use self::input::{Input, Line};
use self::run::{Ended, Watch};
use self::screen::{Abilities, Screen, tokens};
use self::slash::{Command, Said};
use crate::args::Chat;
use crate::config::{Settings, process_env};
use crate::describe::name;
use crate::failure::Failure;
use crate::{commands, compose, log, safe};

/// The agent of one who names none: on a server it is `/api/chat/local`.
const DEFAULT_AGENT: &str = "user:local";
/// Who decides and interrupts here.
const LOCAL: &str = "local";
/// How long a run may go on after the user left. What is not done by then goes on next time.
const GRACE: Duration = Duration::from_millis(200);

pub(crate) fn run(chat: &Chat) -> Result<(), Failure> {
    let settings = Settings::resolve(None, &chat.places, &process_env)?;
    let agent = commands::agent_id(chat.agent.as_deref().unwrap_or(DEFAULT_AGENT))?;
    log::if_asked(settings.json_logs);
    let model = compose::model(&settings, chat.demo, &process_env)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Failure::failed)?;
    runtime.block_on(async {
        let builder = compose::runtime(&settings, compose::store(&settings.store).await?, model)?;
        let pool = Pool::new(builder.build().map_err(Failure::usage)?, PoolOptions::default());
        let ended = Talk::new(pool.clone(), agent, chat)?.talk().await;
        pool.shutdown(GRACE).await;
        ended
    })
}

/// One user at one agent.
struct Talk {
    pool: Pool,
    agent: AgentId,
    template: Option<TemplateId>,
    input: Input,
    screen: Screen<Stdout>,
    interrupts: Signal,
    /// Whether a person sits there: else lines come from a pipe, and the first turn that fails ends it.
    person: bool,
}

impl Talk {
    fn new(pool: Pool, agent: AgentId, chat: &Chat) -> Result<Self, Failure> {
        let template = chat.template.as_deref().map(TemplateId::new);
        let known = |template: &TemplateId| pool.runtime().registry().kit(template).is_some();
        if let Some(unknown) = template.as_ref().filter(|template| !known(template)) {
            let ids: Vec<_> = pool.runtime().registry().templates().map(|t| t.id.to_string()).collect();
            let why = format!("there is no template {unknown}; there are {}", ids.join(", "));
            return Err(Failure::usage(why));
        }
        let person = stdin().is_terminal() && stdout().is_terminal();
        let input = if person { Input::editor(History::of_user(&process_env))? } else { Input::pipe() };
        let styles =
            person && process_env("NO_COLOR").is_none() && process_env("TERM").is_none_or(|t| t != "dumb");
        let screen = Screen::new(stdout(), Abilities { person, styles });
        let interrupts = signal(SignalKind::interrupt())?;
        Ok(Self { pool, agent, template, input, screen, interrupts, person })
    }

    async fn talk(mut self) -> Result<(), Failure> {
        if self.arrive().await? == Ended::Left {
            return self.left();
        }
        let mut warned = false;
        loop {
            match self.line().await? {
                Line::End => return Ok(()),
                Line::Interrupted if warned => return Ok(()),
                Line::Interrupted => {
                    self.screen.note("(Ctrl-C again, Ctrl-D or /quit leaves)")?;
                    warned = true;
                }
                Line::Text(first) => {
                    warned = false;
                    let line = self.whole(first).await?;
                    if !self.take(&line).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The next line. A terminal's editor sees Ctrl-C itself; else it is a signal, and ends the command.
    async fn line(&mut self) -> Result<Line, Failure> {
        tokio::select! {
            line = self.input.message("> ") => Ok(line?),
            _ = self.interrupts.recv(), if !self.person => Err(Failure::failed("interrupted")),
        }
    }

    /// A line with those in which it goes on. In a pipe each line is a message.
    async fn whole(&self, mut line: String) -> Result<String, Failure> {
        while self.person && line.ends_with('\\') {
            line.pop();
            match self.input.message("… ").await? {
                Line::Text(more) => line = format!("{line}\n{more}"),
                Line::Interrupted => return Ok(String::new()),
                Line::End => break,
            }
        }
        Ok(line)
    }

    /// Says who is there, and goes on with what was under way.
    async fn arrive(&mut self) -> Result<Ended, Failure> {
        let at_rest = Ended::AtRest { problem: None };
        let Some(view) = self.pool.look(&self.agent).await.map_err(Failure::failed)? else {
            self.greet("is new")?;
            return Ok(at_rest);
        };
        self.check_template(&view)?;
        let agent = self.pool.get(&self.agent).await.map_err(|error| self.refused(error))?;
        self.greet(&format!("has {} messages", view.transcript.len()))?;
        if agent.view().at_rest {
            return Ok(at_rest);
        }
        if self.person {
            self.screen.note("(it goes on with what was under way)")?;
        }
        self.watch(&agent, view.cursor).await
    }

    fn greet(&mut self, how: &str) -> Result<(), Failure> {
        if self.person {
            let demo =
                if self.pool.runtime().provider() == "demo" { " A script answers (--demo)." } else { "" };
            self.screen.note(&format!("{} {how}.{demo} /help helps, Ctrl-D leaves.", self.agent))?;
        }
        Ok(())
    }

    fn check_template(&self, view: &View) -> Result<(), Failure> {
        match (&self.template, &view.template) {
            (Some(asked), Some(has)) if asked != has => Err(Failure::usage(format!(
                "{} exists with the template {has}; leave --template out, or name another agent",
                self.agent
            ))),
            _ => Ok(()),
        }
    }

    fn refused(&self, error: PoolError) -> Failure {
        match error {
            PoolError::UnknownTemplate(template) => Failure::failed(format!(
                "{} has the template {template}, which is not configured here; add it to kode.toml or name that file with --config",
                self.agent
            )),
            error => Failure::failed(error),
        }
    }

    /// Takes one line. Whether the talk goes on.
    async fn take(&mut self, line: &str) -> Result<bool, Failure> {
        match slash::read(line) {
            Said::Blank => {}
            Said::Unknown(line) => {
                self.screen.complain(&format!(
                    "{line:?} is no command; /help lists them, // begins a message with /"
                ))?;
            }
            Said::Command(Command::Quit) => return Ok(false),
            Said::Command(command) => self.obey(command).await?,
            Said::Message(text) => return self.say(text).await,
        }
        Ok(true)
    }

    async fn say(&mut self, text: String) -> Result<bool, Failure> {
        let spec = AgentSpec { template: self.template.clone(), ..AgentSpec::default() };
        let sent = match self.pool.send(&self.agent, spec, Outgoing::from(text)).await {
            Ok(sent) => sent,
            Err(PoolError::Rejected(rejected)) if self.person => {
                self.screen.complain(&rejected.to_string())?;
                return Ok(true);
            }
            Err(error) => return Err(self.refused(error)),
        };
        let agent = self.pool.get(&self.agent).await.map_err(|error| self.refused(error))?;
        match self.watch(&agent, sent.cursor).await? {
            Ended::AtRest { problem: Some(problem) } if !self.person => Err(Failure::failed(problem)),
            Ended::AtRest { .. } => Ok(true),
            Ended::Left => self.left().map(|()| false),
        }
    }

    async fn watch(&mut self, agent: &Agent, since: Cursor) -> Result<Ended, Failure> {
        let Self { input, screen, interrupts, person, .. } = self;
        let person = *person;
        screen.wait_for("…")?;
        Watch { agent, screen, input, interrupts, person }.run(since).await
    }

    /// In a pipe, a call that nobody answers is a turn that did not end.
    fn left(&self) -> Result<(), Failure> {
        if self.person {
            return Ok(());
        }
        let agent = &self.agent;
        Err(Failure::failed(format!(
            "a call waits for a decision and the input is over; decide with `kode approve {agent} CALL`, see `kode agents show {agent}`"
        )))
    }

    async fn obey(&mut self, command: Command) -> Result<(), Failure> {
        let view = self.pool.look(&self.agent).await.map_err(Failure::failed)?;
        match (command, view) {
            (Command::Help, _) => self.screen.note(slash::HELP)?,
            (Command::Interrupt, _) => self.screen.note("(nothing is under way)")?,
            (Command::Usage, view) => {
                let shows = self.screen.toggle_usage();
                let all = view.map(|view| tokens(&view.usage)).unwrap_or_default();
                self.screen.note(&format!(
                    "{all}{}",
                    if shows { " so far; shown behind each turn" } else { " so far" }
                ))?;
            }
            (_, None) => self.screen.note("(it is made with your first message)")?,
            (Command::Fork(name), Some(_)) => self.fork(name.as_deref()).await?,
            (Command::Todos, Some(view)) => self.show_todos(&view)?,
            (Command::Status, Some(view)) => self.show_status(&view)?,
            (Command::History(count), Some(view)) => {
                let first = view.transcript.len().saturating_sub(count);
                view.transcript.iter_from(first).try_for_each(|message| self.screen.message(message))?;
            }
            (Command::Quit, Some(_)) => {}
        }
        Ok(())
    }

    /// Makes a fork and talks on with that.
    async fn fork(&mut self, name: Option<&str>) -> Result<(), Failure> {
        let id = match name.map(AgentId::new).transpose() {
            Ok(id) => id,
            Err(why) => return Ok(self.screen.complain(&why.to_string())?),
        };
        let spec = ForkSpec { agent: id, ..ForkSpec::default() };
        match self.pool.fork(&self.agent, spec).await {
            Ok(forked) => {
                let parent = std::mem::replace(&mut self.agent, forked.agent.id().clone());
                self.screen.note(&format!("(you talk with {} now; {parent} stays as it is)", self.agent))?;
            }
            Err(error) => self.screen.complain(&error.to_string())?,
        }
        Ok(())
    }

    fn show_todos(&mut self, view: &View) -> Result<(), Failure> {
        if view.todos.todos.is_empty() {
            self.screen.note("(no todos)")?;
        }
        for todo in &view.todos.todos {
            self.screen.note(&format!("[{}] {}", name(&todo.status), safe::line(&todo.title)))?;
        }
        Ok(())
    }

    fn show_status(&mut self, view: &Arc<View>) -> Result<(), Failure> {
        let template = view.template.as_ref().map_or("none", |id| id.as_str());
        let runtime = self.pool.runtime();
        let kit = view.template.as_ref().and_then(|id| runtime.registry().kit(id));
        let own = kit.and_then(|kit| kit.template.model.clone());
        let model = own.unwrap_or_else(|| runtime.default_model().to_owned());
        self.screen.note(&format!(
            "{} · template {} · model {} ({})\n{} · {} messages · {} steps · {}",
            self.agent,
            safe::line(template),
            safe::line(&model),
            runtime.provider(),
            name(&view.state),
            view.transcript.len(),
            view.steps,
            tokens(&view.usage),
        ))?;
        Ok(())
    }
}
