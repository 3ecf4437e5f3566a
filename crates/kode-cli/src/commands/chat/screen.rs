//! What a chat shows: events as a person reads them. It decides nothing, and prints nothing that a terminal
//! would obey but its own few styles.

use std::io::{self, Write};

use kode_core::call::{Call, CallState};
use kode_core::event::{CompressionPhase, DoneReason, ErrorPhase, Event, Severity};
use kode_core::machine::PendingApproval;
use kode_core::message::{Block, Message, Role, Usage};

use crate::describe::ended;
use crate::safe;

/// Longest input of a call in its line, in characters.
const INPUT: usize = 100;
/// Longest reason in a line, in characters.
const REASON: usize = 300;

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Plain,
    Dim,
    Bad,
    Ask,
}

impl Look {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\u{1b}[2m",
            Self::Bad => "\u{1b}[31m",
            Self::Ask => "\u{1b}[33m",
        }
    }
}

/// What the screen can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Whether a person sits before it: lines may be taken back, failures are shown where they happen.
    pub(super) person: bool,
    /// Whether text may have a look.
    pub(super) styles: bool,
}

/// The screen, and where its cursor is.
pub(super) struct Screen<W> {
    out: W,
    can: Abilities,
    /// Whether the cursor is at the beginning of a line.
    fresh: bool,
    /// Whether a word stands there that the next output takes back.
    waiting: bool,
    /// Whether a piece of the open block was shown.
    streamed: bool,
    /// What the turn cost so far.
    usage: Usage,
    /// Whether that is shown behind it.
    shows_usage: bool,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(out: W, can: Abilities) -> Self {
        let usage = Usage::default();
        Self { out, can, fresh: true, waiting: false, streamed: false, usage, shows_usage: false }
    }

    /// Shows what a turn costs from now on, or no longer. Whether it does.
    pub(super) fn toggle_usage(&mut self) -> bool {
        self.shows_usage = !self.shows_usage;
        self.shows_usage
    }

