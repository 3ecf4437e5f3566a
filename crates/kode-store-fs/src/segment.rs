//! One segment of a journal: finding a place in it and walking its lines. It never writes.
//!
//! A place is found by bisecting the file's bytes: each line is whole by itself and says where the journal
//! ends with it, so no index is kept that could be wrong. What is read takes one buffer, whatever the length.

use std::io;

use kode_core::id::{AgentId, Seq};
use kode_core::store::{Head, StoreError, StoreResult};

use crate::chain::{self, Break, Chunk, Tip};
use crate::disk::Source;
use crate::error::{damaged, failed, incompatible};
use crate::line::{self, Crc, FORMAT, Header, Line};

/// How much is read at once by who reads on.
const BLOCK: usize = 64 << 10;
/// How much is read at once by who looks for one line.
const PROBE: usize = 4 << 10;

/// The name of a segment's file.
pub(crate) fn file_name(segment: u32) -> String {
    format!("journal-{segment}.jsonl")
}

/// The number in a segment's file name.
pub(crate) fn number(file_name: &str) -> Option<u32> {
    let digits = file_name.strip_prefix("journal-")?.strip_suffix(".jsonl")?;
    digits.parse().ok().filter(|number| self::file_name(*number) == file_name)
}

/// A segment as it was when it was opened.
pub(crate) struct Segment<S> {
    source: S,
    /// What its first line says.
    pub header: Header,
    first: u64,
    end: u64,
}

/// A place between two lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where the next line begins.
    pub at: u64,
    /// What stands before it.
    pub tip: Tip,
}

impl Place {
    /// Behind a line that begins at `chunk`.
    pub(crate) fn behind(chunk: &Chunk<'_>, line: &Line<'_>) -> Self {
        Self { at: chunk.end(), tip: Tip::behind(line) }
    }
}

impl<S: Source> Segment<S> {
    /// Reads the header. What is appended later is not seen.
    pub(crate) fn open(source: S, agent: &AgentId, number: u32) -> StoreResult<Self> {
        let end = source.len().map_err(failed("reading a journal"))?;
        let mut lines = Lines { block: PROBE, ..Lines::new(&source, 0, end) };
        let chunk = lines.next().map_err(failed("reading a journal"))?;
        let (header, first) = header(chunk, agent, number)?;
        Ok(Self { source, header, first, end })
    }

    /// Before the first line.
    pub(crate) fn start(&self) -> Place {
        Place { at: self.first, tip: Tip::before(&self.header) }
    }

    /// How long the segment was when it was opened.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The file itself.
    pub(crate) fn into_source(self) -> S {
        self.source
    }

    /// The bytes between two places.
    pub(crate) fn bytes(&self, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(to - from).map_err(|_| io::ErrorKind::FileTooLarge)?];
        match self.source.read_at(&mut bytes, from)? {
            some if some == bytes.len() => Ok(bytes),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Raw lines from a place on, to be told by [`Tip::follow`] whether they are good.
    pub(crate) fn lines(&self, from: u64) -> Lines<'_, S> {
        Lines::new(&self.source, from, self.end)
    }

    /// The last place of which `before` holds, as far as whole lines tell; `before` must hold up to some place
    /// and not from there on. The lines before the place are not looked at; the ones behind it link to it.
    pub(crate) fn seek(&self, before: impl Fn(&Head) -> bool) -> io::Result<Place> {
        // No whole line that begins at `high` or behind it is wanted.
        let (mut low, mut high) = (self.start(), self.end);
        while low.at + 4 * (PROBE as u64) < high {
            let middle = low.at + (high - low.at) / 2;
            match self.whole_line_between(middle, high)? {
                // It may end behind `high`, where none begins behind its middle.
                Some((_, place)) if before(&place.tip.head) => low = place,
                Some((at, _)) => high = at,
                None => high = middle + 1,
            }
        }
        self.seek_linear(low, high, before)
    }

