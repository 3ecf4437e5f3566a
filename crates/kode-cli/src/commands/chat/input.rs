//! Where lines come from: an editor on a terminal, or a pipe. Reading blocks, so it has a thread of its own.

use std::io;
use std::sync::mpsc;

use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};
use tokio::sync::oneshot;

use super::history::History;

/// What the user gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A line.
    Text(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of the pipe.
    End,
}

/// A line that is asked for.
struct Ask {
    prompt: String,
    /// Whether it is offered again later.
    remember: bool,
    reply: oneshot::Sender<io::Result<Line>>,
}

/// The thread that reads.
pub(super) struct Input {
    asks: mpsc::Sender<Ask>,
}

impl Input {
    /// From a terminal, with a history.
    pub(super) fn editor(history: History) -> io::Result<Self> {
        let mut editor = Editor::new(history)?;
        Ok(Self::reading(move |ask| editor.read(ask)))
    }

    /// From a pipe, line by line.
    pub(super) fn pipe() -> Self {
        Self::reading(|_| {
            let mut line = String::new();
            let read = io::stdin().read_line(&mut line)?;
            Ok(if read == 0 { Line::End } else { Line::Text(line.trim_end_matches(['\r', '\n']).to_owned()) })
        })
    }

    fn reading(mut read: impl FnMut(&Ask) -> io::Result<Line> + Send + 'static) -> Self {
        let (asks, asked) = mpsc::channel::<Ask>();
        // Ends with the process: a read that waits for a person cannot be called off.
        std::thread::spawn(move || {
            for ask in asked {
                let line = read(&ask);
                // Nobody may be waiting any more.
                let _ = ask.reply.send(line);
            }
        });
        Self { asks }
    }

    /// The next message or command.
    pub(super) async fn message(&self, prompt: &str) -> io::Result<Line> {
        self.ask(prompt, true).await
    }

    /// The answer to a question.
    pub(super) async fn answer(&self, prompt: &str) -> io::Result<Line> {
        self.ask(prompt, false).await
    }

    async fn ask(&self, prompt: &str, remember: bool) -> io::Result<Line> {
        let (reply, line) = oneshot::channel();
        let ask = Ask { prompt: prompt.to_owned(), remember, reply };
        let gone = || io::Error::other("the thread that reads the terminal is gone");
        self.asks.send(ask).map_err(|_| gone())?;
        line.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// A line editor and what was typed before.
struct Editor {
    editor: DefaultEditor,
    history: History,
}

impl Editor {
    fn new(history: History) -> io::Result<Self> {
        let config = Config::builder().auto_add_history(false).bracketed_paste(true).build();
        let mut editor = DefaultEditor::with_config(config).map_err(io::Error::other)?;
        for entry in &history.entries {
            editor.add_history_entry(entry).map_err(io::Error::other)?;
        }
        Ok(Self { editor, history })
    }

    fn read(&mut self, ask: &Ask) -> io::Result<Line> {
        match self.editor.readline(&ask.prompt) {
            Ok(line) => {
                if ask.remember && !line.trim().is_empty() {
                    let _ = self.editor.add_history_entry(&line);
                    self.history.add(&line);
                }
                Ok(Line::Text(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}
