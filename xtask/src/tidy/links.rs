//! Relative links of Markdown files lead to something.

use crate::report::Finding;

use super::tree::Tree;

/// Every link of every Markdown file.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let pages = tree.files().filter(|(path, _)| path.ends_with(".md"));
    pages.flat_map(|(path, text)| check_page(tree, path, text)).collect()
}

fn check_page(tree: &Tree, path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, number) in prose(text) {
        let dead = targets(&line).into_iter().filter(|target| !leads_somewhere(tree, path, target));
        let message = |target| format!("the link to {target} leads nowhere: mend or drop it");
        findings.extend(dead.map(|target| Finding::new(path, number, "link", message(target))));
    }
    findings
}

/// The lines outside code fences, without their inline code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (String, usize)> {
    let mut fenced = false;
    text.lines().zip(1..).filter_map(move |(line, number)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        let outside: Vec<&str> = line.split('`').step_by(2).collect();
        (!fence && !fenced).then(|| (outside.join("`"), number))
    })
}

/// What stands in `](…)`, without a title.
fn targets(line: &str) -> Vec<&str> {
    let after = line.split("](").skip(1);
    let target = after.filter_map(|rest| rest.split(')').next()?.split_whitespace().next());
    target.filter(|target| is_relative(target)).collect()
}

/// Neither a URL, nor a place on the same page, nor an item of rustdoc.
fn is_relative(target: &str) -> bool {
    !(target.contains(':') || target.starts_with('#'))
}

fn leads_somewhere(tree: &Tree, page: &str, target: &str) -> bool {
    let target = target.split('#').next().unwrap_or_default();
    let mut place: Vec<&str> = page.split('/').collect();
    place.pop();
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." if place.pop().is_none() => return false,
            ".." => {}
            name => place.push(name),
        }
    }
    tree.has(&place.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(page: &str) -> Vec<usize> {
        let tree = Tree::of(&[("docs/page.md", page), ("docs/adr/0001-x.md", ""), ("README.md", "")]);
        check(&tree).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn links_are_followed_from_the_page() {
        let page = "[a](adr/0001-x.md#why) [b](../README.md \"title\") [c](adr/)\n[d](./adr)\n";
        assert_eq!(dead(page), [0; 0]);
        assert_eq!(dead("text\n[a](README.md)\n"), [2]);
        assert_eq!(dead("[a](../docs/page.md) [b](../../README.md)"), [1]);
    }

    #[test]
    fn what_is_no_relative_link_is_left_alone() {
        assert_eq!(dead("[a](https://x.y/z) [b](#here) [c](crate::id) [d](mailto:a@b)"), [0; 0]);
        assert_eq!(dead("`[a](gone.md)`\n```text\n[a](gone.md)\n```\n"), [0; 0]);
    }
}
