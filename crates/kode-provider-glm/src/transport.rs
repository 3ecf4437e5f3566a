//! HTTP: sends one attempt and opens its answer.
//!
//! Knows nothing of agents and never tries twice, but for a token that the provider calls expired.

mod reader;

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kode_core::id::Millis;
use kode_core::model::{ErrorClass, Model, ModelError, ModelRequest, ModelStream};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, Url, redirect};

use self::reader::{Deadlines, Reader};
use crate::auth::Signer;
use crate::classify;
use crate::codec::Codec;
use crate::config::{GlmConfig, GlmConfigError, is_loopback};
use crate::limit::{Limiter, Permit};
use crate::models::capabilities;
use crate::redact::Redactor;
use crate::request;

/// Most bytes read of an answer that is not a stream.
const MOST_BODY: usize = 8 * 1024 * 1024;

/// GLM chat completions as a [`Model`].
///
/// One value holds one key: its connections, its tokens and its limits. Share it between all agents.
#[derive(Debug)]
pub struct Glm {
    config: GlmConfig,
    route: Url,
    client: Client,
    signer: Signer,
    limiter: Limiter,
    redactor: Redactor,
}

impl Glm {
    /// Makes a provider. Sends nothing.
    ///
    /// # Errors
    /// What is wrong with the configuration, or that no HTTP client can be made.
    pub fn new(config: GlmConfig) -> Result<Self, GlmConfigError> {
        let route = config.check()?;
        Ok(Self {
            client: client(&config, &route)?,
            signer: Signer::new(config.key.clone(), config.auth),
            limiter: Limiter::new(config.max_concurrency),
            redactor: Redactor::new(config.key.clone()),
            route,
            config,
        })
    }

    async fn attempt(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        let body = Bytes::from(request::body(&request, &self.config)?);
        let permit = self.limiter.acquire(&request.model).await;
        let deadlines = Deadlines::from_now(self.config.timeouts);
        let opened = match self.open(body.clone(), &deadlines).await {
            Err(error) if self.signer.forget_expired(&error) => self.open(body, &deadlines).await,
            other => other,
        };
        match opened {
            Ok(opened) => Ok(self.events(opened, deadlines, permit)),
            Err(error) => {
                reader::note(&permit, &error);
                Err(error)
            }
        }
    }

    async fn open(&self, body: Bytes, deadlines: &Deadlines) -> Result<Opened, ModelError> {
        let request = self
            .client
            .post(self.route.clone())
            .header(AUTHORIZATION, self.signer.header(now())?)
            .header(ACCEPT, "text/event-stream")
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let response = deadlines.first(request.send()).await?.map_err(|e| unsent(&e))?;
        if is_stream(&response) {
            return Ok(Opened::Stream(response));
        }
        let (status, wait) = (response.status(), wait(&response));
        let body = deadlines.first(whole(response)).await?;
        if status.is_success() {
            return Codec::whole(&body).map(Opened::Whole);
        }
        Err(classify::answer(status.as_u16(), &body, wait))
    }

    fn events(&self, opened: Opened, deadlines: Deadlines, permit: Permit) -> ModelStream {
        match opened {
            Opened::Stream(response) => {
                Reader::new(response, deadlines, permit, self.redactor.clone()).into_stream()
            }
            Opened::Whole(events) => {
                permit.answered();
                stream::iter(events.into_iter().map(Ok)).boxed()
            }
        }
    }
}

#[async_trait]
impl Model for Glm {
    fn provider(&self) -> &str {
        "glm"
    }

    fn window(&self, model: &str) -> Option<u32> {
        capabilities(model).window
    }

    async fn stream(&self, request: ModelRequest) -> Result<ModelStream, ModelError> {
        self.attempt(request).await.map_err(|error| self.redactor.clean(error))
    }
}

/// A good answer, not yet read.
enum Opened {
    /// It streams.
    Stream(Response),
    /// It came whole.
    Whole(std::collections::VecDeque<kode_core::model::ModelEvent>),
}

/// Redirects are off, as they would carry history and key to another address. TLS uses the provider that
/// the host installed, else aws-lc-rs: nothing has to be installed.
fn client(config: &GlmConfig, route: &Url) -> Result<Client, GlmConfigError> {
    let mut builder = Client::builder()
        .user_agent(concat!("kode/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(config.timeouts.connect)
        .redirect(redirect::Policy::none());
    if is_loopback(route) {
        builder = builder.no_proxy();
    }
    if route.scheme() == "http" {
        // No certificates are needed, so a host that has none may go on.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|e| GlmConfigError::Client(cause(&e)))
}

/// Anything of a good status that claims neither JSON nor HTML is given to the codec, which finds out.
fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    response.status().is_success() && !kind.contains("json") && !kind.contains("html")
}

fn wait(response: &Response) -> Option<Millis> {
    classify::retry_after(response.headers().get(RETRY_AFTER)?.to_str().ok()?, now())
}

/// The body, or as much of it as fits and came: an error's status says enough without it.
async fn whole(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(bytes)) = response.chunk().await {
        if body.len() + bytes.len() > MOST_BODY {
            break;
        }
        body.extend_from_slice(&bytes);
    }
    body
}

/// The request did not get an answer. The address is left out: it may be internal.
fn unsent(e: &reqwest::Error) -> ModelError {
    let (class, what) = match e {
        _ if e.is_connect() && e.is_timeout() => (ErrorClass::Timeout, "no connection in time"),
        _ if e.is_connect() => (ErrorClass::Network, "no connection to the provider"),
        _ => (ErrorClass::Network, "the connection broke before an answer"),
    };
    ModelError::retryable(class, format!("{what} ({})", cause(e)))
}

/// The innermost reason.
fn cause(e: &(dyn Error + 'static)) -> String {
    let mut innermost = e;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

/// The wall clock, which tokens and `Retry-After` dates are about.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}
