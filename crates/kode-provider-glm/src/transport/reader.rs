//! One answer as it comes in: pulls bytes, keeps the time, gives events one by one.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use kode_core::model::{ErrorClass, ModelError, ModelEvent, ModelStream};
use reqwest::Response;
use tokio::time::{Instant, timeout, timeout_at};

use crate::codec::Codec;
use crate::config::Timeouts;
use crate::limit::Permit;
use crate::redact::Redactor;

/// How long the end of a finished answer is waited for, so that its connection can be used again.
const LINGER: Duration = Duration::from_secs(1);

/// When an attempt must have come how far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    timeouts: Timeouts,
    first_byte: Instant,
    total: Option<Instant>,
}

impl Deadlines {
    pub(super) fn from_now(timeouts: Timeouts) -> Self {
        let now = Instant::now();
        let total = timeouts.total.map(|total| now + total);
        Self { timeouts, first_byte: now + timeouts.first_byte, total }
    }

    /// Runs a step of the answer's beginning within its time.
    pub(super) async fn first<T>(&self, step: impl Future<Output = T>) -> Result<T, ModelError> {
        self.within(self.first_byte, "no answer began", self.timeouts.first_byte, step).await
    }

    async fn next<T>(&self, step: impl Future<Output = T>) -> Result<T, ModelError> {
        let pause = self.timeouts.between_chunks;
        self.within(Instant::now() + pause, "the answer paused, nothing came", pause, step).await
    }

    async fn within<T>(
        &self,
        at: Instant,
        what: &str,
        limit: Duration,
        step: impl Future<Output = T>,
    ) -> Result<T, ModelError> {
        let (at, what, limit) = match (self.total, self.timeouts.total) {
            (Some(end), Some(total)) if end < at => (end, "the answer was not complete", total),
            _ => (at, what, limit),
        };
        let late = |_| ModelError::retryable(ErrorClass::Timeout, format!("{what} within {limit:?}"));
        timeout_at(at, step).await.map_err(late)
    }
}

/// An answer under way. Dropping it closes the connection or resets the stream, which cancels the request.
pub(super) struct Reader {
    /// Absent once the answer is over.
    response: Option<Response>,
    codec: Codec,
    ready: VecDeque<ModelEvent>,
    failed: Option<ModelError>,
    deadlines: Deadlines,
    began: bool,
    permit: Option<Permit>,
    redactor: Redactor,
}

impl Reader {
    pub(super) fn new(response: Response, deadlines: Deadlines, permit: Permit, redactor: Redactor) -> Self {
        Self {
            response: Some(response),
            codec: Codec::default(),
            ready: VecDeque::new(),
            failed: None,
            deadlines,
            began: false,
            permit: Some(permit),
            redactor,
        }
    }

    /// The events, each as soon as it is there.
    pub(super) fn into_stream(self) -> ModelStream {
        stream::unfold(self, |mut reader| async { reader.next().await.map(|event| (event, reader)) }).boxed()
    }

    async fn next(&mut self) -> Option<Result<ModelEvent, ModelError>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            let response = self.response.as_mut()?;
            let pulled = pull(response, &self.deadlines, &mut self.began).await;
            self.take(pulled);
        }
    }

    fn take(&mut self, pulled: Result<Option<bytes::Bytes>, ModelError>) {
        let taken = match pulled {
            Ok(Some(bytes)) => self.codec.feed(&bytes, &mut self.ready),
            Ok(None) => self.codec.end(&mut self.ready),
            Err(error) => Err(error),
        };
        match taken {
            Ok(()) if self.codec.is_over() => self.finish(),
            Ok(()) => {}
            Err(error) => self.fail(error),
        }
    }

    fn finish(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.answered();
        }
        if let Some(response) = self.response.take() {
            tokio::spawn(timeout(LINGER, drain(response)));
        }
    }

    fn fail(&mut self, error: ModelError) {
        self.response = None;
        if let Some(permit) = self.permit.take() {
            note(&permit, &error);
        }
        self.failed = Some(self.redactor.clean(error));
    }
}

/// Tells the limiter of a refusal for too many requests.
pub(super) fn note(permit: &Permit, error: &ModelError) {
    if error.class == ErrorClass::RateLimited {
        permit.refused();
    }
}

/// The next bytes, or none at the end in good order.
async fn pull(
    response: &mut Response,
    deadlines: &Deadlines,
    began: &mut bool,
) -> Result<Option<bytes::Bytes>, ModelError> {
    let chunk = response.chunk();
    let chunk = if *began { deadlines.next(chunk).await? } else { deadlines.first(chunk).await? };
    *began = true;
    chunk
        .map_err(|_| ModelError::retryable(ErrorClass::TruncatedStream, "the connection broke in mid-answer"))
}

/// Reads what is left behind `[DONE]`: nothing but the end, from a peer in good order.
async fn drain(mut response: Response) {
    while let Ok(Some(_)) = response.chunk().await {}
}
