//! The matrix: what each attempt came to, as a table that is published, and how a run is judged by it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::outside::{Cell, Half};
use crate::{inside, outside};

/// What is meant to work at every level, and the only thing that may at `isolated` and above.
pub const MEANT: [&str; 4] =
    ["execute_what_was_built", "execute_memory", "move_git_aside", "outgrow_quota_for_a_moment"];
/// What an ordinary user may do where the machine lets everybody open these devices, at the levels without a wall of ours
/// before them.
const MACHINES_OWN: [&str; 2] = ["open_tunnel", "open_user_file_systems"];
const OPEN: [&str; 2] = ["user none", "user hygiene"];
/// Columns in which nothing else may succeed.
const TIGHT: [&str; 3] = ["bubblewrap", "isolated", "metered"];
const PLAIN: &str = "plain";
/// Attempts that have to be made, at least.
const LEAST: usize = 300;

/// All columns of a run.
pub struct Matrix {
    halves: Vec<Half>,
}

/// What one cell is in print.
type Marks = BTreeMap<String, BTreeMap<String, char>>;

impl Matrix {
    /// Of what the halves told.
    #[must_use]
    pub fn new(halves: Vec<Half>) -> Self {
        Self { halves }
    }

    /// Names with what they give, in their order.
    fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
        let inner = inside::attempts().map(|one| (one.name, one.gives));
        inner.chain(outside::judged_outside().map(|one| (one.name, one.gives)))
    }

    fn columns(&self) -> impl Iterator<Item = (String, &BTreeMap<String, Cell>)> {
        self.halves.iter().flat_map(|half| {
            half.columns
                .iter()
                .filter_map(|(level, cells)| Some((format!("{} {level}", half.user), cells.as_ref().ok()?)))
        })
    }

    fn plain(&self, name: &str) -> impl Iterator<Item = &Cell> {
        let is_plain = |(column, _): &(String, _)| column.ends_with(PLAIN);
        self.columns().filter(is_plain).filter_map(move |(_, cells)| cells.get(name))
    }

    /// Whether an attempt can be made here at all: a plain spawn succeeds as one of the users.
    fn has_teeth(&self, name: &str) -> bool {
        self.plain(name).any(|cell| cell.succeeded == Some(true))
    }

    fn mark(&self, name: &str, cell: Option<&Cell>) -> char {
        match cell.map(|cell| cell.succeeded) {
            _ if !self.has_teeth(name) => '-',
            Some(Some(true)) => 'X',
            Some(_) => '.',
            None => '-',
        }
    }

    fn marks(&self) -> Marks {
        let of = |(column, cells): (String, &BTreeMap<String, Cell>)| {
            let marks = Self::rows().map(|(name, _)| (name.into(), self.mark(name, cells.get(name))));
            (column, marks.collect())
        };
        self.columns().map(of).collect()
    }

    /// The table as it is published.
    #[must_use]
    pub fn table(&self) -> String {
        let marks = self.marks();
        let columns: Vec<String> = self.columns().map(|(column, _)| column).collect();
        let mut text = format!("| attempt | gives | {} |\n", columns.join(" | "));
        let _ = writeln!(text, "|---|---|{}", "---|".repeat(columns.len()));
        for (name, gives) in Self::rows() {
            let line: Vec<String> = columns.iter().map(|column| marks[column][name].to_string()).collect();
            let _ = writeln!(text, "| {name} | {gives} | {} |", line.join(" | "));
        }
        let count = |column: &String| marks[column].values().filter(|mark| **mark == 'X').count().to_string();
        let counts: Vec<String> = columns.iter().map(count).collect();
        let _ = writeln!(text, "| **succeeded** | | {} |", counts.join(" | "));
        text
    }

    /// Everything that was told, for programs.
    ///
    /// # Errors
    /// Never in practice: all of it is text.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&self.halves)
    }

    /// What a person wants to know beside the table: attempts that cannot be made here, and levels.
    #[must_use]
    pub fn notes(&self) -> String {
        let mut text = String::new();
        for half in &self.halves {
            for (level, cells) in &half.columns {
                if let Err(why) = cells {
                    let _ = writeln!(text, "{} {level}: not to be had here: {why}", half.user);
                }
            }
        }
        for (name, _) in Self::rows().filter(|(name, _)| !self.has_teeth(name)) {
            let why: Vec<&str> = self.plain(name).map(|cell| cell.detail.as_str()).collect();
            let _ = writeln!(text, "- {name}: {}", why.join("; "));
        }
        text
    }

    /// Everything that is wrong with this run, measured by the table that is published.
    #[must_use]
    pub fn faults(&self, published: &str) -> Vec<String> {
        let mut faults = self.toothless();
        let (marks, published) = (self.marks(), parse(published));
        faults.extend(self.absent(&published));
        for (column, names) in &marks {
            for (name, mark) in names {
                let detail = self.detail(column, name);
                faults.extend(judge(
                    column,
                    name,
                    *mark,
                    detail,
                    published.get(column).and_then(|c| c.get(name)),
                ));
            }
        }
        faults
    }

    /// Levels that are published for one of the users, and could not be had: nothing was attempted there.
    fn absent(&self, published: &Marks) -> Vec<String> {
        let had: Vec<String> = self.columns().map(|(column, _)| column).collect();
        let ours = |column: &&String| {
            self.halves.iter().any(|half| column.split_once(' ').is_some_and(|(user, _)| user == half.user))
        };
        let absent = published.keys().filter(ours).filter(|column| !had.contains(column));
        absent.map(|column| format!("{column} is published and could not be had: {}", self.notes())).collect()
    }

    fn detail(&self, column: &str, name: &str) -> String {
        let found = self.columns().find(|(known, _)| known == column);
        found.and_then(|(_, cells)| cells.get(name)).map(|cell| cell.detail.clone()).unwrap_or_default()
    }

    /// Attempts that fail where nothing stops them are none.
    fn toothless(&self) -> Vec<String> {
        let made = Self::rows().filter(|(name, _)| self.has_teeth(name)).count();
        let blunt = Self::rows().filter(|(name, _)| !self.has_teeth(name) && !self.is_walled(name));
        let told = blunt.map(|(name, _)| format!("{name} fails at a plain spawn too: it is no attempt"));
        let few =
            (made < LEAST).then(|| format!("only {made} attempts can be made here, fewer than {LEAST}"));
        told.chain(few).collect()
    }

    /// Whether the machine lacks what is attacked, or has walls of its own before it: a container, a guest.
    fn is_walled(&self, name: &str) -> bool {
        let walls = ["Operation not permitted", "Permission denied", "Device or resource busy"];
        let is_wall = |cell: &Cell| walls.iter().any(|wall| cell.detail.starts_with(wall));
        self.plain(name).any(|cell| cell.succeeded.is_none() || is_wall(cell))
    }
}

