//! Source rules that the compiler does not know, over every file of the tree.
//!
//! The rules on code are a table in [`code`]; text, shape, links, guarantees and scenarios have a room each. No room writes.

mod code;
mod guarantees;
pub(crate) mod lexer;
mod links;
mod scenarios;
mod shape;
mod text;
pub(crate) mod tree;

use crate::context::Context;
use crate::report::{Finding, conclude};

use tree::Tree;

/// Every kind of check.
const CHECKS: &[fn(&Tree) -> Vec<Finding>] =
    &[code::check, shape::check, text::check, links::check, guarantees::check, scenarios::check];

/// Reads the tree and checks it.
pub(crate) fn run(context: &Context) -> anyhow::Result<()> {
    let tree = Tree::load(&context.root)?;
    let findings = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    conclude("tidy", &format!("{} files", tree.len()), findings)
}
