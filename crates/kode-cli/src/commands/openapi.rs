//! `kode openapi`: what the server says of itself, for those who make clients.

use std::io::Write;

use crate::failure::Failure;

pub(crate) fn run() -> Result<(), Failure> {
    let document = serde_json::to_string_pretty(&kode_server::openapi()).map_err(Failure::failed)?;
    Ok(writeln!(std::io::stdout().lock(), "{document}")?)
}
