//! One frame's data cut into what it holds: normally one chunk, sometimes several spliced together.

use kode_core::model::{ErrorClass, ModelError};
use serde_json::Value;

use super::chunk::Chunk;
use crate::classify;

/// One thing found in a frame.
#[derive(Debug)]
pub(super) enum Piece {
    /// A part of the answer.
    Chunk(Box<Chunk>),
    /// `[DONE]`: the provider has said all.
    Done,
}

const DONE: &[u8] = b"[DONE]";

/// Takes the next piece off `rest`. A lost line end leaves two frames in one line, with or without the
/// second one's `data:`.
///
/// # Errors
/// The failure that the piece tells of; [`ErrorClass::MalformedChunk`] where it is not a chunk's JSON.
pub(super) fn next(rest: &mut &[u8]) -> Option<Result<Piece, ModelError>> {
    *rest = skip(rest);
    if rest.is_empty() {
        return None;
    }
    if let Some(after) = rest.strip_prefix(DONE) {
        *rest = after;
        return Some(Ok(Piece::Done));
    }
    Some(json(rest))
}

fn skip(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = rest.trim_ascii_start();
        match rest.strip_prefix(b"data:") {
            Some(after) => rest = after,
            None => return rest,
        }
    }
}

fn json(rest: &mut &[u8]) -> Result<Piece, ModelError> {
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Chunk>();
    let chunk = match values.next() {
        Some(Ok(chunk)) => chunk,
        Some(Err(e)) => return Err(malformed(&e)),
        None => {
            return Err(ModelError::retryable(ErrorClass::MalformedChunk, "a frame of the stream is empty"));
        }
    };
    let (raw, after) = rest.split_at(values.byte_offset());
    *rest = after;
    if chunk.is_error() {
        // Read a second time, as a plain value: errors are rare and have many shapes.
        let body: Value = serde_json::from_slice(raw).map_err(|e| malformed(&e))?;
        return Err(classify::in_band(&body));
    }
    Ok(Piece::Chunk(Box::new(chunk)))
}

/// The serde message is left out: it may quote the answer.
fn malformed(e: &serde_json::Error) -> ModelError {
    let message = format!("a frame of the stream is not the JSON of a chunk ({:?} error)", e.classify());
    ModelError::retryable(ErrorClass::MalformedChunk, message)
}
