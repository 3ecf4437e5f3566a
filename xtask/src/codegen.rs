//! Files that are made of the code and committed, so that others can use them without building it. A test of
//! kode-server says when one is not what the code says any more.

use anyhow::Context as _;

use crate::context::Context;

/// What the server says of itself.
const OPENAPI: &str = "docs/openapi.json";

/// Writes them anew.
pub(crate) fn run(context: &Context) -> anyhow::Result<()> {
    let told = context.read_cargo(&["run", "--quiet", "--package", "kode-cli", "--", "openapi"])?;
    let path = context.root.join(OPENAPI);
    std::fs::write(&path, told).with_context(|| format!("{} cannot be written", path.display()))?;
    println!("{OPENAPI} is what the code says");
    Ok(())
}