fn judge(column: &str, name: &str, mark: char, detail: String, published: Option<&char>) -> Option<String> {
    let is_tight = TIGHT.iter().any(|level| column.ends_with(level));
    let is_meant = MEANT.contains(&name);
    if mark == 'X' && is_tight && !is_meant {
        return Some(format!("{name} succeeds at {column}: {detail}"));
    }
    // What is a matter of moments may also fail.
    let is_machines = MACHINES_OWN.contains(&name) && OPEN.contains(&column);
    let is_free = is_meant || is_machines || column.ends_with(PLAIN);
    match (published, mark) {
        (Some('.'), 'X') if !is_free => {
            Some(format!("{name} succeeds at {column}, which is not published: {detail}"))
        }
        (Some('X'), '.') if !is_free => {
            Some(format!("{name} is stopped at {column}, which is not published: {detail}"))
        }
        (None, 'X' | '.') => Some(format!("{name} at {column} is not published")),
        _ => None,
    }
}

/// A published table by column and attempt.
fn parse(table: &str) -> Marks {
    let cells = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = table.lines().filter(|line| line.starts_with('|')).map(cells);
    let columns = lines.next().unwrap_or_default();
    let mut marks = Marks::new();
    for line in lines {
        let [name, _, of @ ..] = line.as_slice() else { continue };
        for (column, mark) in columns.iter().skip(2).zip(of) {
            let mark = mark.chars().next().unwrap_or('-');
            marks.entry(column.clone()).or_default().insert(name.clone(), mark);
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(column: &str, name: &str, mark: char, published: Option<char>) -> bool {
        judge(column, name, mark, String::new(), published.as_ref()).is_some()
    }

    #[test]
    fn a_new_success_and_a_vanished_one_are_faults() {
        assert!(fault("root confined", "a", 'X', Some('.')));
        assert!(fault("root confined", "a", '.', Some('X')));
        assert!(!fault("root confined", "a", 'X', Some('X')));
        assert!(!fault("root confined", "a", '.', Some('.')));
        assert!(fault("root confined", "a", '.', None), "an attempt that is not in the table");
    }

    #[test]
    fn above_confined_only_what_is_meant_may_succeed_whatever_is_published() {
        assert!(fault("user isolated", "a", 'X', Some('X')));
        assert!(fault("user bubblewrap", "a", 'X', Some('X')));
        assert!(!fault("user isolated", MEANT[0], 'X', Some('X')));
        assert!(
            !fault("user isolated", MEANT[3], '.', Some('X')),
            "what is a matter of moments may also fail"
        );
    }

    #[test]
    fn whether_everybody_may_open_a_device_is_the_machines_to_say_below_our_walls() {
        assert!(!fault("user hygiene", MACHINES_OWN[0], 'X', Some('.')));
        assert!(fault("user confined", MACHINES_OWN[0], 'X', Some('.')));
        assert!(fault("root hygiene", MACHINES_OWN[0], '.', Some('X')));
    }

    #[test]
    fn what_cannot_be_made_here_or_was_not_elsewhere_is_no_fault() {
        assert!(!fault("root hygiene", "a", '-', Some('X')));
        assert!(!fault("root hygiene", "a", 'X', Some('-')));
        assert!(fault("root metered", "a", 'X', Some('-')));
    }

    #[test]
    fn a_published_table_is_read_back() {
        let marks = parse("text\n\n| attempt | gives | root plain |\n|---|---|---|\n| a | b | X |\n");
        assert_eq!(marks["root plain"]["a"], 'X');
    }
}
