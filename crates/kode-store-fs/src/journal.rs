//! A journal as its readers see it: segments one after the other, and where they end. It never writes.
//!
//! Where a journal ends is decided in one place, [`Journal::survey`]: what is not whole and not known to have
//! been on the disk is a torn tail and does not count; what was on the disk and is not whole is damage.

use std::io;

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Seq};
use kode_core::store::{After, Head, StoreError, StoreResult};

use crate::chain::{Break, Chunk, Tip};
use crate::disk::{Access, Disk, DiskFile, Source};
use crate::error::{damaged, failed, found, incompatible};
use crate::line::{self, Line};
use crate::segment::{self, Place, Segment};

/// The segments of one agent, in order, as they were when they were opened.
pub(crate) struct Journal<S> {
    agent: AgentId,
    segments: Vec<Segment<S>>,
}

/// Where a journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Up to here, in the last segment, everything is known to be on the disk.
    pub safe: Place,
    /// The end of the last good line, in the last segment. What lies behind is a torn tail.
    pub whole: Place,
}

impl Journal<Box<dyn DiskFile>> {
    /// Opens the journal in a directory; `None` where there is none.
    pub(crate) fn find(disk: &dyn Disk, agent: &AgentId, access: Access) -> StoreResult<Option<Self>> {
        let opened = found(open_files(disk, agent, access)).map_err(failed("opening a journal"))?;
        opened.filter(|files| !files.is_empty()).map(|files| Self::of(agent, files)).transpose()
    }

    /// The same as far as segments follow on each other and have a good header; `None` if the first has none.
    ///
    /// # Errors
    /// `Incompatible`, `Unavailable`.
    pub(crate) fn find_good(disk: &dyn Disk, agent: &AgentId) -> StoreResult<Option<Self>> {
        let opened = found(open_files(disk, agent, Access::Read)).map_err(failed("opening a journal"))?;
        let mut segments = Vec::new();
        for (expected, (number, source)) in (1..).zip(opened.unwrap_or_default()) {
            match Segment::open(source, agent, number) {
                Ok(segment) if number == expected => segments.push(segment),
                Ok(_) | Err(StoreError::Damaged(_)) => break,
                Err(other) => return Err(other),
            }
        }
        Ok((!segments.is_empty()).then(|| Self { agent: agent.clone(), segments }))
    }
}

/// Every segment's file. `NotFound` also where the agent is deleted between two of them.
pub(crate) fn open_files(
    disk: &dyn Disk,
    agent: &AgentId,
    access: Access,
) -> io::Result<Vec<(u32, Box<dyn DiskFile>)>> {
    let mut numbers = Vec::new();
    disk.each_name(agent.as_str(), &mut |name| numbers.extend(segment::number(name)))?;
    numbers.sort_unstable();
    let path = |number| format!("{agent}/{}", segment::file_name(number));
    numbers.into_iter().map(|number| Ok((number, disk.open(&path(number), access)?))).collect()
}

impl<S: Source> Journal<S> {
    /// A journal of these segments, in the order of their numbers; at least one.
    pub(crate) fn of(agent: &AgentId, files: Vec<(u32, S)>) -> StoreResult<Self> {
        let mut segments = Vec::with_capacity(files.len());
        for (expected, (number, source)) in (1..).zip(files) {
            if number != expected {
                let file = segment::file_name(expected);
                return Err(damaged(agent, &file, 0, "the segment is missing, and later ones are there"));
            }
            segments.push(Segment::open(source, agent, number)?);
        }
        Ok(Self { agent: agent.clone(), segments })
    }

    /// One segment.
    pub(crate) fn segment(&self, index: usize) -> &Segment<S> {
        &self.segments[index]
    }