    /// Shows one event.
    pub(super) fn show(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::TextChunkStart { .. } | Event::ThinkChunkStart { .. } => {
                self.streamed = false;
                self.fresh_line()
            }
            Event::TextChunk { delta, .. } => {
                self.streamed = true;
                self.put(Look::Plain, &safe::text(delta))
            }
            Event::ThinkChunk { delta, .. } => self.put(Look::Dim, &safe::text(delta)),
            Event::TextChunkEnd { text, .. } => {
                if !self.streamed {
                    self.put(Look::Plain, &safe::text(text))?;
                }
                self.fresh_line()
            }
            Event::ThinkChunkEnd { .. } => self.fresh_line(),
            Event::TextReset { .. } => self.line(Look::Dim, "(what stands above is void; it is tried again)"),
            Event::ToolStart { call } => self.wait_for(&format!("{} …", safe::line(&call.name))),
            Event::ToolEnd { call } => self.ended(call),
            Event::PermissionDecided { call_id, decision, decided_by, .. } if decided_by != super::LOCAL => {
                let said = format!("({call_id}: {decision:?} by {})", safe::line(decided_by)).to_lowercase();
                self.line(Look::Dim, &said)
            }
            Event::Error { severity, phase, code, message, .. } => {
                self.error(*severity, *phase, &safe::line(code), &safe::short(message, REASON))
            }
            Event::TokenUsage { usage } => {
                self.usage += *usage;
                Ok(())
            }
            Event::AgentResumed { sealed, .. } if !sealed.is_empty() => {
                let count = sealed.len();
                self.line(Look::Dim, &format!("({count} calls were cut off; what came of them is not known)"))
            }
            Event::ContextCompression { phase: CompressionPhase::Start, .. } => self
                .line(Look::Dim, "(the talk has grown long: what lies far back is condensed for the model)"),
            Event::Done { reason, error, .. } => {
                let why =
                    error.as_ref().map(|e| format!("{} ({})", safe::line(&e.message), safe::line(&e.code)));
                self.done(*reason, &why.unwrap_or_default())
            }
            // Of no interest to one who talks.
            _ => Ok(()),
        }?;
        self.out.flush()
    }

    fn ended(&mut self, call: &Call) -> io::Result<()> {
        let (name, input) = (safe::line(&call.name), safe::short(&call.input_preview, INPUT));
        let why =
            call.error.as_ref().map(|why| format!(": {}", safe::short(why, REASON))).unwrap_or_default();
        let look = if call.state == CallState::Completed { Look::Dim } else { Look::Bad };
        self.line(look, &format!("· {name} {input} → {}{why}", ended(call)))
    }

    fn error(&mut self, severity: Severity, phase: ErrorPhase, code: &str, message: &str) -> io::Result<()> {
        match (severity, phase) {
            (Severity::Warn, ErrorPhase::Model) => {
                self.line(Look::Bad, &format!("(the model failed: {message} ({code}); it is asked again)"))?;
                self.wait_for("waiting …")
            }
            // The line of the call, or the end of the turn, says it too.
            (_, ErrorPhase::Tool | ErrorPhase::Model) | (Severity::Info, _) => Ok(()),
            (Severity::Warn | Severity::Error, ErrorPhase::System | ErrorPhase::Lifecycle) => {
                self.line(Look::Bad, &format!("({message} ({code}))"))
            }
        }
    }

    fn done(&mut self, reason: DoneReason, why: &str) -> io::Result<()> {
        self.fresh_line()?;
        let usage = std::mem::take(&mut self.usage);
        if self.can.person {
            match reason {
                DoneReason::Completed => {}
                DoneReason::Interrupted => self.line(Look::Dim, "(interrupted)")?,
                DoneReason::Failed => self.line(Look::Bad, &format!("The turn failed: {why}"))?,
                DoneReason::Limit => self.line(Look::Bad, &format!("The turn was stopped: {why}"))?,
            }
        }
        if self.shows_usage {
            self.line(Look::Dim, &tokens(&usage))?;
        }
        // Room between what was said and the next prompt.
        if self.can.person { writeln!(self.out) } else { Ok(()) }
    }

    /// Shows a call that waits for the person, with its whole input.
    pub(super) fn ask(&mut self, open: &PendingApproval) -> io::Result<()> {
        let reason = open.call.approval.as_ref().map(|a| safe::line(&a.reason)).unwrap_or_default();
        self.line(Look::Ask, &format!("{} waits for you ({reason}):", safe::line(&open.call.name)))?;
        let input = safe::exact(&format!("{:#}", open.input));
        input.lines().try_for_each(|line| self.line(Look::Plain, &format!("    {line}")))?;
        self.out.flush()
    }

    /// Shows a message of the history.
    pub(super) fn message(&mut self, message: &Message) -> io::Result<()> {
        for block in &message.content {
            match (block, message.role) {
                (Block::Text { text }, Role::User) => {
                    self.line(Look::Ask, &format!("> {}", safe::text(text)))
                }
                (Block::Text { text }, Role::Assistant) => self.line(Look::Plain, &safe::text(text)),
                (Block::ToolUse { name, input, .. }, _) => {
                    let input = safe::short(&input.to_string(), INPUT);
                    self.line(Look::Dim, &format!("· {} {input}", safe::line(name)))
                }
                (Block::Thinking { .. } | Block::ToolResult { .. }, _) => Ok(()),
            }?;
        }
        self.out.flush()
    }

    /// Shows something of the chat's own.
    pub(super) fn note(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| self.line(Look::Dim, line))?;
        self.out.flush()
    }

    /// Shows what went wrong and was not the agent's doing.
    pub(super) fn complain(&mut self, text: &str) -> io::Result<()> {
        self.line(Look::Bad, &safe::line(text))?;
        self.out.flush()
    }

    /// Shows that something is under way, until the next output.
    pub(super) fn wait_for(&mut self, what: &str) -> io::Result<()> {
        if !self.can.person || !self.can.styles {
            return Ok(());
        }
        self.fresh_line()?;
        self.put(Look::Dim, what)?;
        self.waiting = true;
        self.out.flush()
    }

    fn line(&mut self, look: Look, text: &str) -> io::Result<()> {
        self.fresh_line()?;
        self.put(look, text)?;
        self.fresh_line()
    }

    fn put(&mut self, look: Look, text: &str) -> io::Result<()> {
        self.take_back()?;
        if text.is_empty() {
            return Ok(());
        }
        match look {
            Look::Plain => write!(self.out, "{text}")?,
            _ if !self.can.styles => write!(self.out, "{text}")?,
            look => write!(self.out, "{}{text}\u{1b}[0m", look.code())?,
        }
        self.fresh = text.ends_with('\n');
        Ok(())
    }

    /// Takes the word back that only said that something is under way.
    fn take_back(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.waiting) {
            write!(self.out, "\r\u{1b}[K")?;
            self.fresh = true;
        }
        Ok(())
    }

    pub(super) fn fresh_line(&mut self) -> io::Result<()> {
        self.take_back()?;
        if !std::mem::replace(&mut self.fresh, true) {
            writeln!(self.out)?;
        }
        Ok(())
    }
}

