//! Random values: what tools give, pieces of text, kinds of failures.

use kode_core::model::ErrorClass;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

/// What tools give, falsy and odd values first.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        8 => Just(Value::Null),
        8 => any::<bool>().prop_map(Value::from),
        8 => any::<i64>().prop_map(Value::from),
        8 => any::<u64>().prop_map(Value::from),
        8 => any::<f64>().prop_map(Value::from),
        8 => "\\PC{0,9}\u{0}?".prop_map(Value::from),
        1 => "[é…😀]{1,3}".prop_map(|text| Value::from(text.repeat(24_000))),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            vec((any::<String>(), inner), 0..3).prop_map(|pairs| pairs.into_iter().collect::<Value>()),
        ]
    })
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just("words ".to_owned()), 1 => Just(" ".to_owned()), 1 => "\\PC{1,4}"]
}

pub(crate) fn class() -> impl Strategy<Value = ErrorClass> {
    use ErrorClass::{Auth, ContextOverflow, EmptyAnswer, Overloaded, Server};
    select(vec![Overloaded, Server, EmptyAnswer, Auth, ContextOverflow])
}
