//! `kode keys`: makes keys for a server. It keeps none and writes no file.

use kode_server::auth::{KeyHash, Reach, fresh_key};
use secrecy::ExposeSecret;
use serde_json::json;
use toml::Value;

use crate::args::{Keys, NewKey};
use crate::failure::Failure;
use crate::out::Out;

pub(crate) fn run(keys: Keys) -> Result<(), Failure> {
    match keys {
        Keys::New(new) => fresh(&new),
    }
}

/// The key goes to stderr and what a server needs to know of it to stdout, so that `>> keys.toml` keeps no key.
fn fresh(new: &NewKey) -> Result<(), Failure> {
    Reach::under(&new.prefixes).map_err(|why| Failure::usage(format!("--prefix: {why}")))?;
    let key = fresh_key().map_err(Failure::failed)?;
    let hash = KeyHash::of(key.expose_secret()).to_string();
    let mut out = Out::new();
    if new.json {
        let told = json!({
            "name": new.name, "key": key.expose_secret(), "hash": hash,
            "prefixes": new.prefixes, "rights": new.rights,
        });
        out.line(told)?;
        return out.flush();
    }
    let list = |texts: &[String]| Value::from(texts.to_vec()).to_string();
    out.line("[[key]]")?;
    out.line(format!("name = {}", Value::from(new.name.as_str())))?;
    out.line(format!("hash = \"{hash}\""))?;
    out.line(format!("prefixes = {}", list(&new.prefixes)))?;
    if !new.rights.is_empty() {
        out.line(format!("rights = {}", list(&new.rights)))?;
    }
    out.flush()?;
    eprintln!("kode: the key, which is shown this once: {}", key.expose_secret());
    Ok(())
}
