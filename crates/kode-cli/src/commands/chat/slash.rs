//! The lines of a chat that are no messages.

/// What a line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A message.
    Message(String),
    /// Something for the chat itself.
    Command(Command),
    /// A command that there is not.
    Unknown(String),
    /// Nothing.
    Blank,
}

/// Something for the chat itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Interrupt,
    Todos,
    Status,
    Usage,
    History(usize),
    /// Under this name, or a generated one.
    Fork(Option<String>),
    Quit,
}

/// The help, as it is printed.
pub(super) const HELP: &str = "\
/todos        the agent's todo list
/status       where the agent stands
/usage        show tokens behind each turn, or no longer
/history [N]  the last N messages (10)
/fork [ID]    go on with a fork of the agent, which has a copy of its files
/interrupt    stop the run; so does Ctrl-C while it runs
/quit         leave; so do Ctrl-D and a second Ctrl-C
A line that ends in \\ goes on in the next one. A message that begins with / is written //.";

/// Messages that `/history` shows.
const HISTORY: usize = 10;

/// Reads a line.
pub(super) fn read(line: &str) -> Said {
    let line = line.trim();
    let Some(command) = line.strip_prefix('/') else {
        return if line.is_empty() { Said::Blank } else { Said::Message(line.to_owned()) };
    };
    if command.starts_with('/') {
        return Said::Message(command.to_owned());
    }
    let mut words = command.split_whitespace();
    let (name, more) = (words.next().unwrap_or_default(), words.next());
    let command = match (name, more.map(str::parse)) {
        ("fork", _) if words.next().is_none() => Command::Fork(more.map(str::to_owned)),
        ("help" | "?", None) => Command::Help,
        ("interrupt", None) => Command::Interrupt,
        ("todos", None) => Command::Todos,
        ("status", None) => Command::Status,
        ("usage", None) => Command::Usage,
        ("history", None) => Command::History(HISTORY),
        ("history", Some(Ok(count))) => Command::History(count),
        ("quit" | "exit", None) => Command::Quit,
        _ => return Said::Unknown(line.to_owned()),
    };
    Said::Command(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_begins_a_command_and_two_a_message() {
        assert_eq!(read(" hello "), Said::Message("hello".into()));
        assert_eq!(read("//etc/passwd"), Said::Message("/etc/passwd".into()));
        assert_eq!(read("  "), Said::Blank);
        assert_eq!(read("/history 3"), Said::Command(Command::History(3)));
        assert_eq!(read("/quit"), Said::Command(Command::Quit));
        assert_eq!(read("/fork"), Said::Command(Command::Fork(None)));
        assert_eq!(read("/fork user:2"), Said::Command(Command::Fork(Some("user:2".into()))));
        for wrong in ["/fork a b", "/etc/passwd is what?", "/history many", "/todos now", "/"] {
            assert_eq!(read(wrong), Said::Unknown(wrong.into()), "{wrong}");
        }
        for line in HELP.lines().filter_map(|line| line.split_whitespace().next()) {
            assert!(
                !line.starts_with('/') || matches!(read(line), Said::Command(_)),
                "{line} is in the help"
            );
        }
    }
}
