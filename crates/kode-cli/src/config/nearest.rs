//! The nearest known name to one that is not known, for errors that help.

/// The known name with the fewest edits, if it is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|k| (edits(name, k), *k)).min()?;
    (near.0 <= name.len().max(3) / 2).then_some(near.1)
}

/// Levenshtein's distance, a row at a time.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        let known = ["listen", "store", "workspace"];
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("work_space", &known), Some("workspace"));
        assert_eq!(nearest("zzzzzzzz", &known), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
