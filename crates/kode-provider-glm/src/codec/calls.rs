//! Tool calls put together from their deltas.
//!
//! Whether the arguments are JSON is not asked here: the machine tells the model when they are not.

use kode_core::model::{AskedCall, ErrorClass, ModelError};

use super::chunk::CallDelta;

/// One call under way.
#[derive(Debug, Default)]
struct Open {
    index: Option<i64>,
    id: Option<String>,
    name: String,
    arguments: String,
}

/// The calls of one answer.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Open>);

impl Calls {
    /// Adds a delta to the call that it belongs to.
    pub(super) fn take(&mut self, mut delta: CallDelta) {
        let function = delta.function();
        if delta.id.is_none() && function.name.is_none() && function.arguments.is_none() {
            return;
        }
        let at = self.place(&delta, function.name.is_some());
        let call = match at {
            Some(at) => &mut self.0[at],
            None => {
                self.0.push(Open { index: delta.index, ..Open::default() });
                self.0.last_mut().expect("a call was just pushed")
            }
        };
        call.id = call.id.take().or(delta.id);
        if call.name.is_empty() {
            // Repeated on later fragments by some gateways: never appended.
            call.name = function.name.unwrap_or_default();
        }
        call.arguments.push_str(&function.arguments.unwrap_or_default());
    }

    /// Which open call a delta continues: the one of its index; without an index the one of its id;
    /// without either the last.
    fn place(&self, delta: &CallDelta, named: bool) -> Option<usize> {
        let find = |is: &dyn Fn(&Open) -> bool| self.0.iter().rposition(is);
        match (delta.index, &delta.id) {
            // Gateways that number every call 0 still give each its own id and name.
            (Some(_), id) => find(&|call| call.index == delta.index)
                .filter(|at| !(named && id.is_some() && self.0[*at].id.is_some() && self.0[*at].id != *id)),
            (None, Some(_)) => find(&|call| call.id == delta.id),
            (None, None) => self.0.len().checked_sub(1),
        }
    }

    /// The calls in the model's order.
    ///
    /// # Errors
    /// [`ErrorClass::MalformedChunk`] where a call never got a name: it can be neither run nor answered.
    pub(super) fn finish(self) -> Result<Vec<AskedCall>, ModelError> {
        let mut calls = self.0;
        // Stable: calls without an index stay where they came.
        calls.sort_by_key(|call| call.index.unwrap_or(i64::MAX));
        if calls.iter().any(|call| call.name.is_empty()) {
            return Err(ModelError::retryable(ErrorClass::MalformedChunk, "a tool call has no name"));
        }
        Ok(calls.into_iter().map(|call| AskedCall { name: call.name, arguments: call.arguments }).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn finish(deltas: impl IntoIterator<Item = Value>) -> Result<Vec<(String, String)>, ErrorClass> {
        let mut calls = Calls::default();
        for delta in deltas {
            calls.take(serde_json::from_value(delta).unwrap());
        }
        let asked = calls.finish().map_err(|e| e.class)?;
        Ok(asked.into_iter().map(|call| (call.name, call.arguments)).collect())
    }

    fn delta(index: Value, id: Value, name: Value, arguments: Value) -> Value {
        json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}})
    }

    fn call(name: &str, arguments: &str) -> (String, String) {
        (name.into(), arguments.into())
    }

    #[test]
    fn later_fragments_omit_null_empty_or_repeat_id_and_name() {
        let tails = [
            json!({"index": 0, "function": {"arguments": "1}"}}),
            delta(json!(0), json!(null), json!(null), json!("1}")),
            delta(json!(0), json!(""), json!(""), json!("1}")),
            delta(json!(0), json!("a"), json!("f"), json!("1}")),
            delta(json!(0), json!("fresh-id-without-a-name"), json!(null), json!("1}")),
        ];
        for tail in tails {
            let head = delta(json!(0), json!("a"), json!("f"), json!("{\"x\":"));
            assert_eq!(finish([head, tail.clone()]), Ok(vec![call("f", "{\"x\":1}")]), "after {tail}");
        }
    }

    #[test]
    fn without_an_index_a_new_id_opens_a_call_and_none_continues_the_last() {
        let deltas = [
            json!({"id": "-1", "function": {"name": "f", "arguments": "{"}}),
            json!({"function": {"arguments": "}"}}),
            json!({"id": "-2", "function": {"name": "g", "arguments": ""}}),
            json!({"id": "-2", "function": {"arguments": "{}"}}),
        ];
        assert_eq!(finish(deltas), Ok(vec![call("f", "{}"), call("g", "{}")]));
    }

    /// Scenario 9. Upstream mixes such pieces up [S].
    #[test]
    fn interleaved_fragments_find_their_call_and_come_in_the_order_of_their_index() {
        let deltas = [
            delta(json!(1), json!("b"), json!("g"), json!("[")),
            delta(json!(0), json!("a"), json!("f"), json!("{")),
            delta(json!(1), json!(null), json!(null), json!("]")),
            delta(json!(0), json!(null), json!(null), json!("}")),
        ];
        assert_eq!(finish(deltas), Ok(vec![call("f", "{}"), call("g", "[]")]));
    }

    #[test]
    fn a_new_id_and_name_under_a_used_index_is_another_call() {
        let deltas = [
            delta(json!(0), json!("a"), json!("f"), json!("{}")),
            delta(json!(0), json!("b"), json!("f"), json!("{\"x\":")),
            delta(json!(0), json!(""), json!(""), json!("1}")),
        ];
        assert_eq!(finish(deltas), Ok(vec![call("f", "{}"), call("f", "{\"x\":1}")]));
    }

    #[test]
    fn arguments_may_come_as_an_object_or_not_at_all_and_need_not_be_json() {
        assert_eq!(
            finish([delta(json!(0), json!("a"), json!("f"), json!({"x": 1}))]),
            Ok(vec![call("f", "{\"x\":1}")])
        );
        assert_eq!(
            finish([json!({"index": 0, "id": "a", "function": {"name": "f"}})]),
            Ok(vec![call("f", "")])
        );
        assert_eq!(
            finish([delta(json!(0), json!("a"), json!("f"), json!("{\"x\": tru"))]),
            Ok(vec![call("f", "{\"x\": tru")])
        );
    }

    #[test]
    fn an_empty_delta_is_nothing_and_a_call_without_a_name_is_a_broken_answer() {
        assert_eq!(finish([json!({}), delta(json!(0), json!(""), json!(null), json!(""))]), Ok(vec![]));
        assert_eq!(finish([json!({"index": 0, "id": "a"})]), Err(ErrorClass::MalformedChunk));
    }
}
