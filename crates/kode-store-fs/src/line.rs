//! One line of a file of this store: a readable JSON object whose first member is the checksum of the rest.
//!
//! Pure: bytes in, values out. It knows no file and no order of lines; that is [`crate::chain`]'s.

use kode_core::fact::Entry;
use kode_core::id::{AgentId, Cursor, Epoch, Seq};
use kode_core::store::Head;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// The format of journals that this version writes. It reads this one and every lower one. Format 2 has lines
/// that stand for others.
pub(crate) const FORMAT: u32 = 2;

/// How each line begins; eight digits of its checksum follow.
pub(crate) const OPENING: &[u8] = br#"{"crc":""#;
/// Up to and with the checksum's closing quote. The checksum is over all that follows, without the newline.
const SEALED_FROM: usize = OPENING.len() + 9;

/// A CRC32C. Written as eight lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crc(pub u32);

impl Crc {
    /// What the first segment of an agent begins its chain with, so that no line fits another agent.
    pub(crate) fn of_agent(agent: &AgentId) -> Self {
        Self(crc32c::crc32c(agent.as_str().as_bytes()))
    }

    fn hex(self) -> String {
        format!("{:08x}", self.0)
    }

    /// Only what [`Crc::hex`] writes, so that no other text means the same line.
    fn parse(hex: &[u8]) -> Option<Self> {
        let digit = |value: u32, b: &u8| match b {
            b'0'..=b'9' => Some(value << 4 | u32::from(b - b'0')),
            b'a'..=b'f' => Some(value << 4 | u32::from(b - b'a' + 10)),
            _ => None,
        };
        (hex.len() == 8).then(|| hex.iter().try_fold(0, digit).map(Self)).flatten()
    }
}

impl Serialize for Crc {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for Crc {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let hex = <&str>::deserialize(from)?;
        Self::parse(hex.as_bytes()).ok_or_else(|| D::Error::custom("a checksum has eight lowercase digits"))
    }
}

/// How a [`Head`] is written.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Head")]
struct HeadMembers {
    seq: Seq,
    epoch: Epoch,
    cursor: Cursor,
}

/// The first line of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The checksum of the line that the segment goes on from: also the `prev` of its first line.
    pub prev: Crc,
    /// The format of all lines of the segment.
    pub format: u32,
    /// Whose journal.
    pub agent: AgentId,
    /// The number in the file's name.
    pub segment: u32,
    /// Where the journal ended before this segment. What an older segment has beyond is void.
    #[serde(with = "HeadMembers")]
    pub after: Head,
    /// The last entry that was on the disk before the segment got its name.
    pub synced: Seq,
}

impl Header {
    /// Of a journal's first segment, which is made with its entries up to `synced`.
    pub(crate) fn first(agent: &AgentId, synced: Seq) -> Self {
        let (prev, agent) = (Crc::of_agent(agent), agent.clone());
        Self { prev, format: FORMAT, agent, segment: 1, after: Head::default(), synced }
    }
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Its own checksum.
    pub crc: Crc,
    /// The checksum of the line before.
    pub prev: Crc,
    /// Up to where its writer knew the journal to be on the disk.
    pub synced: Seq,
    /// Where the journal ends with this line.
    pub head: Head,
    /// For a line that stands for others: the checksum of the last of them, which the next line names.
    pub anchor: Option<Crc>,
    /// The ranges of seqs of which one entry each, the last, is left.
    pub elided: Vec<(Seq, Seq)>,
    /// The entries as written: a JSON array.
    pub entries: &'a [u8],
}

impl Line<'_> {
    /// The checksum that the next line must name.
    pub(crate) fn link(&self) -> Crc {
        self.anchor.unwrap_or(self.crc)
    }

    /// Whether the line only says what is on the disk: it has no entries and ends where the one before does.
    pub(crate) fn is_mark(&self) -> bool {
        self.entries == b"[]"
    }
}

/// What stands between a line's checksum and its entries, to be read.
#[derive(Deserialize)]
struct Place {
    prev: Crc,
    synced: Seq,
    #[serde(with = "HeadMembers")]
    head: Head,
    #[serde(default)]
    anchor: Option<Crc>,
    #[serde(default)]
    elided: Vec<(Seq, Seq)>,
}

/// A line's members after its checksum, as they are written.
#[derive(Serialize)]
struct Members<'a> {
    prev: Crc,
    synced: Seq,
    #[serde(with = "HeadMembers")]
    head: Head,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchor: Option<Crc>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    elided: &'a [(Seq, Seq)],
    entries: &'a RawValue,
}

/// Where the entries begin. They are the last member, so a line's place is found without reading them.
const ENTRIES: &[u8] = br#","entries":"#;

/// The entries of a batch as they stand in a line. Needs no place in the journal, so it is done outside of
/// every lock.
pub(crate) fn entries_json(entries: &[Entry]) -> Box<RawValue> {
    let json = serde_json::value::to_raw_value(entries);
    json.expect("entries have string keys and no failing serializer")
}

