//! How a failure of a file is told to the model: a stable code, what happened, and what can be done.

use kode_core::sandbox::FileError;
use kode_core::tool::ToolError;

/// The model's view of a file error.
pub(crate) fn of_file(error: FileError) -> ToolError {
    let message = error.to_string();
    let (code, hint) = advice(&error);
    ToolError::new(code, message).hint(hint)
}

fn advice(error: &FileError) -> (&'static str, &'static str) {
    match error {
        FileError::NotFound(_) => {
            ("not_found", "look for it with fs_glob; paths are relative to the work directory")
        }
        FileError::Outside(_) => {
            ("outside", "use a path relative to the work directory, without leading / or ~")
        }
        FileError::BadPath { .. } => ("bad_path", "use a shorter, plain path relative to the work directory"),
        FileError::WrongKind { .. } => {
            ("wrong_kind", "look at what is there with fs_glob and name the right kind of thing")
        }
        FileError::TooLarge { .. } => ("too_large", "search in it with fs_grep, or work with smaller files"),
        FileError::Changed(_) => {
            ("changed", "read it again with fs_read, then decide whether your change still fits")
        }
        FileError::Protected(_) => ("protected", "leave this file alone, or ask the user to change it"),
        FileError::NoSpace(_) => ("no_space", "nothing was written; make room or tell the user"),
        FileError::Io { .. } => ("io", "try once more; if it fails again, tell the user"),
    }
}
