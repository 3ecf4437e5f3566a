//! Who may call the server: where keys and the secret for tokens are found, and keys that change while it runs.
//!
//! What a key lets its holder do is the server's to say, and never here.

mod keys;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kode_server::auth::{Auth, Jwt};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::config::{Env, Settings, secret};
use crate::failure::Failure;

const JWT_SECRET: &str = "KODE_JWT_SECRET";
/// Bytes of a secret that is as hard to guess as what is signed with it.
const SECRET_GOOD: usize = 32;
/// How often the file of keys is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How callers show who they are, and the file that says so.
pub(crate) struct Access {
    pub(crate) auth: Auth,
    file: Option<(PathBuf, Stamp)>,
}

/// What changes about a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl Stamp {
    /// None where there is no such file.
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let seen = std::fs::metadata(path).ok()?;
        Some(Self { modified: seen.modified().ok(), len: seen.len(), inode: seen.ino() })
    }
}

impl Access {
    /// As settings and environment have it; without keys and secret nobody is asked.
    pub(crate) fn resolve(settings: &Settings, env: Env<'_>) -> Result<Self, Failure> {
        let jwt = jwt(settings.jwt_audience.as_deref(), env)?;
        let Some(path) = settings.api_keys_file.clone() else {
            let auth = jwt.map_or_else(Auth::open, |jwt| Auth::new(Vec::new(), Some(jwt)));
            return Ok(Self { auth, file: None });
        };
        // The stamp is from before the keys: what is written in between is seen at the next look.
        let stamp = Stamp::of(&path).unwrap_or(Stamp { modified: None, len: 0, inode: 0 });
        let keys = keys::load(&path)?;
        Ok(Self { auth: Auth::new(keys, jwt), file: Some((path, stamp)) })
    }

    /// Takes over what the file of keys says whenever it has changed. One that cannot be read or is wrong changes
    /// nothing, and the log says why.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        let Some((path, mut seen)) = self.file else { return };
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let Some(now) = Stamp::of(&path).filter(|now| *now != seen) else { continue };
            seen = now;
            match keys::load(&path) {
                Ok(keys) => {
                    tracing::info!(keys = keys.len(), "the file of keys was read again");
                    self.auth.replace_keys(keys);
                }
                Err(failure) => tracing::error!(why = failure.why(), "the keys stay as they were"),
            }
        }
    }
}

fn jwt(audience: Option<&str>, env: Env<'_>) -> Result<Option<Jwt>, Failure> {
    let Some(secret) = secret(JWT_SECRET, env)? else {
        return match audience {
            Some(_) => Err(Failure::usage(format!("jwt_audience is set, and {JWT_SECRET} is not"))),
            None => Ok(None),
        };
    };
    let is_short = secret.len() < SECRET_GOOD;
    let jwt = Jwt::hs256(&SecretString::from(secret), audience);
    let jwt = jwt.map_err(|why| Failure::usage(format!("{JWT_SECRET}: {why}")))?;
    if is_short {
        tracing::warn!("{JWT_SECRET} has less than {SECRET_GOOD} bytes: who has a token can try to guess it");
    }
    Ok(Some(jwt))
}
