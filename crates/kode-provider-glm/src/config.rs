//! How a host sets the provider up, and what is wrong with it if it is.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

use crate::auth::{Auth, GlmKey, InvalidKey};

/// The base that the key of a Chinese account belongs to. `https://api.z.ai/api/paas/v4` is the
/// international one; both have a `…/api/coding/paas/v4` for coding plans.
pub const DEFAULT_BASE_URL: &str = "https://open.bigmodel.cn/api/paas/v4";

/// The route below a base.
const ROUTE: &str = "/chat/completions";

/// How long to wait for what. All are about one attempt; a whole turn is bounded by the agent's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// From the request to the first byte of its answer.
    pub first_byte: Duration,
    /// From one piece of the answer to the next. A model that thinks can pause for two minutes.
    pub between_chunks: Duration,
    /// For the whole attempt; none is the right choice for streams.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    /// 10 s to connect, 150 s for the first byte and between pieces, no total.
    fn default() -> Self {
        let patient = Duration::from_secs(150);
        Self { connect: Duration::from_secs(10), first_byte: patient, between_chunks: patient, total: None }
    }
}

/// Whether the model reasons before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Thinking {
    /// As the provider decides.
    #[default]
    ModelDefault,
    /// Yes; the provider drops the reasoning of earlier turns.
    Enabled,
    /// Yes, and the reasoning of earlier turns is sent back and kept: better answers in long sessions, for
    /// more tokens.
    Preserved,
    /// No.
    Disabled,
}

/// Everything that a [`crate::Glm`] is made of. Change fields of [`GlmConfig::new`]'s answer.
#[derive(Debug, Clone)]
pub struct GlmConfig {
    /// The API's base, such as [`DEFAULT_BASE_URL`], with or without `/chat/completions`. Nothing is ever
    /// inserted into it.
    pub base_url: String,
    /// The key.
    pub key: GlmKey,
    /// How the key is proven.
    pub auth: Auth,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Most requests under way at once, per model. Learned downwards from there when the provider refuses.
    pub max_concurrency: usize,
    /// Whether the model reasons.
    pub thinking: Thinking,
    /// 0 to 1; the provider's default, if absent.
    pub temperature: Option<f64>,
    /// 0.01 to 1; the provider's default, if absent.
    pub top_p: Option<f64>,
    /// Asks for usage with `stream_options`. GLM sends it unasked and does not know the field; other hosts
    /// need it.
    pub stream_options: bool,
}

impl GlmConfig {
    /// The defaults with this key.
    #[must_use]
    pub fn new(key: GlmKey) -> Self {
        Self {
            base_url: DEFAULT_BASE_URL.into(),
            key,
            auth: Auth::default(),
            timeouts: Timeouts::default(),
            max_concurrency: 1_024,
            thinking: Thinking::default(),
            temperature: None,
            top_p: None,
            stream_options: false,
        }
    }

    /// Checks everything that can be checked without a request, and gives the address of the route.
    pub(crate) fn check(&self) -> Result<Url, GlmConfigError> {
        if self.auth == Auth::Jwt && self.key.parts().is_none() {
            return Err(GlmConfigError::KeyWithoutSecret);
        }
        let within = |value: Option<f64>, least: f64| value.is_none_or(|v| (least..=1.0).contains(&v));
        if !within(self.temperature, 0.0) {
            return Err(GlmConfigError::OutOfRange { field: "temperature", range: "0 to 1" });
        }
        if !within(self.top_p, 0.01) {
            return Err(GlmConfigError::OutOfRange { field: "top_p", range: "0.01 to 1" });
        }
        route(&self.base_url)
    }
}

/// Why a provider cannot be made. No text holds the key or the address, which may carry one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GlmConfigError {
    /// The key is none.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// A token needs a key of two parts.
    #[error("signing tokens needs a GLM key of the form id.secret; use bearer auth or copy the whole key")]
    KeyWithoutSecret,
    /// The address is none.
    #[error("the GLM base URL {0}; it looks like {DEFAULT_BASE_URL}")]
    BaseUrl(&'static str),
    /// A number is outside what the provider takes.
    #[error("{field} must be {range}")]
    OutOfRange {
        /// Which.
        field: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// The HTTP client could not be made.
    #[error("no HTTP client can be made ({0}); an image without ca-certificates has this")]
    Client(String),
}

/// The address of the route below a base.
fn route(base: &str) -> Result<Url, GlmConfigError> {
    let base = base.trim().trim_end_matches('/');
    let base = base.strip_suffix(ROUTE).unwrap_or(base).trim_end_matches('/');
    let url =
        Url::parse(&format!("{base}{ROUTE}")).map_err(|_| GlmConfigError::BaseUrl("is not an address"))?;
    match url {
        _ if !matches!(url.scheme(), "http" | "https") => {
            Err(GlmConfigError::BaseUrl("is not http or https"))
        }
        _ if !url.username().is_empty() || url.password().is_some() => {
            Err(GlmConfigError::BaseUrl("carries credentials, which belong into the key"))
        }
        _ if url.query().is_some() || url.fragment().is_some() => {
            Err(GlmConfigError::BaseUrl("has a query or a fragment"))
        }
        url => Ok(url),
    }
}

/// Whether the address is this machine's own, which no proxy can reach.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> GlmConfig {
        GlmConfig::new(GlmKey::new("testid.testsecret").unwrap())
    }

    #[test]
    fn a_base_is_trimmed_and_nothing_is_inserted() {
        let expected = "https://api.z.ai/api/coding/paas/v4/chat/completions";
        for base in ["", "/", "//", "/chat/completions", "/chat/completions/"] {
            let base = format!(" https://api.z.ai/api/coding/paas/v4{base}");
            assert_eq!(route(&base).unwrap().as_str(), expected, "{base}");
        }
        assert_eq!(route("http://[::1]:8080").unwrap().as_str(), "http://[::1]:8080/chat/completions");
        assert_eq!(config().check().unwrap().as_str(), format!("{DEFAULT_BASE_URL}{ROUTE}"));
    }

    #[test]
    fn an_address_that_cannot_work_or_carries_a_secret_is_refused_without_being_shown() {
        for base in
            ["", "open.bigmodel.cn", "ftp://host.x", "http://me:hunter2@host.x", "http://host.x?k=hunter2"]
        {
            let error = route(base).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains("host.x"), "{error}");
        }
    }

    #[test]
    fn numbers_and_keys_that_the_provider_refuses_are_refused_at_once() {
        let check = |config: GlmConfig| config.check().unwrap_err().to_string();
        assert_eq!(check(GlmConfig { temperature: Some(1.5), ..config() }), "temperature must be 0 to 1");
        assert_eq!(check(GlmConfig { top_p: Some(0.0), ..config() }), "top_p must be 0.01 to 1");
        assert_eq!(
            check(GlmConfig { temperature: Some(f64::NAN), ..config() }),
            "temperature must be 0 to 1"
        );
        let plain = GlmConfig { key: GlmKey::new("plain").unwrap(), auth: Auth::Jwt, ..config() };
        assert!(matches!(plain.check(), Err(GlmConfigError::KeyWithoutSecret)));
    }

    #[test]
    fn loopback_is_known_in_all_its_forms() {
        let is = |url: &str| is_loopback(&Url::parse(url).unwrap());
        assert!(is("http://127.0.0.1:1/") && is("http://[::1]/") && is("http://localhost/"));
        assert!(!is("http://10.0.0.1/") && !is("https://localhost.example/"));
    }
}
