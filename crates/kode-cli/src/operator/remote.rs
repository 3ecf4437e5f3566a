//! Agents of a running server, operated on over HTTP.

use std::collections::VecDeque;
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use kode_core::id::{AgentId, Cursor};
use reqwest::{Client, Response, Url};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::local::refusal;
use super::{Operator, Refused, Told, Verdict};
use crate::compose::{Frame, Sse};
use crate::config::{Env, secret};
use crate::failure::Failure;

/// Where the key for the server is looked for. `…_FILE` names a file that holds it.
const KEY: &str = "KODE_API_KEY";
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one answer may take: a delete waits for the agent's tools to be gone.
const ANSWER: Duration = Duration::from_secs(120);
/// How long a stream may be silent. The server comments on a quiet one every 15 s.
const SILENCE: Duration = Duration::from_secs(60);
/// The first wait before a lost stream is opened again; doubled up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// A running server.
pub(crate) struct Remote {
    base: Url,
    http: Client,
}

impl Remote {
    pub(crate) fn new(url: &str, env: Env<'_>) -> Result<Self, Failure> {
        let base = base(url)?;
        let mut builder = Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(authorization(env)?);
        if is_here(&base) {
            // A proxy of the environment is for the world outside.
            builder = builder.no_proxy();
        }
        Ok(Self { base, http: builder.build().map_err(Failure::failed)? })
    }

    fn url(&self, path: &str) -> Result<Url, Refused> {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        url.parse().map_err(|why| Refused::Way(Failure::usage(format!("{url} is no URL: {why}"))))
    }

    /// Why the server gave no answer.
    fn unreachable(&self, error: reqwest::Error) -> Refused {
        Refused::Way(Failure::failed(format!(
            "the server {} cannot be reached: {}; is it running?",
            self.base,
            root_cause(&error.without_url())
        )))
    }
}

#[async_trait]
impl Operator for Remote {
    async fn request(&self, method: Method, path: &str, body: Option<Value>) -> Result<String, Refused> {
        let mut request = self.http.request(method, self.url(path)?).timeout(ANSWER);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        let body = response.text().await.map_err(|e| self.unreachable(e))?;
        if status.is_success() { Ok(body) } else { Err(refusal(status.as_u16(), &body)) }
    }

    async fn decide(&self, verdict: &Verdict) -> Result<bool, Refused> {
        let Verdict { agent, call, decision, note, shown } = verdict;
        let body = json!({ "callId": call, "decision": decision, "note": note, "inputHash": shown });
        self.request(Method::POST, &format!("/api/agents/{agent}/approve"), Some(body)).await?;
        Ok(true)
    }

    fn follow(&self, agent: &AgentId, channels: &str, since: Cursor) -> BoxStream<'_, Result<Told, Refused>> {
        let follower = Follower {
            remote: self,
            path: format!(
                "/api/agents/{agent}/stream?since={since}&channels={}&follow=true",
                super::encoded(channels)
            ),
            since,
            line: None,
            told: VecDeque::new(),
            wait: None,
        };
        let told = stream::unfold(follower, |mut follower| async move {
            let told = follower.next().await?;
            Some((told, follower))
        });
        told.boxed()
    }
}

/// A reader of a stream that is opened again where it broke off, until the server says that it is over.
struct Follower<'a> {
    remote: &'a Remote,
    path: String,
    /// The last event given: what a new connection goes on from.
    since: Cursor,
    line: Option<Line>,
    told: VecDeque<Told>,
    /// How long to wait before the next connection; none before the first one.
    wait: Option<Duration>,
}

/// One connection's stream.
struct Line {
    response: Response,
    sse: Sse,
}

