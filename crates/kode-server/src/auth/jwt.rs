//! Tokens that somebody else signed: JWT with HS256, and no other algorithm whatever the token says of itself.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use kode_core::id::AgentId;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::auth::reach::Reach;
use crate::auth::rights::{Right, Rights};

/// Shortest secret, in bytes: whoever holds a token can try secrets at home.
const SECRET_MIN: usize = 16;
/// Longest `sub`, in bytes.
const SUB_MAX: usize = 128;

/// How tokens are checked.
pub struct Jwt {
    key: DecodingKey,
    validation: Validation,
}

/// A secret is too short to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret for tokens has at least {SECRET_MIN} bytes, better 32 random ones: shorter ones can be guessed"
)]
pub struct WeakSecret;

/// What is read of a token. Claims that are not known are passed over.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: u64,
    prefixes: Option<Vec<String>>,
    rights: Option<Vec<Right>>,
}

/// Who holds a token.
pub(super) struct Holder {
    pub(super) sub: String,
    pub(super) reach: Reach,
    pub(super) rights: Rights,
    pub(super) until: Expiry,
}

/// When a token is no longer good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expiry(SystemTime);

impl Expiry {
    pub(super) fn is_over(self) -> bool {
        SystemTime::now() >= self.0
    }
}

impl Jwt {
    /// Tokens signed with this secret; with an audience, only those that are for it.
    ///
    /// # Errors
    /// [`WeakSecret`].
    pub fn hs256(secret: &SecretString, audience: Option<&str>) -> Result<Self, WeakSecret> {
        let secret = secret.expose_secret().as_bytes();
        if secret.len() < SECRET_MIN {
            return Err(WeakSecret);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        // Clocks that differ are the issuer's to allow for: a token is good until it says it is not.
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "sub"]);
        match audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.set_required_spec_claims(&["exp", "sub", "aud"]);
            }
            None => validation.validate_aud = false,
        }
        Ok(Self { key: DecodingKey::from_secret(secret), validation })
    }

    /// Who holds this token, if it is one. Why not is told to nobody.
    pub(super) fn holder(&self, token: &str) -> Option<Holder> {
        let token = decode::<Claims>(token, &self.key, &self.validation).ok()?;
        // An extension that must be understood, and is not.
        if token.header.crit.is_some() {
            return None;
        }
        let Claims { sub, exp, prefixes, rights } = token.claims;
        if sub.is_empty() || sub.len() > SUB_MAX || sub.contains(|c: char| c == ':' || c.is_control()) {
            return None;
        }
        let prefixes = match prefixes {
            Some(prefixes) => prefixes,
            // A name that no id can hold must not become one that is shorter.
            None => vec![AgentId::new(format!("user:{sub}")).ok()?.into()],
        };
        let reach = Reach::under(&prefixes).ok()?;
        let rights = rights.map_or_else(Rights::default, |rights| rights.into_iter().collect());
        let until = Expiry(UNIX_EPOCH.checked_add(Duration::from_secs(exp))?);
        (!until.is_over()).then_some(Holder { sub, reach, rights, until })
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("audience", &self.validation.aud).finish_non_exhaustive()
    }
}
