//! Text that is too long keeps its head and its tail, with a note between them that says what is missing.

/// The text cut to about `most` bytes, most of them from its head; none where it is not longer, or where the cut
/// would not make it shorter.
pub(super) fn middle(text: &str, most: usize) -> Option<String> {
    between(text, most / 4 * 3, most / 4).filter(|_| text.len() > most)
}

/// The first `head` and the last `tail` bytes, at borders of characters, with a note between them; none where that is
/// all, or where the note is longer than what it stands for.
pub(super) fn between(text: &str, head: usize, tail: usize) -> Option<String> {
    if text.len() <= head.saturating_add(tail) {
        return None;
    }
    let head = text.floor_char_boundary(head);
    let tail = text.ceil_char_boundary(text.len() - tail);
    let note = format!("\n… {} bytes were left out here …\n", tail - head);
    (note.len() < tail - head).then(|| [&text[..head], &note, &text[tail..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_longer_is_cut() {
        for most in 0..40 {
            assert_eq!(middle(&"x".repeat(most), most), None, "{most} bytes of {most}");
        }
        let long = format!("012345{}89", "x".repeat(90));
        assert_eq!(middle(&long, 8).as_deref(), Some("012345\n… 90 bytes were left out here …\n89"));
    }

    #[test]
    fn a_character_is_never_parted() {
        let long = "é".repeat(100);
        assert_eq!(middle(&long, 8).as_deref(), Some("ééé\n… 192 bytes were left out here …\né"));
        assert_eq!(between(&long, 3, 3).as_deref(), Some("é\n… 196 bytes were left out here …\né"));
    }

    #[test]
    fn a_cut_never_makes_a_text_longer() {
        for length in 0..200 {
            for text in ["x", "é", "字"].map(|one| one.repeat(length)) {
                let cut = middle(&text, 30);
                assert!(cut.is_none_or(|cut| cut.len() < text.len()), "{length} of {text:?}");
            }
        }
    }
}