/// The entries of a line.
pub(crate) fn entries(json: &[u8]) -> serde_json::Result<Vec<Entry>> {
    // As text, whose letters are looked at once and not for every string anew.
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(json),
    }
}

/// One line with its newline, and its checksum.
pub(crate) fn write(prev: Crc, synced: Seq, head: Head, entries: &RawValue) -> (Vec<u8>, Crc) {
    seal(&Members { prev, synced, head, anchor: None, elided: &[], entries })
}

/// One line that stands for others, between `prev` and the last of them, `anchor`.
pub(crate) fn write_elided(
    prev: Crc,
    synced: Seq,
    head: Head,
    anchor: Crc,
    elided: &[(Seq, Seq)],
    entries: &RawValue,
) -> Vec<u8> {
    seal(&Members { prev, synced, head, anchor: Some(anchor), elided, entries }).0
}

/// One header with its newline.
pub(crate) fn write_header(header: &Header) -> Vec<u8> {
    seal(header).0
}

/// Reads a header without its newline.
pub(crate) fn read_header(line: &[u8]) -> Result<Header, Flaw> {
    unseal(line).map(|(_, header)| header)
}

/// Why a line is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Its bytes are not those that were written.
    Checksum,
    /// It is as written, but not of a shape that this version knows.
    Shape,
}

/// Reads a line without its newline.
pub(crate) fn read(line: &[u8]) -> Result<Line<'_>, Flaw> {
    let crc = verify(line).ok_or(Flaw::Checksum)?;
    let (place, entries) = split(line).ok_or(Flaw::Shape)?;
    let Place { prev, synced, head, anchor, elided } = place;
    Ok(Line { crc, prev, synced, head, anchor, elided, entries })
}

fn split(line: &[u8]) -> Option<(Place, &[u8])> {
    let at = memchr::memmem::find(line, ENTRIES)?;
    let entries = line[at + ENTRIES.len()..].strip_suffix(b"}")?;
    let place = [&line[..at], b"}"].concat();
    Some((serde_json::from_slice(&place).ok()?, entries))
}

/// A JSON object as a line that begins with its checksum; with a newline.
pub(crate) fn seal<T: Serialize>(members: &T) -> (Vec<u8>, Crc) {
    let mut line = Vec::with_capacity(256);
    line.extend_from_slice(OPENING);
    line.extend_from_slice(b"00000000\"");
    serde_json::to_writer(&mut line, members).expect("members have string keys and no failing serializer");
    // The object's own brace becomes the comma after the checksum.
    line[SEALED_FROM] = b',';
    let crc = Crc(crc32c::crc32c(&line[SEALED_FROM..]));
    line[OPENING.len()..SEALED_FROM - 1].copy_from_slice(crc.hex().as_bytes());
    line.push(b'\n');
    (line, crc)
}

/// The members of a sealed line (without its newline), if its checksum holds.
pub(crate) fn unseal<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<(Crc, T), Flaw> {
    let crc = verify(line).ok_or(Flaw::Checksum)?;
    // Members that this version does not know, the checksum among them, are passed over.
    let members = serde_json::from_slice(line).map_err(|_| Flaw::Shape)?;
    Ok((crc, members))
}

fn verify(line: &[u8]) -> Option<Crc> {
    let (opening, rest) = line.split_at_checked(SEALED_FROM)?;
    let hex = opening.strip_prefix(OPENING)?.strip_suffix(b"\"")?;
    let crc = Crc::parse(hex)?;
    (crc32c::crc32c(rest) == crc.0).then_some(crc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> (Vec<u8>, Crc) {
        let head = Head { seq: Seq(3), epoch: Epoch(7), cursor: Cursor(117_440_513) };
        write(Crc(0xab), Seq(2), head, &entries_json(&[]))
    }

    #[test]
    fn a_line_is_one_readable_object_with_its_checksum_first() {
        let (bytes, _) = line();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            concat!(
                r#"{"crc":"d327325f","prev":"000000ab","synced":2,"#,
                r#""head":{"seq":3,"epoch":7,"cursor":117440513},"entries":[]}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_line_reads_back_and_no_changed_byte_does() {
        let (mut bytes, crc) = line();
        bytes.pop();
        assert_eq!(read(&bytes).unwrap().crc, crc);
        for at in 0..bytes.len() {
            for flip in [0x01, 0x20, 0x80] {
                bytes[at] ^= flip;
                assert_eq!(read(&bytes), Err(Flaw::Checksum), "byte {at}");
                bytes[at] ^= flip;
            }
        }
    }

    #[test]
    fn a_whole_line_of_an_unknown_shape_is_told_apart_from_a_broken_one() {
        let (bytes, _) = seal(&serde_json::json!({"later": true}));
        assert_eq!(read(bytes.trim_ascii_end()), Err(Flaw::Shape));
    }
}
