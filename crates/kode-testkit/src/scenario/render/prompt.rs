//! The history: as the model would see it, and as it stands at the end of a scenario.

use std::fmt;

use kode_core::machine::{Prompt, State, View};
use kode_core::message::{Message, Role};

use super::fact::blocks;
use super::{cursor, list, name};

/// What the model would see.
pub(super) fn request(f: &mut fmt::Formatter<'_>, prompt: &Prompt) -> fmt::Result {
    writeln!(f, "  | system {:?}", prompt.system)?;
    for (at, message) in prompt.messages.iter().enumerate() {
        let border = if at == prompt.turn_start { "=" } else { "|" };
        writeln!(f, "  {border} {}", message_line(message))?;
    }
    let model = prompt.model.as_ref().map(|model| format!(" of {model}")).unwrap_or_default();
    writeln!(f, "  | at most {} tokens{model}", prompt.max_tokens)
}

/// Where the agent stands, and its whole history.
pub(super) fn ending(f: &mut fmt::Formatter<'_>, state: &State) -> fmt::Result {
    let view = View::of(state);
    writeln!(
        f,
        "= {} {}, step {}, {} queued",
        name(view.state),
        name(view.breakpoint),
        view.steps,
        view.queued
    )?;
    let (seq, last, done) = (view.seq, cursor(view.cursor), cursor(view.last_done));
    writeln!(f, "= seq {seq}, cursor {last}, last done {done}, safe point {}", view.last_safe_point)?;
    if !view.approvals.is_empty() {
        writeln!(f, "= approvals {}", list(view.approvals.iter().map(|a| &a.call.id)))?;
    }
    for job in view.jobs.iter() {
        let (id, line) = (&job.id, super::quoted(&job.line));
        let (status, detail) = match (&job.end, &job.stop) {
            (Some((end, _)), _) => (end.status(), end.detail().map(|(_, detail)| format!(" {detail}"))),
            (None, Some((by, _))) => ("stopping", Some(format!(" for {by}"))),
            (None, None) => ("running", None),
        };
        writeln!(f, "= job {id} {line} {status}{}", detail.unwrap_or_default())?;
    }
    for message in view.transcript.iter() {
        writeln!(f, "= {}", message_line(message))?;
    }
    Ok(())
}

fn message_line(message: &Message) -> String {
    let who = match message.role {
        Role::User => "user",
        Role::Assistant => "model",
    };
    let cut = if message.interrupted { " (interrupted)" } else { "" };
    format!("{who} {}{cut}: {}", message.id, blocks(&message.content))
}
