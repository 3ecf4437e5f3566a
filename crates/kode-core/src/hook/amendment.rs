//! What a hook changes in one request: of bounded kinds and size, so that it can be written down and made again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::MessageId;
use crate::message::{Block, Message, Role};
use crate::model::ModelRequest;
use crate::pages::Pages;

/// Most bytes of text that the hooks of one step may add together: 64 KiB.
pub const AMENDMENT_MAX: usize = 64 * 1024;

/// What is changed in the request of one step, and in no other. The history stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Amendment {
    /// Added behind the system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Added behind the history, as one message of the user's. Blank ones are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The model to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Most tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
}

impl Amendment {
    /// Both, one after the other: what the later one adds comes behind, what it sets wins.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.system = match (self.system, later.system) {
            (Some(first), Some(second)) => Some(format!("{first}\n\n{second}")),
            (first, second) => first.or(second),
        };
        self.notes.extend(later.notes);
        self.model = later.model.or(self.model);
        self.max_tokens = later.max_tokens.or(self.max_tokens);
        self
    }

    /// How many bytes of text it adds.
    #[must_use]
    pub fn size(&self) -> usize {
        let texts = self.system.iter().chain(&self.notes).chain(&self.model);
        texts.map(String::len).sum()
    }

    /// The system prompt with what is added.
    #[must_use]
    pub fn system_after(&self, system: &str) -> String {
        match &self.system {
            Some(added) if system.is_empty() => added.clone(),
            Some(added) => format!("{system}\n\n{added}"),
            None => system.to_owned(),
        }
    }

    /// The history with what is added. It shares all messages.
    #[must_use]
    pub fn messages_after(&self, messages: &Pages<Message>) -> Pages<Message> {
        let notes = self.notes.iter().filter(|note| !note.trim().is_empty());
        let content: Vec<Block> = notes.map(Block::text).collect();
        let mut messages = messages.clone();
        if let Some(last) = messages.last().cloned().filter(|_| !content.is_empty()) {
            let (created_at, seq) = (last.created_at, last.seq);
            let (id, metadata) = (MessageId::new("hook_notes"), serde_json::Map::new());
            let interrupted = false;
            messages.push(Arc::new(Message {
                id,
                role: Role::User,
                content,
                created_at,
                seq,
                interrupted,
                metadata,
            }));
        }
        messages
    }

    /// A request with what is changed.
    #[must_use]
    pub fn request_after(&self, request: &ModelRequest) -> ModelRequest {
        ModelRequest {
            model: self.model.clone().unwrap_or_else(|| request.model.clone()),
            system: self.system_after(&request.system).into(),
            messages: self.messages_after(&request.messages),
            max_tokens: self.max_tokens.unwrap_or(request.max_tokens),
            ..request.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_amendments_come_behind_and_win() {
        let note = |note: &str| vec![note.to_owned()];
        let first = Amendment {
            system: Some("be kind".into()),
            notes: note("one"),
            model: Some("a".into()),
            max_tokens: Some(1),
        };
        let second =
            Amendment { system: Some("be brief".into()), notes: note("two"), ..Amendment::default() };
        let both = first.clone().and(second);
        assert_eq!(both.system_after("you are a test"), "you are a test\n\nbe kind\n\nbe brief");
        assert_eq!(
            (both.notes.as_slice(), both.model.as_deref()),
            (&["one".into(), "two".into()][..], Some("a"))
        );
        assert_eq!((both.max_tokens, both.size()), (Some(1), "be kind\n\nbe brief".len() + 7));
        let last = Amendment { model: Some("b".into()), max_tokens: Some(2), ..Amendment::default() };
        assert_eq!(first.and(last.clone()).model, last.model);
        assert_eq!(Amendment::default().system_after("as it was"), "as it was");
        assert_eq!(serde_json::to_string(&Amendment::default()).ok().as_deref(), Some("{}"));
    }

    #[test]
    fn notes_are_one_message_of_the_users_and_blank_ones_none() {
        let notes = |notes: &[&str]| Amendment {
            notes: notes.iter().map(ToString::to_string).collect(),
            ..Amendment::default()
        };
        let said = Message {
            id: MessageId::new("m1"),
            role: Role::User,
            content: vec![Block::text("hi")],
            created_at: 7,
            seq: crate::id::Seq(3),
            interrupted: false,
            metadata: serde_json::Map::new(),
        };
        let history: Pages<Message> = [Arc::new(said)].into_iter().collect();
        let after = notes(&["a", " ", "b"]).messages_after(&history);
        assert_eq!((history.len(), after.len()), (1, 2), "the history stays as it is");
        let added = after.last().map(|m| (m.role, m.content.clone()));
        assert_eq!(added, Some((Role::User, vec![Block::text("a"), Block::text("b")])));
        assert_eq!(notes(&[" "]).messages_after(&history), history);
        assert_eq!(notes(&["a"]).messages_after(&Pages::default()).len(), 0, "there is nothing to ask");
    }
}
