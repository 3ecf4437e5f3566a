//! `fs_grep`: lines by a pattern of their text.
//!
//! Patterns take time linear in the text, whatever they are; the search itself runs off the executor, file
//! by file, and stops between two files when the call is no longer wanted.

use async_trait::async_trait;
use grep_matcher::Matcher;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{Searcher, SearcherBuilder, Sink, SinkMatch};
use kode_core::sandbox::{FileError, FileKind, WalkOptions};
use kode_core::tool::{RESULTS, ToolCx, ToolError, ToolTraits, TypedTool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::of_file;
use crate::offload::offload;
use crate::result::kept;
use crate::text::{is_binary, told};

/// Largest file that is searched, in bytes (32 MiB): larger than what `fs_read` takes, which sends here.
const FILE_MAX: u64 = 32 * 1024 * 1024;
/// Most bytes that are searched in one call (256 MiB).
const TOTAL_MAX: usize = 256 * 1024 * 1024;
/// Most files and directories that are looked at.
const LOOKED_AT: usize = 50_000;
/// Most bytes of matches in a result.
const OUTPUT_MAX: usize = 48 * 1024;
/// What a match takes beside its path and text: the fields' names and numbers.
const HIT_FRAME: usize = 64;
/// Most bytes of a line that are shown.
const TEXT_MAX: usize = 400;
/// How much of a cut line is shown before the match, in bytes.
const TEXT_BEFORE: usize = 100;
/// Most memory of a compiled pattern, in bytes.
const PATTERN_MAX: usize = 10 * 1024 * 1024;

/// Searches files.
#[derive(Debug, Clone, Copy)]
pub struct FsGrep;

/// What to search.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The text to look for, within one line.
    pattern: String,
    /// The file or directory to search, relative to the work directory, . for all of it; or @result/CALL.
    path: String,
    /// Take the pattern as a regular expression and not literally.
    #[serde(default)]
    regex: bool,
    /// Tell capital and small letters apart.
    #[serde(default = "yes")]
    case_sensitive: bool,
    /// How many matches to return at most.
    #[serde(default = "some")]
    #[schemars(range(min = 1))]
    max_results: u32,
}

fn yes() -> bool {
    true
}

fn some() -> u32 {
    200
}

/// One match.
#[derive(Debug, Serialize)]
struct Hit {
    path: String,
    /// From 1.
    line: u64,
    /// From 1, in characters.
    column: usize,
    text: String,
}

#[async_trait]
impl TypedTool for FsGrep {
    type Args = Args;
    const NAME: &'static str = "fs_grep";
    const DESCRIPTION: &'static str = "Search files for text. Returns every match with its path, line, \
        column and the line's text. In a directory, hidden files, binary files and files that .gitignore \
        names are passed over; name one to search it all the same.";
    const TRAITS: ToolTraits = ToolTraits { readonly: true, replayable: true, ..ToolTraits::NONE };

    async fn run(&self, cx: &ToolCx, args: Args) -> Result<Value, ToolError> {
        let matcher = compile(&args)?;
        let search = Search::new(matcher, args.max_results.max(1) as usize);
        if let Some(call) = args.path.strip_prefix(RESULTS) {
            let text = kept(cx, call).await?;
            return Ok(search.text(cx, args.path, text).await?.into_value());
        }
        let search = match cx.workspace.walk(&args.path, WalkOptions::default(), LOOKED_AT).await {
            Ok((entries, more)) => {
                let files = entries.into_iter().filter(|entry| entry.stat.kind == FileKind::File);
                search.files(cx, files.map(|entry| entry.path), more).await?
            }
            Err(FileError::WrongKind { .. }) => search.file(cx, args.path).await?,
            Err(e) => return Err(of_file(e)),
        };
        Ok(search.into_value())
    }
}

fn compile(args: &Args) -> Result<RegexMatcher, ToolError> {
    if args.pattern.is_empty() {
        return Err(bad_pattern("the pattern is empty", "say what to look for"));
    }
    if args.pattern.contains('\n') {
        let hint = "search for one of the lines, then read around it with fs_read";
        return Err(bad_pattern("the pattern has a line end in it", hint));
    }
    RegexMatcherBuilder::new()
        .fixed_strings(!args.regex)
        .case_insensitive(!args.case_sensitive)
        .multi_line(true)
        .line_terminator(Some(b'\n'))
        .size_limit(PATTERN_MAX)
        .dfa_size_limit(PATTERN_MAX)
        .build(&args.pattern)
        .map_err(|e| bad_pattern(&e.to_string(), "mend the expression, or set regex to false"))
}

fn bad_pattern(message: &str, hint: &str) -> ToolError {
    ToolError::new("bad_pattern", message).hint(hint)
}

/// A search under way. It goes to another thread with each file and comes back.
struct Search {
    matcher: RegexMatcher,
    searcher: Searcher,
    hits: Vec<Hit>,
    /// How many more matches, bytes of result, and bytes of files there may be.
    matches_left: usize,
    output_left: usize,
    bytes_left: usize,
    /// Files that could not be searched.
    skipped: usize,
    truncated: bool,
}

