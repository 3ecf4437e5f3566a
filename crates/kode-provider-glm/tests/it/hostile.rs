//! Whatever comes in, the codec answers: it never panics and always decides.

use kode_testkit::rounds;
use proptest::prelude::*;

use crate::support::{DONE, decode, finish, text};

fn cases() -> ProptestConfig {
    ProptestConfig::with_cases(rounds::cases("hostile streams", 128, 20_000))
}

/// JSON that nearly is a chunk: right names, any values, any depth.
fn nearly_a_chunk() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("\"\"".to_owned()),
        Just("-1".to_owned()),
        Just("1e400".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        "\"[a-zé👋]{0,4}\"",
    ];
    let name = prop_oneof![
        Just("id"),
        Just("choices"),
        Just("delta"),
        Just("index"),
        Just("tool_calls"),
        Just("function"),
        Just("name"),
        Just("arguments"),
        Just("content"),
        Just("text"),
        Just("usage"),
        Just("prompt_tokens"),
        Just("finish_reason"),
        Just("error"),
        Just("code"),
        Just("success"),
        Just("message"),
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        let field = (name.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            prop::collection::vec(field, 0..5).prop_map(|fields| format!("{{{}}}", fields.join(","))),
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn arbitrary_bytes_are_decided(wire in prop::collection::vec(any::<u8>(), 0..400)) {
        decode(wire.chunks(3));
    }

    #[test]
    fn nearly_right_chunks_are_decided_the_same_however_cut(chunks in prop::collection::vec(nearly_a_chunk(), 0..6)) {
        let frames: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
        let wire = format!("{}{frames}{}{DONE}", text("a"), finish("stop"));
        prop_assert_eq!(decode(wire.as_bytes().chunks(5)), decode([wire.as_bytes()]));
    }
}
