//! Text that is too long keeps its head and its tail, with a note between them that says what is missing.

/// The text cut to about `most` bytes, most of them from its head; none where it is not longer.
pub(super) fn middle(text: &str, most: usize) -> Option<String> {
    between(text, most / 4 * 3, most / 4).filter(|_| text.len() > most)
}

/// The first `head` and the last `tail` bytes, at borders of characters; none where that is all. The note
/// between them comes on top.
pub(super) fn between(text: &str, head: usize, tail: usize) -> Option<String> {
    if text.len() <= head.saturating_add(tail) {
        return None;
    }
    let head = text.floor_char_boundary(head);
    let tail = text.ceil_char_boundary(text.len() - tail);
    let note = format!("\n… {} bytes were left out here …\n", tail - head);
    Some([&text[..head], &note, &text[tail..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_longer_is_cut() {
        for most in 0..40 {
            assert_eq!(middle(&"x".repeat(most), most), None, "{most} bytes of {most}");
        }
        assert_eq!(middle("0123456789", 8).as_deref(), Some("012345\n… 2 bytes were left out here …\n89"));
    }

    #[test]
    fn a_character_is_never_parted() {
        assert_eq!(middle("ééééé", 8).as_deref(), Some("ééé\n… 2 bytes were left out here …\né"));
        assert_eq!(between("ééééé", 3, 3).as_deref(), Some("é\n… 6 bytes were left out here …\né"));
    }
}
