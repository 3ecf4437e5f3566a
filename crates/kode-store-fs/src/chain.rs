//! The order of lines: which line may follow which, and what the lines after a bad one still tell.
//!
//! Pure: it folds lines into a [`Tip`]. It reads no file and repairs nothing.

use kode_core::id::{AgentId, Seq};
use kode_core::store::Head;

use crate::line::{self, Crc, Header, Line};

/// Where a chain of lines stands: behind one line, before the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tip {
    /// Where the journal ends here.
    pub head: Head,
    /// The checksum that the next line must name.
    pub crc: Crc,
}

/// Why a line does not go on from a tip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The file ends within the line.
    Torn,
    /// The line's bytes are not those that were written.
    Checksum,
    /// The line is whole, but it was written after another one than stands before it.
    Order,
    /// The line is whole and of a shape that only a later version knows.
    Shape,
}

impl Break {
    /// For a person.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Torn => "the line has no end",
            Self::Checksum => "the line's checksum does not hold",
            Self::Order => "the line does not follow the one before it",
            Self::Shape => "the line is of a shape that this version does not know",
        }
    }
}

/// The bytes between two newlines, and whether the second one is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk<'a> {
    /// Where it begins in its file.
    pub at: u64,
    /// Without the newline.
    pub bytes: &'a [u8],
    /// Whether a newline ends it.
    pub whole: bool,
}

impl<'a> Chunk<'a> {
    /// Where the next one begins.
    pub(crate) fn end(&self) -> u64 {
        self.at + self.bytes.len() as u64 + u64::from(self.whole)
    }

    /// The line, if the chunk is one by itself, wherever it belongs.
    pub(crate) fn line(&self) -> Result<Line<'a>, Break> {
        if !self.whole {
            return Err(Break::Torn);
        }
        line::read(self.bytes).map_err(|flaw| match flaw {
            line::Flaw::Checksum => Break::Checksum,
            line::Flaw::Shape if line::read_header(self.bytes).is_ok() => Break::Order,
            line::Flaw::Shape => Break::Shape,
        })
    }
}

impl Tip {
    /// Before the first line of all.
    pub(crate) fn first(agent: &AgentId) -> Self {
        Self { head: Head::default(), crc: Crc::of_agent(agent) }
    }

    /// Where a segment goes on from.
    pub(crate) fn before(header: &Header) -> Self {
        Self { head: header.after, crc: header.prev }
    }

    /// Behind a line that is whole by itself.
    pub(crate) fn behind(line: &Line<'_>) -> Self {
        Self { head: line.head, crc: line.link() }
    }

    /// The next line, if the chunk is it.
    pub(crate) fn follow<'a>(self, chunk: &Chunk<'a>) -> Result<Line<'a>, Break> {
        let line = chunk.line()?;
        let goes_on = line.head.seq > self.head.seq || (line.is_mark() && line.head == self.head);
        if line.prev == self.crc && goes_on { Ok(line) } else { Err(Break::Order) }
    }
}

/// The highest watermark that whole lines among these tell, in whatever order they stand. A line's checksum
/// is its own, so a line behind a bad one still bears witness: what it says was true when it was written.
pub(crate) fn claim(so_far: Seq, chunk: &Chunk<'_>) -> Seq {
    chunk.line().map_or(so_far, |line| so_far.max(line.synced))
}
