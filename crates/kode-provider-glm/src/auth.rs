//! The key, and the header that proves it. A key is never shown: not by `Debug`, not in an error.

use std::fmt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kode_core::id::Millis;
use kode_core::model::{ErrorClass, ModelError};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

/// How long a token is valid. The provider's own clients use the same.
const TOKEN_VALID_MS: Millis = 210_000;
/// How long a token is used; the rest is room for skewed clocks and slow requests.
const TOKEN_USED_MS: Millis = 180_000;
/// The provider's code for a token that has expired.
const TOKEN_EXPIRED: &str = "1003";

/// A GLM key, `id.secret`. `Debug` shows nothing of it, and its memory is cleared when it goes.
#[derive(Clone)]
pub struct GlmKey(SecretString);

/// Why a text is no key. Says nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// There is nothing in it.
    #[error("the GLM key is empty; set one")]
    Empty,
    /// It has characters that no header carries.
    #[error("the GLM key has characters other than visible ASCII; copy it again")]
    NotVisibleAscii,
    /// The key file could not be read.
    #[error("the GLM key file cannot be read ({0}); check its path and permissions")]
    File(std::io::ErrorKind),
}

impl GlmKey {
    /// Takes a key; white space around it is cut.
    ///
    /// # Errors
    /// [`InvalidKey`] where no header could carry it.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidKey> {
        let text = SecretString::from(text.into());
        let key = text.expose_secret().trim();
        if key.is_empty() {
            return Err(InvalidKey::Empty);
        }
        if !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidKey::NotVisibleAscii);
        }
        Ok(Self(SecretString::from(key)))
    }

    /// Reads a key from a file that holds nothing else.
    ///
    /// # Errors
    /// [`InvalidKey`]; it does not name the file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, InvalidKey> {
        Self::new(std::fs::read_to_string(path).map_err(|e| InvalidKey::File(e.kind()))?)
    }

    /// Id and secret, where the key has both.
    pub(crate) fn parts(&self) -> Option<(&str, &str)> {
        self.expose().split_once('.').filter(|(id, secret)| !id.is_empty() && !secret.is_empty())
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for GlmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GlmKey([redacted])")
    }
}

/// How the key is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auth {
    /// The key itself, which every GLM endpoint takes.
    #[default]
    Bearer,
    /// A short-lived token signed with the key's secret, so that the secret never travels. Needs a key of
    /// the form `id.secret`.
    Jwt,
}

/// Makes the `Authorization` header.
#[derive(Debug)]
pub(crate) struct Signer {
    key: GlmKey,
    auth: Auth,
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    text: SecretString,
    minted_at: Millis,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("minted_at", &self.minted_at).finish_non_exhaustive()
    }
}

impl Signer {
    pub(crate) fn new(key: GlmKey, auth: Auth) -> Self {
        Self { key, auth, token: Mutex::new(None) }
    }

