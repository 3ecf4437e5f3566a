//! Findings of the rule checks, and how they are told: which rule, where, and what to do.

use std::fmt;

use anyhow::bail;

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Path from the workspace root, or a crate's name.
    pub(crate) place: String,
    /// From 1; 0 when the whole place is meant.
    pub(crate) line: usize,
    /// The rule's name, as its table has it.
    pub(crate) rule: &'static str,
    /// What is wrong and what to do instead.
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(place: &str, line: usize, rule: &'static str, message: impl Into<String>) -> Self {
        Self { place: place.to_owned(), line, rule, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": [{}] {}", self.rule, self.message)
    }
}

/// Prints the findings in order; fails when there is one.
pub(crate) fn conclude(task: &str, checked: &str, mut findings: Vec<Finding>) -> anyhow::Result<()> {
    findings.sort();
    findings.dedup();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("{task}: {checked}, nothing found"),
        1 => bail!("{task}: 1 finding (see above)"),
        many => bail!("{task}: {many} findings (see above)"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_which_and_what() {
        let in_line = Finding::new("a.rs", 7, "no-dbg", "found `dbg!`: remove it");
        assert_eq!(in_line.to_string(), "a.rs:7: [no-dbg] found `dbg!`: remove it");
        let whole = Finding::new("kode-core", 0, "edges", "depends on much");
        assert_eq!(whole.to_string(), "kode-core: [edges] depends on much");
    }

    #[test]
    fn one_finding_is_enough_to_fail() {
        assert!(conclude("tidy", "2 files", Vec::new()).is_ok());
        assert!(conclude("tidy", "2 files", vec![Finding::new("a.rs", 1, "r", "m")]).is_err());
    }
}
