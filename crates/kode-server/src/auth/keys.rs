//! Keys: 256 random bits, of which only a hash is kept. A hash needs no salt and no slow function, as nobody
//! guesses such a number.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::auth::limits::Limits;
use crate::auth::reach::Reach;
use crate::auth::rights::Rights;
use crate::hex;

/// What keys begin with, so that people and scanners know one when they see it.
const MARK: &str = "kode_";
/// What a hash begins with in files.
const SHA256: &str = "sha256:";

/// A key, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Who holds it: told as `decidedBy` and in logs.
    pub name: String,
    /// The hash of it.
    pub hash: KeyHash,
    /// Which agents it reaches.
    pub reach: Reach,
    /// What it may do to them.
    pub rights: Rights,
    /// How much of it.
    pub limits: Limits,
}

/// The SHA-256 of a key or ticket. Compared in constant time.
#[derive(Clone, Copy, Eq)]
pub struct KeyHash([u8; 32]);

/// A text is not `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is \"sha256:\" and 64 hexadecimal digits, as `kode keys new` prints it")]
pub struct InvalidKeyHash;

impl KeyHash {
    /// Of a key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl FromStr for KeyHash {
    type Err = InvalidKeyHash;

    fn from_str(text: &str) -> Result<Self, InvalidKeyHash> {
        let digits = text.strip_prefix(SHA256).filter(|hex| hex.len() == 64).ok_or(InvalidKeyHash)?;
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'));
            *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or(InvalidKeyHash)?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SHA256}{}", hex::text(&self.0))
    }
}

impl fmt::Debug for KeyHash {
    /// Not the whole: what is printed for debugging ends up where it should not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// A new key.
///
/// # Errors
/// The system gives no random numbers.
pub fn fresh_key() -> std::io::Result<SecretString> {
    random().map(|digits| format!("{MARK}{digits}").into())
}

/// 256 random bits in hexadecimal.
pub(super) fn random() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(hex::text(&bytes))
}

/// The key that this is, if it is one. All are compared, so that time tells nothing of which.
pub(super) fn find(keys: &[Arc<ApiKey>], shown: &str) -> Option<Arc<ApiKey>> {
    let hash = KeyHash::of(shown);
    keys.iter().fold(None, |found, key| if key.hash == hash { Some(key.clone()) } else { found })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_hash_is_written_as_it_is_read() {
        let hash = KeyHash::of("abc");
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((hash.to_string().as_str(), text.parse()), (text, Ok(hash)));
        assert_eq!(text.to_uppercase().replace("SHA256", "sha256").parse(), Ok(hash));
        let wrong =
            ["", "sha256:", &text[7..], &text[..70], &text.replace("ba", "+a"), &text.replace("ba", "é")];
        for wrong in wrong {
            assert_eq!(wrong.parse::<KeyHash>(), Err(InvalidKeyHash), "{wrong}");
        }
    }

    #[test]
    fn fresh_keys_are_long_differ_and_are_not_shown() {
        let (one, other) = (fresh_key().unwrap(), fresh_key().unwrap());
        assert_eq!(one.expose_secret().len(), MARK.len() + 64);
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert!(!format!("{one:?}").contains(one.expose_secret()));
    }
}
