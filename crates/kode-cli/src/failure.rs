//! How a command fails: one line on stderr that says what, why and what to do, and an exit code.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use crate::safe;

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The caller must change something: flags, environment or configuration. Exit code 2.
    Usage(String),
    /// It went wrong. Exit code 1.
    Failed(String),
    /// Whoever read the output has enough of it. Exit code 0, and nothing is said.
    Closed,
}

impl From<io::Error> for Failure {
    /// An error of the terminal or pipe that the command speaks through.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Closed } else { Self::failed(error) }
    }
}

impl Failure {
    /// A wrong usage.
    pub(crate) fn usage(why: impl Display) -> Self {
        Self::Usage(why.to_string())
    }

    /// A failure.
    pub(crate) fn failed(why: impl Display) -> Self {
        Self::Failed(why.to_string())
    }

    /// Why, as a text.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Usage(why) | Self::Failed(why) => why,
            Self::Closed => "nobody reads what is printed",
        }
    }

    /// Tells the caller, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let (why, code) = match self {
            Self::Usage(why) => (why, 2),
            Self::Failed(why) => (why, 1),
            Self::Closed => return ExitCode::SUCCESS,
        };
        eprintln!("kode: {}", safe::line(&why.replace('\n', " ")));
        ExitCode::from(code)
    }
}
