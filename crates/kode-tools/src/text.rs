//! What is text, and how it is cut. No files here.

/// How far a file is looked at to tell binary from text, in bytes.
const BINARY_PROBE: usize = 8 * 1024;

/// Whether bytes are not text: a NUL near their beginning, as git and grep judge.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(BINARY_PROBE)].contains(&0)
}

/// How many bytes a text takes in a result, where JSON escapes some of its characters.
pub(crate) fn told(text: &str) -> usize {
    text.chars().map(told_char).sum()
}

fn told_char(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        '\0'..='\x1f' => 6,
        other => other.len_utf8(),
    }
}

/// The longest beginning that takes at most `max` bytes in a result.
pub(crate) fn head(text: &str, max: usize) -> &str {
    let mut room = max;
    let end = text.char_indices().find(|(_, char)| match room.checked_sub(told_char(*char)) {
        Some(left) => {
            room = left;
            false
        }
        None => true,
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// Some lines of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// The lines with their ends.
    pub(crate) content: String,
    /// How many lines are in it.
    pub(crate) lines: usize,
    /// How many lines the text has.
    pub(crate) total: usize,
    /// Whether lines after these, or the end of a long one, were left out.
    pub(crate) truncated: bool,
}

/// Lines from `skip` on, at most `limit` of them and at most `max` bytes as told in a result, but at least the
/// first one; where that alone is too long, its beginning with a note of how much is missing.
pub(crate) fn page(text: &str, skip: usize, limit: usize, max: usize) -> Page {
    let total = text.split_inclusive('\n').count();
    let (mut content, mut lines, mut room) = (String::new(), 0, max);
    for line in text.split_inclusive('\n').skip(skip).take(limit) {
        let Some(left) = room.checked_sub(told(line)) else { break };
        room = left;
        content.push_str(line);
        lines += 1;
    }
    let mut truncated = skip + lines < total;
    if lines == 0
        && limit > 0
        && let Some(line) = text.split_inclusive('\n').nth(skip)
    {
        let shown = head(line, max);
        content = format!("{shown}… [{} more bytes in this line]\n", line.len() - shown.len());
        (lines, truncated) = (1, true);
    }
    Page { content, lines, total, truncated }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_counted_with_and_without_a_last_line_end() {
        let totals = ["", "\n", "a", "a\n", "a\nb", "a\r\nb\r\n"].map(|text| page(text, 0, 9, 99).total);
        assert_eq!(totals, [0, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn a_line_longer_than_the_page_is_cut_between_two_characters_and_says_so() {
        let content = "a".repeat(9) + "… [7 more bytes in this line]\n";
        let cut = Page { content, lines: 1, total: 2, truncated: true };
        assert_eq!(page(&("a".repeat(9) + "ääx\r\nz"), 0, 5, 10), cut);
    }

    proptest! {
        #[test]
        fn told_is_what_json_takes(text: String) {
            prop_assert_eq!(told(&text), json!(text).to_string().len() - 2);
        }

        #[test]
        fn pages_put_together_are_the_text(text in "([a-zä]{0,9}\r?\n){0,20}[a-z]{0,5}", limit in 1..5_usize) {
            let (mut whole, mut skip) = (String::new(), 0);
            loop {
                let page = page(&text, skip, limit, 30);
                prop_assert!(told(&page.content) <= 30);
                whole.push_str(&page.content);
                skip += page.lines;
                if !page.truncated {
                    prop_assert_eq!(skip, page.total);
                    break;
                }
            }
            prop_assert_eq!(whole, text);
        }
    }
}
