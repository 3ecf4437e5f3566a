//! Enums that are written with the variant's name as their first member, read at the price of their members.
//!
//! Serde reads such an enum by keeping all of its members aside until it met the name: twice the work for every
//! fact and every block of a start. Here the name is looked for where it is always written, first, and the members
//! are read straight into the variant. Where a person or another program wrote them in another order, they are
//! kept aside too. What is written is serde's own form, byte for byte.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, Unexpected, VariantAccess,
    Visitor,
};
use serde_json::Map;

/// Defines an enum of struct variants as `#[serde(tag = …, rename_all = "snake_case")]` would, but for the reading.
macro_rules! tagged {
    ($(#[$doc:meta])* $vis:vis enum $name:ident by $tag:literal { $($variants:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        #[serde(tag = $tag, rename_all = "snake_case")]
        $vis enum $name { $($variants)* }

        const _: () = {
            type Whole = $name;

            // Says how the members of each variant are read; there is never one of it.
            #[derive(::serde::Deserialize)]
            #[serde(remote = "Whole", rename_all = "snake_case")]
            enum Variants { $($variants)* }

            impl<'de> $crate::tagged::Tagged<'de> for $name {
                const TAG: &'static str = $tag;

                fn of_variant<D: ::serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    Variants::deserialize(from)
                }
            }

            impl<'de> ::serde::Deserialize<'de> for $name {
                fn deserialize<D: ::serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    $crate::tagged::read(from)
                }
            }
        };
    };
}
pub(crate) use tagged;

/// An enum that knows how to read a variant whose name stands before its members.
pub(crate) trait Tagged<'de>: Sized {
    /// The member that holds the variant's name.
    const TAG: &'static str;

    /// Reads the variant from what serde calls an externally tagged enum.
    fn of_variant<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

/// Reads an object whose member [`Tagged::TAG`] names the variant, wherever it stands.
pub(crate) fn read<'de, T: Tagged<'de>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    from.deserialize_map(Members(PhantomData))
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Tagged<'de>> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with the member `{}`", T::TAG)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<T, A::Error> {
        match members.next_key_seed(OtherThan(T::TAG))? {
            Some(None) => T::of_variant(Variant(members)),
            Some(Some(first)) => sorted(first, members),
            None => Err(A::Error::missing_field(T::TAG)),
        }
    }
}

/// The same with the name moved to the front.
fn sorted<'de, T: Tagged<'de>, A: MapAccess<'de>>(first: String, mut members: A) -> Result<T, A::Error> {
    let mut aside = Map::new();
    let mut next = Some(first);
    while let Some(key) = next {
        if aside.contains_key(&key) {
            return Err(A::Error::custom(format_args!("duplicate field `{key}`")));
        }
        aside.insert(key, members.next_value()?);
        next = members.next_key()?;
    }
    let name = aside.remove(T::TAG).ok_or_else(|| A::Error::missing_field(T::TAG))?;
    let mut members = MapDeserializer::new(std::iter::once((T::TAG.to_owned(), name)).chain(aside));
    members.next_key::<IgnoredAny>().map_err(A::Error::custom)?;
    T::of_variant(Variant::<MapDeserializer<'_, _, serde_json::Error>>(members)).map_err(A::Error::custom)
}

/// Reads a key: nothing if it is this one, else the key.
struct OtherThan(&'static str);

impl<'de> DeserializeSeed<'de> for OtherThan {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<String>, D::Error> {
        from.deserialize_identifier(self)
    }
}

impl Visitor<'_> for OtherThan {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Option<String>, E> {
        Ok((key != self.0).then(|| key.to_owned()))
    }
}

/// Members of which the next value is the variant's name and the others are the variant's.
struct Variant<A>(A);

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Variant<A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Variant<A> {
    type Error = A::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<(S::Value, Self), A::Error> {
        Ok((self.0.next_value_seed(seed)?, self))
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Variant<A> {
    type Error = A::Error;

    fn unit_variant(mut self) -> Result<(), A::Error> {
        while self.0.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        seed.deserialize(MapAccessDeserializer::new(self.0))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, A::Error> {
        Err(A::Error::invalid_type(Unexpected::TupleVariant, &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    tagged! {
    /// Defined as facts are.
    enum Here by "kind" {
        Plain { text: String },
        Full {
            #[serde(rename = "nthOf")]
            nth: u32,
            #[serde(default)]
            names: Vec<String>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            note: Option<String>,
            any: Value,
        },
        NothingElse {},
    }
    }

    /// The same, read by serde alone.
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Serdes {
        Plain {
            text: String,
        },
        Full {
            #[serde(rename = "nthOf")]
            nth: u32,
            #[serde(default)]
            names: Vec<String>,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            note: Option<String>,
            any: Value,
        },
        NothingElse {},
    }

    /// Members with values that mostly fit them.
    const MEMBERS: [(&str, &[&str]); 7] = [
        (
            "kind",
            &[r#""plain""#, r#""full""#, r#""full""#, r#""full""#, r#""nothing_else""#, r#""else""#, "1"],
        ),
        ("text", &[r#""a \" b""#, r#""""#, "null"]),
        ("nthOf", &["0", "7", "7", "4294967296", "-1"]),
        ("names", &["[]", r#"["a","b"]"#, "[1]"]),
        ("note", &["null", r#""n""#, "1"]),
        ("any", &["null", "1.5", r#"{"kind":[1,{"text":2}]}"#, r#""x""#]),
        ("other", &["null", r#"{"kind":"plain"}"#]),
    ];

    /// An object with some of the members, in any order.
    fn object() -> impl Strategy<Value = String> {
        let member = |(key, values): (&'static str, &'static [&'static str])| {
            proptest::sample::select(values).prop_map(move |value| format!("{key:?}:{value}"))
        };
        let members = proptest::sample::subsequence(MEMBERS.to_vec(), 0..=MEMBERS.len()).prop_shuffle();
        let members = members.prop_flat_map(move |some| some.into_iter().map(member).collect::<Vec<_>>());
        members.prop_map(|members| format!("{{{}}}", members.join(",")))
    }

    fn written<T: serde::Serialize>(read: serde_json::Result<T>) -> Option<String> {
        read.ok().map(|value| serde_json::to_string(&value).expect("it was read from JSON"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_serde_reads_is_read_and_nothing_else(object in object()) {
            let serdes = written(serde_json::from_str::<Serdes>(&object));
            prop_assert_eq!(written(serde_json::from_str::<Here>(&object)), serdes.clone());
            let value: Value = serde_json::from_str(&object).expect("it is JSON");
            prop_assert_eq!(written(serde_json::from_value::<Here>(value)), serdes);
        }
    }

    #[test]
    fn the_variants_name_may_stand_anywhere() {
        let first = r#"{"kind":"full","nthOf":3,"names":["a"],"any":null}"#;
        let last = r#"{"any":null,"names":["a"],"nthOf":3,"kind":"full"}"#;
        assert_eq!(written(serde_json::from_str::<Here>(first)).as_deref(), Some(first));
        assert_eq!(written(serde_json::from_str::<Here>(last)).as_deref(), Some(first));
    }

    #[test]
    fn an_error_says_what_is_missing_or_unknown() {
        let error = |text| serde_json::from_str::<Here>(text).expect_err("it fits no variant").to_string();
        assert!(error("{}").starts_with("missing field `kind`"));
        assert!(error(r#"{"text":"a"}"#).starts_with("missing field `kind`"));
        assert!(error(r#"{"kind":"plain"}"#).starts_with("missing field `text`"));
        assert!(error(r#"{"kind":"later"}"#).starts_with("unknown variant `later`, expected one of"));
    }
}