    /// All segments.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Segment<S>> {
        self.segments.iter()
    }

    /// In which segment, and where in it, the last good line ends, whatever the watermarks say.
    ///
    /// # Errors
    /// `Incompatible` at a line that only a later version knows; `Unavailable`.
    pub(crate) fn good(&self) -> StoreResult<(usize, Place)> {
        let (mut index, mut place) = (0, self.segments[0].start());
        loop {
            let next = self.segments.get(index + 1);
            place = self.good_lines(index, place, next.map(|next| next.header.after.seq))?;
            match next.filter(|next| next.start().tip == place.tip) {
                Some(next) => (index, place) = (index + 1, next.start()),
                None => return Ok((index, place)),
            }
        }
    }

    fn good_lines(&self, index: usize, mut place: Place, until: Option<Seq>) -> StoreResult<Place> {
        let segment = &self.segments[index];
        let mut lines = segment.lines(place.at);
        while until.is_none_or(|until| place.tip.head.seq < until) {
            let Some(chunk) = lines.next().map_err(failed("reading a journal"))? else { break };
            let line = match place.tip.follow(&chunk) {
                Ok(line) => line,
                Err(Break::Shape) => {
                    let number = segment.header.segment;
                    return Err(segment::damage(&self.agent, number, chunk.at, Some(Break::Shape)));
                }
                Err(Break::Torn | Break::Checksum | Break::Order) => break,
            };
            match self.entries(segment.header.segment, &chunk, &line, place.tip.head) {
                Ok(_) => place = Place::behind(&chunk, &line),
                Err(StoreError::Damaged(_)) => break,
                Err(other) => return Err(other),
            }
        }
        Ok(place)
    }

    /// The segment that is written to.
    pub(crate) fn last(&self) -> &Segment<S> {
        self.segments.last().expect("a journal has a segment")
    }

    /// Each segment with the seq at which the next one takes over, if there is one.
    pub(crate) fn closed(&self) -> impl Iterator<Item = (&Segment<S>, Head)> {
        self.segments.iter().zip(&self.segments[1..]).map(|(segment, next)| (segment, next.header.after))
    }

    /// The segment that is written to, alone.
    pub(crate) fn into_last(mut self) -> Segment<S> {
        self.segments.pop().expect("a journal has a segment")
    }

    /// The number of the segment that is written to.
    pub(crate) fn last_number(&self) -> u32 {
        self.last().header.segment
    }

    /// Where the journal ends. `covered`: what a checkpoint says was on the disk.
    ///
    /// It looks at the tail alone, from the last watermark on: damage before that is met by whoever reads it.
    ///
    /// # Errors
    /// `Damaged` if a watermark lies beyond the last good line.
    pub(crate) fn survey(&self, covered: Seq) -> StoreResult<Survey> {
        let last = self.last();
        let told = last.watermark().map_err(failed("reading a journal"))?;
        let watermark = told.max(covered);
        let safe = last.seek(|head| head.seq <= watermark).map_err(failed("reading a journal"))?;
        let (whole, broken) = walk(last, safe).map_err(failed("reading a journal"))?;
        // A line that only a later version knows is no torn one, wherever it stands.
        if whole.tip.head.seq < watermark || broken == Some(Break::Shape) {
            return Err(segment::damage(&self.agent, self.last_number(), whole.at, broken));
        }
        Ok(Survey { safe, whole })
    }

    /// From a place in the segment that is written to, where its good lines end, whatever the watermarks say, and what
    /// stopped them.
    pub(crate) fn walk_last(&self, from: Place) -> io::Result<(Place, Option<Break>)> {
        walk(self.last(), from)
    }

    /// At most `limit` entries after a place and up to `head`, which is known to be there.
    ///
    /// # Errors
    /// `Damaged` where the lines do not lead to `head`.
    pub(crate) fn read(&self, after: After, head: Seq, limit: usize) -> StoreResult<Vec<Entry>> {
        let first = self.segments.iter().rposition(|s| precedes(after, &s.header.after)).unwrap_or(0);
        let mut page = Page { after, head, limit, entries: Vec::new() };
        let mut place =
            self.segments[first].seek(|head| precedes(after, head)).map_err(failed("reading a journal"))?;
        for index in first..self.segments.len() {
            let tip = self.read_segment(index, place, &mut page)?;
            let Some(next) = self.segments.get(index + 1).filter(|_| !page.is_full(tip.head)) else { break };
            place = next.start();
            if place.tip != tip {
                let what = "the segment does not go on from the one before it";
                return Err(damaged(&self.agent, &segment::file_name(next.header.segment), 0, what));
            }
        }
        Ok(page.entries)
    }

    /// Reads one segment up to where the next one takes over; what it has beyond is void.
    fn read_segment(&self, index: usize, mut place: Place, page: &mut Page) -> StoreResult<Tip> {
        let segment = &self.segments[index];
        let until = self.segments.get(index + 1).map_or(page.head, |next| next.header.after.seq);
        let mut lines = segment.lines(place.at);
        while place.tip.head.seq < until && !page.is_full(place.tip.head) {
            let number = segment.header.segment;
            let chunk = lines.next().map_err(failed("reading a journal"))?;
            let chunk = chunk.ok_or_else(|| segment::damage(&self.agent, number, place.at, None))?;
            let line = place.tip.follow(&chunk);
            let line = line.map_err(|b| segment::damage(&self.agent, number, chunk.at, Some(b)))?;
            let entries = self.entries(number, &chunk, &line, place.tip.head)?;
            page.take(entries);
            place = Place::behind(&chunk, &line);
        }
        Ok(place.tip)
    }

    fn entries(
        &self,
        number: u32,
        chunk: &Chunk<'_>,
        line: &Line<'_>,
        before: Head,
    ) -> StoreResult<Vec<Entry>> {
        let file = segment::file_name(number);
        let Ok(entries) = line::entries(line.entries) else {
            let place = format!("{}/{file}, byte {}", self.agent, chunk.at);
            return Err(incompatible(&place, "the line is whole, but its entries are of a later version"));
        };
        let wrong =
            || damaged(&self.agent, &file, chunk.at, "the line's entries are not those that it names");
        let gapless = is_gapless(entries.iter().map(|e| e.seq), before.seq, line);
        gapless.then_some(entries).ok_or_else(wrong)
    }
}