impl Search {
    fn new(matcher: RegexMatcher, max_results: usize) -> Self {
        Self {
            matcher,
            searcher: SearcherBuilder::new().line_number(true).build(),
            hits: Vec::new(),
            matches_left: max_results,
            output_left: OUTPUT_MAX,
            bytes_left: TOTAL_MAX,
            skipped: 0,
            truncated: false,
        }
    }

    /// Searches one file that was named: what is wrong with it is an error.
    async fn file(mut self, cx: &ToolCx, path: String) -> Result<Self, ToolError> {
        let bytes = cx.workspace.read(&path, FILE_MAX).await.map_err(of_file)?;
        if is_binary(&bytes) {
            return Err(ToolError::new("binary", format!("{path} is a binary file"))
                .hint("only text files can be searched"));
        }
        self = offload(cx, move || self.bytes(&path, &bytes)).await?;
        Ok(self)
    }

    /// Searches what is no file, under the path that stands for it.
    async fn text(mut self, cx: &ToolCx, path: String, text: String) -> Result<Self, ToolError> {
        self = offload(cx, move || self.bytes(&path, text.as_bytes())).await?;
        Ok(self)
    }

    /// Searches many: what cannot be searched is counted.
    async fn files(
        mut self,
        cx: &ToolCx,
        paths: impl Iterator<Item = String> + Send,
        more: bool,
    ) -> Result<Self, ToolError> {
        self.truncated = more;
        for path in paths {
            if self.is_full() || cx.cancel.is_cancelled() {
                self.truncated = true;
                break;
            }
            match cx.workspace.read(&path, FILE_MAX).await {
                Ok(bytes) if !is_binary(&bytes) => {
                    self = offload(cx, move || self.bytes(&path, &bytes)).await?;
                }
                Ok(_) | Err(_) => self.skipped += 1,
            }
        }
        Ok(self)
    }

    fn is_full(&self) -> bool {
        self.truncated && (self.matches_left == 0 || self.output_left == 0) || self.bytes_left == 0
    }

    fn bytes(mut self, path: &str, bytes: &[u8]) -> Self {
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len());
        let (matcher, mut searcher) = (self.matcher.clone(), self.searcher.clone());
        let sink = FileSink { search: &mut self, path };
        if searcher.search_slice(matcher, bytes, sink).is_err() {
            self.skipped += 1;
        }
        self
    }

    /// Takes a match, or notes that there was one more than may be told.
    fn take(&mut self, hit: Hit) -> bool {
        let cost = told(&hit.path) + told(&hit.text) + HIT_FRAME;
        if self.matches_left == 0 || cost > self.output_left {
            self.truncated = true;
            self.output_left = 0;
            return false;
        }
        self.matches_left -= 1;
        self.output_left -= cost;
        self.hits.push(hit);
        true
    }

    fn into_value(self) -> Value {
        json!({ "matches": self.hits, "truncated": self.truncated, "skippedFiles": self.skipped })
    }
}

/// Collects the matches of one file.
struct FileSink<'a> {
    search: &'a mut Search,
    path: &'a str,
}

impl Sink for FileSink<'_> {
    type Error = std::io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, Self::Error> {
        let line = found.bytes().strip_suffix(b"\n").unwrap_or(found.bytes());
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let number = found.line_number().unwrap_or(0);
        let (matcher, mut counted, mut column, mut go_on) = (self.search.matcher.clone(), 0, 1, true);
        let mut first = true;
        matcher.find_iter(line, |at| {
            // A pattern that matches nothing at all would match between any two characters.
            if !at.is_empty() || first {
                column += chars(&line[counted..at.start()]);
                counted = at.start();
                let text = excerpt(line, at.start());
                go_on = self.search.take(Hit { path: self.path.into(), line: number, column, text });
            }
            first = false;
            go_on
        })?;
        Ok(go_on)
    }
}

/// Characters in bytes that are mostly UTF-8: what continues none is one.
fn chars(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| !is_continuation(**byte)).count()
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// The line, or of a long one the part around `at`, with dots where it is cut.
fn excerpt(line: &[u8], at: usize) -> String {
    if line.len() <= TEXT_MAX {
        return String::from_utf8_lossy(line).into_owned();
    }
    let start = boundary(line, at.saturating_sub(TEXT_BEFORE));
    let end = boundary(line, (start + TEXT_MAX).min(line.len()));
    let dots = |cut: bool| if cut { "…" } else { "" };
    let shown = String::from_utf8_lossy(&line[start..end]);
    format!("{}{shown}{}", dots(start > 0), dots(end < line.len()))
}

/// The next place that is not within a character.
fn boundary(line: &[u8], from: usize) -> usize {
    (from..line.len()).find(|at| !is_continuation(line[*at])).unwrap_or(line.len())
}