    /// The header's value, marked as sensitive so that no log of the HTTP stack shows it.
    pub(crate) fn header(&self, now: Millis) -> Result<HeaderValue, ModelError> {
        let text = match self.auth {
            Auth::Bearer => self.key.0.clone(),
            Auth::Jwt => self.token(now).ok_or_else(unsigned)?,
        };
        let line = SecretString::from(format!("Bearer {}", text.expose_secret()));
        let mut value = HeaderValue::from_str(line.expose_secret()).map_err(|_| unsigned())?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Whether a new token may mend this failure; the old one is dropped then.
    pub(crate) fn forget_expired(&self, error: &ModelError) -> bool {
        let mends = self.auth == Auth::Jwt && error.provider_code.as_deref() == Some(TOKEN_EXPIRED);
        if mends {
            *self.cached() = None;
        }
        mends
    }

    fn token(&self, now: Millis) -> Option<SecretString> {
        let mut cached = self.cached();
        // A clock that was set back makes a token useless too: its timestamp lies in the future.
        let fresh = |token: &Token| (token.minted_at..token.minted_at + TOKEN_USED_MS).contains(&now);
        if let Some(token) = cached.as_ref().filter(|token| fresh(token)) {
            return Some(token.text.clone());
        }
        let (id, secret) = self.key.parts()?;
        let text = SecretString::from(jwt(id, secret, now));
        *cached = Some(Token { text: text.clone(), minted_at: now });
        Some(text)
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, Option<Token>> {
        // A token is replaced whole, so a panic elsewhere cannot have left half of one.
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unsigned() -> ModelError {
    ModelError::fatal(ErrorClass::Auth, "the GLM key cannot be used as it is; check its form")
}

/// The claims in the order in which the provider's own clients write them.
#[derive(Serialize)]
struct Claims<'a> {
    api_key: &'a str,
    exp: Millis,
    timestamp: Millis,
}

/// Written by hand because the provider's header has a field that JWT does not know and its times are in
/// milliseconds.
fn jwt(id: &str, secret: &str, now: Millis) -> String {
    let claims = Claims { api_key: id, exp: now + TOKEN_VALID_MS, timestamp: now };
    let claims = serde_json::to_vec(&claims).expect("text and numbers always serialise");
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","sign_type":"SIGN","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Millis = 1_700_000_000_000;
    const VECTOR: &str = "eyJhbGciOiJIUzI1NiIsInNpZ25fdHlwZSI6IlNJR04iLCJ0eXAiOiJKV1QifQ.\
        eyJhcGlfa2V5IjoidGVzdGlkIiwiZXhwIjoxNzAwMDAwMjEwMDAwLCJ0aW1lc3RhbXAiOjE3MDAwMDAwMDAwMDB9.\
        HEB1-At6NetgNEJpm_wgCMxupjt30koJOxnZ4R4TZyQ";

    fn signer(auth: Auth) -> Signer {
        Signer::new(GlmKey::new("testid.testsecret").unwrap(), auth)
    }

    fn header(signer: &Signer, now: Millis) -> String {
        signer.header(now).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_token_is_signed_as_the_provider_signs_it() {
        assert_eq!(header(&signer(Auth::Jwt), T0), format!("Bearer {VECTOR}"));
        assert_eq!(header(&signer(Auth::Bearer), T0), "Bearer testid.testsecret");
    }

    #[test]
    fn a_token_serves_for_180_seconds_and_never_from_the_future() {
        let signer = signer(Auth::Jwt);
        let first = header(&signer, T0);
        assert_eq!(header(&signer, T0 + TOKEN_USED_MS - 1), first);
        let second = header(&signer, T0 + TOKEN_USED_MS);
        assert_ne!(second, first);
        assert_eq!(header(&signer, T0), first, "the clock went back, so the token is minted anew");
    }

    #[test]
    fn only_an_expired_token_is_signed_anew() {
        let told = |code: &str| crate::classify::answer(401, code_body(code).as_bytes(), None);
        assert!(signer(Auth::Jwt).forget_expired(&told("1003")));
        assert!(!signer(Auth::Jwt).forget_expired(&told("1002")));
        assert!(!signer(Auth::Bearer).forget_expired(&told("1003")));
    }

    fn code_body(code: &str) -> String {
        format!("{{\"error\":{{\"code\":\"{code}\",\"message\":\"m\"}}}}")
    }

    #[test]
    fn nothing_shows_a_key() {
        let signer = signer(Auth::Jwt);
        let value = signer.header(T0).unwrap();
        let shown = format!("{signer:?} {value:?}");
        assert!(
            !shown.contains("testid") && !shown.contains("testsecret") && !shown.contains("eyJ"),
            "{shown}"
        );
    }

    #[test]
    fn a_key_is_visible_ascii_and_comes_from_a_file_too() {
        assert_eq!(GlmKey::new(" \n").unwrap_err(), InvalidKey::Empty);
        assert_eq!(GlmKey::new("a b").unwrap_err(), InvalidKey::NotVisibleAscii);
        assert_eq!(GlmKey::new("schlüssel").unwrap_err(), InvalidKey::NotVisibleAscii);
        let missing = GlmKey::from_file("/nonexistent/key").unwrap_err();
        assert_eq!(missing, InvalidKey::File(std::io::ErrorKind::NotFound));
        assert!(!missing.to_string().contains("nonexistent"));
    }
}