    fn seek_linear(&self, mut place: Place, high: u64, before: impl Fn(&Head) -> bool) -> io::Result<Place> {
        let mut lines = Lines { block: PROBE, ..self.lines(place.at) };
        while place.at < high
            && let Some(chunk) = lines.next()?
        {
            match place.tip.follow(&chunk) {
                Ok(line) if before(&line.head) => place = Place::behind(&chunk, &line),
                Ok(_) | Err(_) => break,
            }
        }
        Ok(place)
    }

    /// The first line that is whole by itself and begins behind `from` and before `to`: where it begins, and the
    /// place behind it.
    fn whole_line_between(&self, from: u64, to: u64) -> io::Result<Option<(u64, Place)>> {
        let mut lines = Lines { block: PROBE, ..self.lines(from) };
        // Up to the first newline lies the rest of a line that began before.
        lines.pass_newline(to)?;
        // The line that begins there may be a long one, and is not read for nothing.
        while lines.at < to
            && let Some(chunk) = lines.next()?
        {
            if let Ok(line) = chunk.line() {
                return Ok(Some((chunk.at, Place::behind(&chunk, &line))));
            }
        }
        Ok(None)
    }

    /// The highest watermark that the segment tells: that of its last whole line, since they never fall.
    pub(crate) fn watermark(&self) -> io::Result<Seq> {
        // Asked for at every look, and mostly told by the very last line.
        let mut window = PROBE as u64;
        loop {
            let from = self.end.saturating_sub(window).max(self.first);
            let told = self.claim_between(from)?;
            if told > Seq::ZERO || from == self.first {
                return Ok(told.max(self.header.synced));
            }
            window *= 4;
        }
    }

    fn claim_between(&self, from: u64) -> io::Result<Seq> {
        let mut lines = self.lines(from);
        let mut told = Seq::ZERO;
        while let Some(chunk) = lines.next()? {
            told = chain::claim(told, &chunk);
        }
        Ok(told)
    }
}

/// The header in a segment's first line, and where the next line begins.
fn header(chunk: Option<Chunk<'_>>, agent: &AgentId, number: u32) -> StoreResult<(Header, u64)> {
    let file = file_name(number);
    let bad = |what: &str| damaged(agent, &file, 0, what);
    let chunk = chunk.filter(|chunk| chunk.whole).ok_or_else(|| bad("the segment has no header"))?;
    let header = match line::read_header(chunk.bytes) {
        Ok(header) => header,
        Err(line::Flaw::Shape) if chunk.line().is_ok() => {
            return Err(bad("another line stands in the header's place"));
        }
        Err(line::Flaw::Checksum) => return Err(bad("the header's checksum does not hold")),
        Err(line::Flaw::Shape) => {
            return Err(incompatible(&format!("{agent}/{file}"), "the header is of a later version"));
        }
    };
    if header.format > FORMAT {
        let what = format!("its format is {}, this version reads up to {FORMAT}", header.format);
        return Err(incompatible(&format!("{agent}/{file}"), &what));
    }
    if &header.agent != agent || header.segment != number {
        return Err(bad(&format!("the segment is number {} of {}", header.segment, header.agent)));
    }
    if number == 1 && header.prev != Crc::of_agent(agent) {
        return Err(bad("the first segment does not begin the agent's chain"));
    }
    Ok((header, chunk.end()))
}

/// The error of a break that is no torn tail.
pub(crate) fn damage(agent: &AgentId, number: u32, at: u64, broken: Option<Break>) -> StoreError {
    let file = file_name(number);
    match broken {
        Some(Break::Shape) => incompatible(&format!("{agent}/{file}, byte {at}"), Break::Shape.what()),
        Some(other) => damaged(agent, &file, at, other.what()),
        None => damaged(agent, &file, at, "the file ends here, and lines that were on the disk are gone"),
    }
}

