//! Text that strangers wrote, made safe to print: what a model, a tool or a user said must not move the
//! cursor, hide what follows or turn it around.

/// As it is, with newlines and tabs; what a terminal would obey is shown as an escape.
pub(crate) fn text(text: &str) -> String {
    escaped(text, |c| matches!(c, '\n' | '\t'), commands)
}

/// The same on one line.
pub(crate) fn line(text: &str) -> String {
    escaped(text, |_| false, commands)
}

/// The same for one who decides on it: what cannot be seen is shown too.
pub(crate) fn exact(text: &str) -> String {
    escaped(text, |c| c == '\n', |c| commands(c) || unseen(c))
}

/// The first characters on one line.
pub(crate) fn short(text: &str, chars: usize) -> String {
    let mut cut: String = text.chars().take(chars).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    line(&cut)
}

fn escaped(text: &str, stays: impl Fn(char) -> bool, hides: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if stays(c) || !hides(c) => safe.push(c),
            '\n' | '\r' | '\t' => safe.extend(c.escape_default()),
            c => safe.extend(c.escape_unicode()),
        }
    }
    safe
}

/// What a terminal obeys instead of showing it: controls, separators of lines, and marks of direction.
fn commands(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What takes no place on the screen, or looks like a space and is none.
fn unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || (c.is_whitespace() && c != ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(text("a\u{1b}[2Jb\tc\nd\re"), "a\\u{1b}[2Jb\tc\nd\\re");
        assert_eq!(text("\u{9b}31m \u{202e}txt.exe"), "\\u{9b}31m \\u{202e}txt.exe");
        assert_eq!(line("one\ntwo"), "one\\ntwo");
        assert_eq!(text("héllo 你好 👩\u{200d}🚀"), "héllo 你好 👩\u{200d}🚀", "what is seen stays");
    }

    #[test]
    fn one_who_decides_sees_what_cannot_be_seen() {
        assert_eq!(exact("rm\u{200b} \u{a0}x\u{e0041}"), "rm\\u{200b} \\u{a0}x\\u{e0041}");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(short("abcdef", 3), "abc…");
        assert_eq!(short("abc", 3), "abc");
    }
}
