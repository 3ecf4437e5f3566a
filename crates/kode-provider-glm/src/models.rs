//! What the models can do, as far as a request depends on it.
//!
//! A small table by name, newest first. A model that is not in it works: nothing special is asked of it.

/// What a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// It reasons, and the `thinking` parameter turns that on and off.
    pub thinking: bool,
    /// It streams tool arguments in fragments (`tool_stream`).
    pub tool_stream: bool,
    /// It reads images.
    pub vision: bool,
    /// Tokens of request and answer together, where known.
    pub window: Option<u32>,
    /// Most tokens of an answer, where known.
    pub output: Option<u32>,
}

const K: u32 = 1_024;

const fn row(thinking: bool, tool_stream: bool, vision: bool, window: u32, output: u32) -> Capabilities {
    Capabilities { thinking, tool_stream, vision, window: Some(window), output: Some(output) }
}

/// Prefixes and what they stand for; the first that fits counts, so the longer ones come first. Windows and
/// outputs are careful estimates, not a contract: the provider refuses what a model does not take.
const TABLE: &[(&str, Capabilities)] = &[
    ("glm-5v", row(true, true, true, 200_000, 128 * K)),
    ("glm-5", row(true, true, false, 200_000, 128 * K)),
    ("glm-4.7", row(true, true, false, 200_000, 128 * K)),
    ("glm-4.6v", row(true, true, true, 128_000, 32 * K)),
    ("glm-4.6", row(true, true, false, 200_000, 128 * K)),
    ("glm-4.5v", row(true, false, true, 64_000, 16 * K)),
    ("glm-4.5", row(true, false, false, 128_000, 96 * K)),
];

/// What the named model can do. Unknown names have no special ability and no known bounds.
#[must_use]
pub fn capabilities(model: &str) -> Capabilities {
    let name = model.to_ascii_lowercase();
    TABLE.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, row)| *row).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tool_stream_begins_with_4_6_and_unknown_models_are_asked_nothing_special() {
        let streams = |model| capabilities(model).tool_stream;
        assert!(streams("glm-4.6") && streams("GLM-4.7-flash") && streams("glm-5.2"));
        assert!(!streams("glm-4.5-air") && !streams("glm-4-air") && !streams("qwen3"));
        assert_eq!(capabilities("glm-4.5v").window, Some(64_000));
        assert_eq!(capabilities("llama"), Capabilities::default());
    }

    #[test]
    fn no_row_is_hidden_by_one_above_it() {
        for (at, (prefix, _)) in TABLE.iter().enumerate() {
            let hidden = TABLE[..at].iter().any(|(above, _)| prefix.starts_with(above));
            assert!(!hidden, "{prefix}");
        }
    }
}
