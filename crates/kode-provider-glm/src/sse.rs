//! Server-sent events: bytes in, frames out.
//!
//! No I/O and no knowledge of what a frame means. Bytes may be cut anywhere, also inside a character or
//! between CR and LF; the frames are the same. Memory is bounded by [`MAX_FRAME`].

use std::mem;

/// Most bytes of one frame. A model's longest tool arguments stay far below it; a peer that never ends a
/// line must not fill the memory.
pub const MAX_FRAME: usize = 8 * 1024 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// One event: its name, if it has one, and its `data` lines joined by LF.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// The value of the last `event` line.
    pub event: Option<String>,
    /// The data as bytes: whether they are UTF-8 is for the reader to find out.
    pub data: Vec<u8>,
}

/// A frame outgrew [`MAX_FRAME`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of the event stream has more than {MAX_FRAME} bytes")]
pub struct FrameTooLong;

/// The parser's state between two pieces of the stream.
#[derive(Debug, Default)]
pub struct Sse {
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    event: Option<String>,
    /// The last byte was a CR, whose LF, if one follows, is part of the same line end.
    after_cr: bool,
    /// The first line is over, so a byte order mark can no longer come.
    begun: bool,
}

impl Sse {
    /// Takes a piece of the stream and appends the frames that it completes.
    ///
    /// # Errors
    /// [`FrameTooLong`]; the parser is of no use afterwards.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<Frame>) -> Result<(), FrameTooLong> {
        if mem::take(&mut self.after_cr) && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(at) = bytes.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            self.hold(&bytes[..at])?;
            out.extend(self.end_line());
            let rest = &bytes[at + 1..];
            self.after_cr = bytes[at] == b'\r' && rest.is_empty();
            bytes = if bytes[at] == b'\r' { rest.strip_prefix(b"\n").unwrap_or(rest) } else { rest };
        }
        self.hold(bytes)
    }

    /// The stream is over: gives what stood after the last blank line, which may be cut short.
    pub fn end(&mut self) -> Option<Frame> {
        if !self.line.is_empty() {
            // The line is not blank, so it completes no frame by itself.
            let _none = self.end_line();
        }
        self.dispatch()
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), FrameTooLong> {
        let held = self.line.len() + self.data.as_ref().map_or(0, Vec::len);
        if held + bytes.len() > MAX_FRAME {
            return Err(FrameTooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Frame> {
        let mut line = mem::take(&mut self.line);
        let first = !mem::replace(&mut self.begun, true);
        let text = if first { line.strip_prefix(BOM).unwrap_or(&line) } else { &line };
        let frame = if text.is_empty() { self.dispatch() } else { self.field(text) };
        line.clear();
        self.line = line;
        frame
    }

    fn field(&mut self, line: &[u8]) -> Option<Frame> {
        // No field begins with a brace: a gateway wrote its JSON error bare into the stream.
        let (name, value) = if line[0] == b'{' { (&b"data"[..], line) } else { split(line) };
        match name {
            b"data" => self.append(value),
            b"event" => self.event = Some(String::from_utf8_lossy(value).into_owned()),
            _ => {} // A comment, `id`, `retry`, or a field of a later format.
        }
        None
    }

    fn append(&mut self, value: &[u8]) {
        match &mut self.data {
            None => self.data = Some(value.to_vec()),
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
        }
    }

    fn dispatch(&mut self) -> Option<Frame> {
        let event = self.event.take();
        self.data.take().map(|data| Frame { event, data })
    }
}

/// Name and value of a line, without the one space that may follow the colon.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|b| *b == b':') {
        None => (line, b""),
        Some(at) => {
            let value = &line[at + 1..];
            (&line[..at], value.strip_prefix(b" ").unwrap_or(value))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
        let (mut sse, mut frames) = (Sse::default(), Vec::new());
        for piece in pieces {
            sse.feed(piece, &mut frames).unwrap();
        }
        frames.extend(sse.end());
        frames
    }

    fn data(text: &str) -> Frame {
        Frame { event: None, data: text.into() }
    }

    #[test]
    fn every_line_end_ends_a_line() {
        for end in ["\n", "\r\n", "\r"] {
            let wire = ["data: a", "data:b", "", "data: c", "", ""].join(end);
            assert_eq!(parse([wire.as_bytes()]), [data("a\nb"), data("c")], "with {end:?}");
        }
    }

    #[test]
    fn comments_other_fields_and_a_byte_order_mark_are_not_data() {
        let wire = "\u{feff}: ping\nid: 7\nretry: 10\ndata\ndata:  two spaces\n\n: ping\n\n";
        assert_eq!(parse([wire.as_bytes()]), [data("\n two spaces")]);
    }

    #[test]
    fn an_event_name_belongs_to_its_frame_only() {
        let error = Frame { event: Some("error".into()), data: b"x".to_vec() };
        assert_eq!(parse([&b"event: error\ndata: x\n\ndata: y\n\n"[..]]), [error, data("y")]);
        assert_eq!(parse([&b"event: lonely\n\ndata: y\n\n"[..]]), [data("y")]);
    }

    #[test]
    fn a_bare_object_counts_as_data_and_an_unended_frame_is_given_at_the_end() {
        assert_eq!(parse([&b"{\"error\":1}"[..]]), [data("{\"error\":1}")]);
        assert_eq!(parse([&b"data: a\n"[..]]), [data("a")]);
    }

    #[test]
    fn a_frame_that_never_ends_is_refused_not_stored() {
        let (mut sse, mut frames) = (Sse::default(), Vec::new());
        let piece = [b"data: ".as_slice(), &vec![b'x'; MAX_FRAME / 2], b"\n"].concat();
        assert_eq!(sse.feed(&piece, &mut frames), Ok(()));
        assert_eq!(sse.feed(&piece, &mut frames), Err(FrameTooLong));
        assert_eq!(frames, []);
    }

    fn wire() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            "data: ?[a-zé👋 :]{0,6}",
            Just("event: error".to_owned()),
            Just(": comment".to_owned()),
            Just(String::new()),
            "[ -~]{0,6}",
        ];
        let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
        let lines = prop::collection::vec((line, end), 0..12);
        (any::<bool>(), lines).prop_map(|(bom, lines)| {
            let start = if bom { BOM.to_vec() } else { Vec::new() };
            lines.into_iter().fold(start, |mut all, (line, end)| {
                all.extend(line.into_bytes());
                all.extend(end.bytes());
                all
            })
        })
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_frames(wire in wire(), cuts in prop::collection::vec(1..7usize, 1..9)) {
            let mut pieces = Vec::new();
            let (mut rest, mut cuts) = (wire.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, tail) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                pieces.push(piece);
                rest = tail;
            }
            prop_assert_eq!(parse(pieces), parse([wire.as_slice()]));
        }
    }
}