/// The chunks of a file, one after the other, through one buffer.
pub(crate) struct Lines<'s, S> {
    source: &'s S,
    buffer: Vec<u8>,
    /// The first byte of the buffer that was not told yet, and where it is in the file.
    told: usize,
    at: u64,
    end: u64,
    block: usize,
}

impl<'s, S: Source> Lines<'s, S> {
    fn new(source: &'s S, at: u64, end: u64) -> Self {
        Self { source, buffer: Vec::new(), told: 0, at, end, block: BLOCK }
    }

    /// The next chunk; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Chunk<'_>>> {
        let mut searched = self.told;
        let newline = loop {
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                break Some(searched + found);
            }
            searched = self.buffer.len() - self.told;
            if !self.fill()? {
                break None;
            }
        };
        let (from, at) = (self.told, self.at);
        let to = newline.unwrap_or(self.buffer.len());
        self.told = newline.map_or(to, |newline| newline + 1);
        self.at += (self.told - from) as u64;
        let chunk = Chunk { at, bytes: &self.buffer[from..to], whole: newline.is_some() };
        Ok((self.told > from).then_some(chunk))
    }

    /// Goes on behind the next newline, or to about `to` if none comes before. Nothing of what is passed is kept, and it is
    /// read in larger and larger blocks: it may be a line of megabytes.
    fn pass_newline(&mut self, to: u64) -> io::Result<()> {
        let block = self.block;
        while self.at < to && self.fill()? {
            let newline = memchr::memchr(b'\n', &self.buffer);
            self.told = newline.map_or(self.buffer.len(), |newline| newline + 1);
            self.at += self.told as u64;
            if newline.is_some() {
                break;
            }
            self.block = BLOCK.min(self.block * 2);
        }
        self.block = block;
        Ok(())
    }

    /// Reads on, with what is not told yet at the front. False at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let kept = self.buffer.len() - self.told;
        let left = self.end.saturating_sub(self.at + kept as u64);
        let wanted = left.min(self.block.max(kept) as u64) as usize;
        let mut buffer = vec![0; kept + wanted];
        buffer[..kept].copy_from_slice(&self.buffer[self.told..]);
        (self.buffer, self.told) = (buffer, 0);
        let read = self.source.read_at(&mut self.buffer[kept..], self.at + kept as u64)?;
        self.buffer.truncate(kept + read);
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use kode_core::id::{Cursor, Epoch};
    use serde_json::value::to_raw_value;

    use super::*;

    /// A segment with a line for each of these lengths, and the places between them.
    fn segment(lengths: impl Iterator<Item = usize>) -> (Segment<Vec<u8>>, Vec<Place>) {
        let agent = AgentId::new("a").unwrap();
        let header = Header::first(&agent, Seq::ZERO);
        let mut bytes = line::write_header(&header);
        let mut places = vec![Place { at: bytes.len() as u64, tip: Tip::before(&header) }];
        for (seq, length) in (1..).map(Seq).zip(lengths) {
            let head = Head { seq, epoch: Epoch(1), cursor: Cursor(seq.0) };
            let entries = to_raw_value(&["x".repeat(length)]).unwrap();
            let (line, crc) = line::write(places.last().unwrap().tip.crc, Seq::ZERO, head, &entries);
            bytes.extend(line);
            places.push(Place { at: bytes.len() as u64, tip: Tip { head, crc } });
        }
        (Segment::open(bytes, &agent, 1).unwrap(), places)
    }

    #[test]
    fn every_place_is_found_among_lines_of_all_lengths() {
        let lengths = [1, 200_000, 30, 30, 5_000, 70_000, 4_000, 1, 1, 1_000_000, 300, 9_000, 20_000, 2];
        for turned in 0..lengths.len() {
            let (segment, places) = segment(lengths.iter().cycle().skip(turned).take(40).copied());
            for place in &places {
                assert_eq!(segment.seek(|head| head.seq <= place.tip.head.seq).unwrap(), *place);
            }
        }
    }
}
