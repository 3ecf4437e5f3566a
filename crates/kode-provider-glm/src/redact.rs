//! Takes the key out of what the provider says, which may echo it, and bounds its length.

use std::fmt;

use kode_core::model::ModelError;

use crate::auth::GlmKey;

/// What stands in a secret's place.
const REDACTED: &str = "[redacted]";
/// How every token that we sign begins.
const TOKEN_START: &str = "eyJhbGciOiJIUzI1NiIsInNpZ25fdHlwZSI6";
/// Most characters of a message that go on.
const MESSAGE_CHARS: usize = 500;
/// Shorter parts of a key would redact ordinary words.
const SHORTEST: usize = 4;

/// Knows what must not be said.
#[derive(Clone)]
pub(crate) struct Redactor(GlmKey);

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    pub(crate) fn new(key: GlmKey) -> Self {
        Self(key)
    }

    /// The error without the key, its id, its secret, or a token; cut only then, as half a key is not known
    /// for one.
    pub(crate) fn clean(&self, error: ModelError) -> ModelError {
        ModelError {
            message: self.text(&error.message),
            provider_code: error.provider_code.map(|code| self.text(&code)),
            ..error
        }
    }

    fn text(&self, text: &str) -> String {
        let (id, secret) = self.0.parts().unwrap_or_default();
        // The whole before its parts, so that one mark stands for it.
        let clean = [self.0.expose(), secret, id]
            .into_iter()
            .filter(|secret| secret.len() >= SHORTEST)
            .fold(text.to_owned(), |text, secret| text.replace(secret, REDACTED));
        tokens(&clean).chars().take(MESSAGE_CHARS).collect()
    }
}

/// The text without tokens.
fn tokens(mut text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    while let Some(at) = text.find(TOKEN_START) {
        let (before, token) = text.split_at(at);
        let end = token.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
        clean.extend([before, REDACTED]);
        text = &token[end.unwrap_or(token.len())..];
    }
    clean + text
}

#[cfg(test)]
mod tests {
    use kode_core::model::ErrorClass;

    use super::*;

    #[test]
    fn a_key_its_parts_and_its_tokens_are_scrubbed() {
        let redactor = Redactor::new(GlmKey::new("someid.somesecret").unwrap());
        let said =
            format!("key someid.somesecret, id someid, secret <somesecret>, token {TOKEN_START}x.y.z-_ bad");
        let error = ModelError {
            provider_code: Some("somesecret".into()),
            ..ModelError::fatal(ErrorClass::Auth, said)
        };
        let clean = redactor.clean(error);
        let expected = "key [redacted], id [redacted], secret <[redacted]>, token [redacted] bad";
        assert_eq!((clean.message.as_str(), clean.provider_code.as_deref()), (expected, Some(REDACTED)));
    }

    #[test]
    fn a_long_message_is_cut_behind_the_scrubbing() {
        let redactor = Redactor::new(GlmKey::new("someid.somesecret").unwrap());
        let said = format!("{}somesecret and more", "x".repeat(MESSAGE_CHARS - 4));
        let clean = redactor.clean(ModelError::fatal(ErrorClass::Auth, said));
        assert_eq!(clean.message, format!("{}[red", "x".repeat(MESSAGE_CHARS - 4)));
    }

    #[test]
    fn a_short_part_does_not_eat_words() {
        let redactor = Redactor::new(GlmKey::new("a.token").unwrap());
        let clean = redactor.clean(ModelError::fatal(ErrorClass::Auth, "a token is bad"));
        assert_eq!(clean.message, "a [redacted] is bad");
    }
}