/// Tokens in words.
pub(super) fn tokens(usage: &Usage) -> String {
    let cached = match usage.cached_tokens {
        0 => String::new(),
        cached => format!(" ({cached} of them cached)"),
    };
    format!("{} tokens in{cached}, {} out", usage.input_tokens, usage.output_tokens)
}

#[cfg(test)]
mod tests {
    use kode_core::event::Problem;
    use kode_core::id::CallId;
    use serde_json::json;

    use super::*;

    fn shown(can: Abilities, events: &[Event]) -> String {
        let mut screen = Screen::new(Vec::new(), can);
        events.iter().for_each(|event| screen.show(event).unwrap());
        String::from_utf8(screen.out).unwrap()
    }

    const PIPE: Abilities = Abilities { person: false, styles: false };
    const PERSON: Abilities = Abilities { person: true, styles: true };

    fn text(pieces: &[&str]) -> Vec<Event> {
        let chunk = |delta: &&str| Event::TextChunk { step: 1, delta: (*delta).to_owned() };
        let end = Event::TextChunkEnd { step: 1, text: pieces.concat() };
        [Event::TextChunkStart { step: 1 }].into_iter().chain(pieces.iter().map(chunk)).chain([end]).collect()
    }

    fn call(state: CallState) -> Box<Call> {
        let asked = Call::asked(CallId::of(1, 0), "fs_write", &json!({ "path": "a\u{1b}]0;x\u{7}" }), 0);
        Box::new(Call { duration_ms: Some(3), ..asked.entering(state, 3, None) })
    }

    #[test]
    fn a_turn_reads_as_a_talk() {
        let mut events = text(&["Hel", "lo\n"]);
        events.extend([
            Event::ToolStart { call: call(CallState::Pending) },
            Event::ToolEnd { call: call(CallState::Completed) },
        ]);
        events.extend(text(&["Done."]));
        let line = "· fs_write {\"path\":\"a\\u001b]0;x\\u0007\"} → done, 3 ms";
        assert_eq!(shown(PIPE, &events), format!("Hello\n{line}\nDone.\n"));
        let styled = shown(PERSON, &events);
        assert!(
            styled
                .contains(&format!("\u{1b}[2mfs_write …\u{1b}[0m\r\u{1b}[K\u{1b}[2m{line}\u{1b}[0m\nDone."))
        );
    }

    #[test]
    fn nothing_that_the_model_says_reaches_the_terminal_as_a_command() {
        let told = shown(PERSON, &text(&["a\u{1b}[2J\u{9b}1m", "b\r\u{202e}c"]));
        assert_eq!(told, "a\\u{1b}[2J\\u{9b}1mb\\r\\u{202e}c\n");
    }

    #[test]
    fn a_block_of_which_no_piece_was_seen_is_shown_whole() {
        assert_eq!(shown(PIPE, &[Event::TextChunkEnd { step: 1, text: "whole".into() }]), "whole\n");
    }

    #[test]
    fn a_failure_is_said_in_plain_words() {
        let failed = |reason, code: &str| Event::Done {
            step: 1,
            message_ids: Vec::new(),
            reason,
            error: Some(Problem { code: code.into(), message: "no credit".into() }),
            at_rest: true,
        };
        let retried = Event::Error {
            severity: Severity::Warn,
            phase: ErrorPhase::Model,
            code: "overloaded".into(),
            message: "busy".into(),
            detail: serde_json::Map::new(),
        };
        let plain = Abilities { person: true, styles: false };
        let told = shown(plain, &[retried, failed(DoneReason::Failed, "billing")]);
        assert_eq!(
            told,
            "(the model failed: busy (overloaded); it is asked again)\nThe turn failed: no credit (billing)\n\n"
        );
        let denied = shown(plain, &[Event::ToolEnd { call: call(CallState::Denied) }]);
        assert!(denied.ends_with("→ denied, 3 ms\n"), "{denied}");
    }
}
