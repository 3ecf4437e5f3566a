//! Names that file tools do not write, because a host's own programs would run what is in them.
//!
//! A path is judged twice: by its text, and by the place that it leads to. What is still possible for a
//! process with a chain of links of its own making is possible for it without this crate too.

use kode_core::sandbox::FileError;

/// Runs of components that are refused, wherever they stand in a path, with all that is below them.
const BELOW: [&[&str]; 10] = [
    &[".git", "hooks"],
    &[".git", "config"],
    &[".git", "config.worktree"],
    // These name or hold other repositories, each with hooks and a configuration of its own.
    &[".git", "commondir"],
    &[".git", "modules"],
    &[".git", "worktrees"],
    &[".gitmodules"],
    &[".envrc"],
    &[".vscode"],
    &[".mcp.json"],
];
/// As a file it names a repository elsewhere, whose hooks would run; as a directory it may be made.
const GIT: &str = ".git";

/// Refuses a file that is to be written at `place`.
pub(crate) fn file(shown: &str, place: &[u8]) -> Result<(), FileError> {
    directory(shown, place)?;
    refuse_if(shown, parts(place).last().is_some_and(|name| name == GIT))
}

/// Refuses a directory that is to be made at `place`.
pub(crate) fn directory(shown: &str, place: &[u8]) -> Result<(), FileError> {
    let parts = parts(place);
    let runs_here = |run: &[&str]| parts.windows(run.len()).any(|window| window == run);
    refuse_if(shown, BELOW.iter().any(|run| runs_here(run)))
}

fn refuse_if(shown: &str, refused: bool) -> Result<(), FileError> {
    if refused { Err(FileError::Protected(shown.to_owned())) } else { Ok(()) }
}

/// The components without `.`, with `..` taken back and letters folded: some file systems fold them too.
fn parts(place: &[u8]) -> Vec<String> {
    let mut parts = Vec::new();
    for part in place.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            name => parts.push(folded(&String::from_utf8_lossy(name))),
        }
    }
    parts
}

/// Up and then down, so that letters with only one of the two (the Kelvin sign, the long s) fold as well.
fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_as_a_file() {
        let refused = |path: &&str| file(path, path.as_bytes()).is_err();
        let hostile = [
            ".git/hooks/pre-commit",
            "deep/in/.git/hooks/x",
            ".git/./hooks/x",
            ".git//hooks/x",
            ".git/objects/../hooks/x",
            ".GIT/Hooks/x",
            ".git/hoo\u{212a}s/x",
            ".git/config",
            ".git/modules/sub/config",
            ".git",
            "a/.git",
            ".gitmodules",
            ".envrc",
            "sub/.envrc",
            ".vscode/tasks.json",
            ".mcp.json",
        ];
        let harmless = [
            ".git/HEAD",
            ".git/info/exclude",
            ".gitignore",
            "hooks/pre-commit",
            ".github/workflows/ci.yml",
            "git/hooks/x",
            ".envrc.example",
            "config",
            ".git/objects/hooks/x",
        ];
        assert_eq!(hostile.iter().filter(|p| !refused(p)).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert_eq!(harmless.iter().filter(|p| refused(p)).collect::<Vec<_>>(), Vec::<&&str>::new());
    }

    #[test]
    fn a_repository_may_be_made_but_not_its_hooks() {
        assert_eq!(directory("x", b"repo/.git"), Ok(()));
        assert_eq!(directory("x", b"repo/.git/hooks"), Err(FileError::Protected("x".into())));
    }
}
