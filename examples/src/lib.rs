//! What the examples share: the model that they talk to.

use std::sync::Arc;

use anyhow::Context;
use kode_core::model::Model;
use kode_provider_glm::{Glm, GlmConfig, GlmKey};

/// GLM, with the key from the environment.
pub fn glm() -> anyhow::Result<Arc<dyn Model>> {
    let key = std::env::var("ZHIPUAI_API_KEY").context("set ZHIPUAI_API_KEY to a GLM key")?;
    let mut config = GlmConfig::new(GlmKey::new(&key)?);
    if let Ok(base) = std::env::var("KODE_GLM_BASE_URL") {
        config.base_url = base;
    }
    Ok(Arc::new(Glm::new(config)?))
}