/// Whether entries lead from a seq to the line's head, those that stand for a range counted for all of it.
fn is_gapless(seqs: impl Iterator<Item = Seq>, before: Seq, line: &Line<'_>) -> bool {
    let from = |seq: Seq| line.elided.iter().find(|(_, to)| *to == seq).map_or(seq, |(from, _)| *from);
    let end = seqs.into_iter().try_fold(before, |end, seq| (from(seq) == end.next()).then_some(seq));
    end == Some(line.head.seq)
}

/// Whether all events and entries up to a head come before what is asked for.
fn precedes(after: After, head: &Head) -> bool {
    match after {
        After::Seq(seq) => head.seq <= seq,
        After::Cursor(cursor) => head.cursor <= cursor,
    }
}

/// The good lines of a segment from a place on, and what stopped them, if anything did.
fn walk<S: Source>(segment: &Segment<S>, mut place: Place) -> io::Result<(Place, Option<Break>)> {
    let mut lines = segment.lines(place.at);
    while let Some(chunk) = lines.next()? {
        match place.tip.follow(&chunk) {
            Ok(line) => place = Place::behind(&chunk, &line),
            Err(broken) => return Ok((place, Some(broken))),
        }
    }
    Ok((place, None))
}

/// What a read gathers.
struct Page {
    after: After,
    head: Seq,
    limit: usize,
    entries: Vec<Entry>,
}

impl Page {
    fn is_full(&self, read: Head) -> bool {
        self.entries.len() >= self.limit || read.seq >= self.head
    }

    fn take(&mut self, entries: Vec<Entry>) {
        let room = self.limit - self.entries.len();
        let mut begun = !self.entries.is_empty();
        let (after, head) = (self.after, self.head);
        let wanted = entries.into_iter().filter(|entry| {
            begun = begun || begins(after, entry);
            begun && entry.seq <= head
        });
        self.entries.extend(wanted.take(room));
    }
}

/// Whether an entry is the first that is asked for.
fn begins(after: After, entry: &Entry) -> bool {
    match after {
        After::Seq(seq) => entry.seq > seq,
        After::Cursor(cursor) => entry.events > 0 && entry.last_cursor() > cursor,
    }
}