impl Follower<'_> {
    async fn next(&mut self) -> Option<Result<Told, Refused>> {
        loop {
            while let Some(told) = self.told.pop_front() {
                // Each once, whatever a proxy in between repeats.
                if told.cursor > self.since {
                    self.since = told.cursor;
                    return Some(Ok(told));
                }
            }
            match self.read().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(refused) => return Some(Err(refused)),
            }
        }
    }

    /// Reads on, over a new connection where there is none. Whether the stream goes on.
    async fn read(&mut self) -> Result<bool, Refused> {
        let Some(line) = &mut self.line else { return self.connect().await };
        match timeout(SILENCE, line.response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                self.wait = Some(FIRST_WAIT);
                self.take(&bytes)?;
            }
            Ok(Ok(None) | Err(_)) | Err(_) => self.line = None,
        }
        Ok(true)
    }

    fn take(&mut self, bytes: &Bytes) -> Result<(), Refused> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let mut frames: Vec<Frame> = Vec::new();
        line.sse.feed(bytes, &mut frames).map_err(|e| Refused::Way(Failure::failed(e)))?;
        for frame in frames {
            let told = serde_json::from_slice::<Box<RawValue>>(&frame.data).and_then(Told::try_from);
            let told = told.map_err(|why| {
                Refused::Way(Failure::failed(format!("the stream holds something that is no event: {why}")))
            })?;
            self.told.push_back(told);
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<bool, Refused> {
        let again = self.wait.is_some();
        if let Some(wait) = self.wait {
            tokio::time::sleep(wait).await;
            self.wait = Some((wait * 2).min(LAST_WAIT));
        }
        let mut request = self.remote.http.get(self.remote.url(&self.path)?);
        if again {
            request = request.header("last-event-id", self.since.to_string());
        }
        match timeout(SILENCE, request.send()).await {
            Ok(Ok(response)) if response.status() == StatusCode::OK => {
                self.wait = self.wait.or(Some(FIRST_WAIT));
                self.line = Some(Line { response, sse: Sse::default() });
                Ok(true)
            }
            Ok(Ok(response)) => {
                let status = response.status();
                let body = response.text().await.unwrap_or_default();
                self.refused(status, &body, again)
            }
            // Only a server that was there once is waited for.
            Ok(Err(_)) | Err(_) if again => Ok(true),
            Ok(Err(error)) => Err(self.remote.unreachable(error)),
            Err(_) => Err(Refused::Way(Failure::failed(format!(
                "the server {} does not answer; is the URL that of a kode server?",
                self.remote.base
            )))),
        }
    }

    /// Whether a refused reader goes on trying.
    fn refused(&self, status: StatusCode, body: &str, again: bool) -> Result<bool, Refused> {
        let refused = refusal(status.as_u16(), body);
        match status {
            _ if again && refused.is_missing() => Ok(false),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
                if again =>
            {
                Ok(true)
            }
            StatusCode::SERVICE_UNAVAILABLE if again => Ok(true),
            _ => Err(refused),
        }
    }
}

/// A server's URL, without anything that belongs elsewhere.
fn base(url: &str) -> Result<Url, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("--server takes a URL such as http://127.0.0.1:3000, and this one {why}"))
    };
    let base: Url = url.parse().map_err(|_| wrong("cannot be read"))?;
    match base.scheme() {
        "http" | "https" if base.has_host() => {}
        _ => return Err(wrong("does not begin with http:// or https://")),
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(wrong(&format!(
            "holds a secret; put the key into {KEY}, or into a file named by {KEY}_FILE"
        )));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(wrong("has more than a path"));
    }
    Ok(base)
}

/// Whether the server is on this machine.
fn is_here(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

fn authorization(env: Env<'_>) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    if let Some(key) = secret(KEY, env)? {
        let mut value = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| Failure::usage(format!("{KEY} holds something that cannot be sent as a key")))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// The last reason in a chain of them: the others only say that something failed.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        match base(url) {
            Err(Failure::Usage(why)) => why,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn a_wrong_url_says_what_is_wrong_and_shows_no_secret() {
        assert!(base("http://127.0.0.1:3000").is_ok() && base("https://kode.example/behind/").is_ok());
        assert!(refused("127.0.0.1:3000").contains("http://127.0.0.1:3000"));
        assert!(refused("localhost:3000").contains("does not begin with http"));
        assert!(refused("ftp://host").contains("does not begin with http"));
        let told = refused("http://me:hidden@host");
        assert!(told.contains("KODE_API_KEY") && !told.contains("hidden"), "{told}");
        assert!(refused("http://host/?key=x").contains("more than a path"));
    }

    #[test]
    fn the_key_comes_from_the_environment_and_is_marked_as_secret() {
        let env = |name: &str| (name == "KODE_API_KEY").then(|| "k1".to_owned());
        let headers = authorization(&env).unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer k1");
        assert!(headers[AUTHORIZATION].is_sensitive());
        assert!(authorization(&|_| None).unwrap().is_empty());
        let broken = |name: &str| (name == "KODE_API_KEY").then(|| "k\n1".to_owned());
        assert!(matches!(authorization(&broken), Err(Failure::Usage(why)) if !why.contains("k\n1")));
    }

    #[test]
    fn a_proxy_is_for_the_world_outside() {
        let here = |url: &str| is_here(&base(url).unwrap());
        assert!(here("http://127.0.0.1:1") && here("http://[::1]:1") && here("http://localhost"));
        assert!(!here("http://kode.example") && !here("http://10.0.0.1"));
    }
}
