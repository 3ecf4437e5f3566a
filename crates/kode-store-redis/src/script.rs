//! The functions that run in the server. Each is one step that nothing comes between; what they may do is their
//! files' to say.

use std::sync::LazyLock;

use redis::{Cmd, Value};

use kode_core::id::Epoch;
use kode_core::store::{Lease, StoreError};

use crate::error::strange;

/// One function.
pub(crate) struct Script {
    pub(crate) name: &'static str,
    code: String,
    hash: String,
}

macro_rules! scripts {
    ($($constant:ident $file:literal),* $(,)?) => {
        $(
            pub(crate) static $constant: LazyLock<Script> = LazyLock::new(|| {
                Script::new($file, concat!(include_str!("scripts/prelude.lua"), include_str!(concat!("scripts/", $file, ".lua"))))
            });
        )*
    };
}

scripts! {
    ACQUIRE "acquire",
    ANNOUNCE "announce",
    APPEND "append",
    COUNT "count",
    DELETE "delete",
    ELIDE "elide",
    HOLDER "holder",
    INDEX_ADD "index_add",
    INDEX_DROP "index_drop",
    INDEX_KEEP "index_keep",
    LOAD_CHECKPOINT "load_checkpoint",
    NODES "nodes",
    PUT_BLOB "put_blob",
    READ_BLOB "read_blob",
    READ_CURSOR "read_cursor",
    RELEASE "release",
    RENEW "renew",
    SAVE_CHECKPOINT "save_checkpoint",
    SETTLE "settle",
}

impl Script {
    pub(crate) fn new(name: &'static str, code: &str) -> Self {
        let hash = redis::Script::new(code).get_hash().to_owned();
        Self { name, code: code.to_owned(), hash }
    }

    /// The call of a function that the server knows.
    pub(crate) fn by_hash(&self, keys: &[String], args: &Args) -> Cmd {
        Self::call("EVALSHA", &self.hash, keys, args)
    }

    /// The same for a server that does not know it yet: it learns it.
    pub(crate) fn in_full(&self, keys: &[String], args: &Args) -> Cmd {
        Self::call("EVAL", &self.code, keys, args)
    }

    fn call(command: &str, function: &str, keys: &[String], args: &Args) -> Cmd {
        let mut cmd = redis::cmd(command);
        cmd.arg(function).arg(keys.len()).arg(keys);
        for arg in &args.0 {
            cmd.arg(arg.as_slice());
        }
        cmd
    }
}

/// What a function is given.
#[derive(Default)]
pub(crate) struct Args(Vec<Vec<u8>>);

impl Args {
    /// The same and a text.
    pub(crate) fn text(self, value: impl ToString) -> Self {
        self.bytes(value.to_string())
    }

    /// The same and bytes.
    pub(crate) fn bytes(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.0.push(value.into());
        self
    }
}

/// What a function answers: a word, and what belongs to it.
#[derive(Debug)]
pub(crate) struct Answer {
    function: &'static str,
    values: Vec<Value>,
}

impl Answer {
    pub(crate) fn new(function: &'static str, value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(values) => Ok(Self { function, values }),
            other => Err(strange(function, &other)),
        }
    }

    /// The word.
    pub(crate) fn word(&self) -> &str {
        match self.values.first() {
            Some(Value::BulkString(bytes)) => std::str::from_utf8(bytes).unwrap_or_default(),
            _ => "",
        }
    }

    /// A number behind the word, the first being 1.
    pub(crate) fn number(&self, at: usize) -> Result<u64, StoreError> {
        match self.values.get(at) {
            Some(Value::Int(number)) => u64::try_from(*number).map_err(|_| self.strange()),
            Some(Value::BulkString(_)) => self.text(at)?.parse().map_err(|_| self.strange()),
            _ => Err(self.strange()),
        }
    }

    /// An epoch behind the word.
    pub(crate) fn epoch(&self, at: usize) -> Result<Epoch, StoreError> {
        u32::try_from(self.number(at)?).map(Epoch).map_err(|_| self.strange())
    }

    /// A text behind the word.
    pub(crate) fn text(&self, at: usize) -> Result<String, StoreError> {
        String::from_utf8(self.bytes(at)?).map_err(|_| self.strange())
    }

    /// Bytes behind the word.
    pub(crate) fn bytes(&self, at: usize) -> Result<Vec<u8>, StoreError> {
        match self.values.get(at) {
            Some(Value::BulkString(bytes)) => Ok(bytes.clone()),
            _ => Err(self.strange()),
        }
    }

    /// The values within one behind the word, each bytes.
    pub(crate) fn list(&self, at: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        match self.values.get(at) {
            Some(Value::Array(values)) => all_bytes(values).ok_or_else(|| self.strange()),
            _ => Err(self.strange()),
        }
    }

    /// The values behind the word, each bytes.
    pub(crate) fn rest(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        all_bytes(self.values.get(1..).unwrap_or_default()).ok_or_else(|| self.strange())
    }

    /// What is not one of the words that the caller knows: the refusal of a lease that is not in force, or an answer
    /// that no function gives.
    pub(crate) fn refusal(&self, lease: &Lease) -> StoreError {
        match (self.word(), self.epoch(1)) {
            ("fenced", Ok(current)) => StoreError::Fenced { epoch: lease.epoch, current },
            _ => self.strange(),
        }
    }

    pub(crate) fn strange(&self) -> StoreError {
        strange(self.function, &self.values)
    }
}

fn all_bytes(values: &[Value]) -> Option<Vec<Vec<u8>>> {
    let bytes = |value: &Value| match value {
        Value::BulkString(bytes) => Some(bytes.clone()),
        _ => None,
    };
    values.iter().map(bytes).collect()
}
