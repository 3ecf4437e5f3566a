//! The stream's meaning: bytes in, [`ModelEvent`]s out.
//!
//! No I/O, no time, no agent state. The rules are those that recorded traffic needs: see `fixtures/glm`.

mod answer;
mod calls;
mod chunk;
mod split;

use std::collections::VecDeque;
use std::mem;

use kode_core::model::{ErrorClass, ModelError, ModelEvent};

use self::answer::Answer;
use self::split::Piece;
use crate::classify;
use crate::sse::{Frame, Sse};

/// Decodes one answer.
///
/// Feed it the bytes as they come, then call [`Codec::end`]. It is over after [`ModelEvent::Finished`] or an
/// error; whatever is fed after that is ignored.
#[derive(Debug, Default)]
pub struct Codec {
    sse: Sse,
    answer: Answer,
    over: bool,
}

impl Codec {
    /// Takes a piece of the stream, cut anywhere, and appends what it says. Events appended before an error
    /// stand before it.
    ///
    /// # Errors
    /// What is wrong with the stream, or the failure that it tells of.
    pub fn feed(&mut self, bytes: &[u8], out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        if self.over {
            return Ok(());
        }
        let mut frames = Vec::new();
        let fed = self.sse.feed(bytes, &mut frames);
        for frame in frames {
            self.settle(|codec| codec.frame(&frame, out))?;
        }
        let too_long = |e| ModelError::retryable(ErrorClass::MalformedChunk, format!("{e}"));
        self.settle(|_| fed.map_err(too_long))
    }

    /// The peer closed the stream in good order: decides what the answer comes to.
    ///
    /// # Errors
    /// A cut, filtered, interrupted, overlong or empty answer.
    pub fn end(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        if self.over {
            return Ok(());
        }
        if let Some(tail) = self.sse.end() {
            // Cut inside a frame: what is broken then is the stream, not the chunk.
            self.settle(|codec| codec.frame(&tail, out).map_err(cut))?;
        }
        if self.over {
            return Ok(());
        }
        self.settle(|codec| codec.decide(out))
    }

    /// Decodes an answer that came whole, as one JSON body, though a stream was asked for.
    ///
    /// # Errors
    /// The failure that the body tells of, or [`ErrorClass::MisconfiguredBaseUrl`] where it is no answer.
    pub fn whole(body: &[u8]) -> Result<VecDeque<ModelEvent>, ModelError> {
        let (mut codec, mut out) = (Self::default(), VecDeque::new());
        let broken = |e: ModelError| match e.class {
            ErrorClass::MalformedChunk => classify::not_a_chat_api(),
            _ => e,
        };
        codec.pieces(body, &mut out).map_err(broken)?;
        match (codec.over, codec.answer.has_finish()) {
            // A stream that was called JSON, up to its `[DONE]`.
            (true, _) => Ok(out),
            (false, true) => codec.decide(&mut out).map(|()| out),
            (false, false) => Err(classify::not_a_chat_api()),
        }
    }

    /// Whether the answer is complete or has failed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Runs one step; a failure ends the answer.
    fn settle(&mut self, step: impl FnOnce(&mut Self) -> Result<(), ModelError>) -> Result<(), ModelError> {
        let result = step(self);
        self.over |= result.is_err();
        result
    }

    fn frame(&mut self, frame: &Frame, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        if self.over {
            return Ok(());
        }
        if frame.event.as_deref() == Some("error") {
            return Err(classify::in_band_bytes(&frame.data));
        }
        self.pieces(&frame.data, out)
    }

    fn pieces(&mut self, mut data: &[u8], out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        while let Some(piece) = split::next(&mut data) {
            match piece? {
                Piece::Chunk(chunk) => self.answer.take(*chunk, out)?,
                Piece::Done => return self.decide(out),
            }
        }
        Ok(())
    }

    fn decide(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError> {
        self.over = true;
        out.push_back(mem::take(&mut self.answer).end()?);
        Ok(())
    }
}

/// A frame that the end of the stream left unreadable.
fn cut(e: ModelError) -> ModelError {
    match e.class {
        ErrorClass::MalformedChunk => answer::truncated(),
        _ => e,
    }
}
