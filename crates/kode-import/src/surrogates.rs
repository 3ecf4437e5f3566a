//! JavaScript's strings may hold half a character, where one was cut in two; it is written as an escape that no
//! other reader of JSON takes.

/// The text with each half character as U+FFFD, and how many there were.
pub(crate) fn replaced(json: &str) -> (String, usize) {
    let mut out = String::with_capacity(json.len());
    let mut count = 0;
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let len = match half(escape) {
            Some(Half::High) if half(&escape[6..]) == Some(Half::Low) => 12,
            Some(_) => {
                out.push('\u{FFFD}');
                count += 1;
                rest = &escape[6..];
                continue;
            }
            // The next character belongs to the escape, also where it is a backslash.
            None => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&escape[..len]);
        rest = &escape[len..];
    }
    out.push_str(rest);
    (out, count)
}

#[derive(PartialEq)]
enum Half {
    High,
    Low,
}

/// Which half a text begins with, as `\uD83D`.
fn half(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_halves_are_replaced() {
        let same = |text: &str| assert_eq!(replaced(text), (text.to_owned(), 0));
        same(r#"["\ud83d\ude00","\u4f60","a\\ud83d","\n\"","阿"]"#);
        same("\\");
        assert_eq!(replaced(r#"["cut \ud83d","\ude00x"]"#), ("[\"cut \u{FFFD}\",\"\u{FFFD}x\"]".into(), 2));
        assert_eq!(replaced(r#"["\ud83d\ud83d\ude00"]"#), ("[\"\u{FFFD}\\ud83d\\ude00\"]".into(), 1));
    }
}
