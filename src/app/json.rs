//! JSON out of a request's content. How deep it is nested is looked at before it is decoded, because decoding a level calls itself for
//! the next one: the look takes no stack, so the limit can be any that the stack has room for.
//!
//! serde_json has a limit of its own, which is switched off: it cannot be set, and does not count what the decoded type ignores.

use serde::de::DeserializeOwned;

use super::request::bad_request;
use crate::error::Result;

/// Decodes all of a request's content.
///
/// # Errors
///
/// 400 if it is nested deeper than `depth_max` levels, is not JSON, or no `T`.
pub(super) fn decode<T: DeserializeOwned>(content: &[u8], depth_max: usize) -> Result<T> {
    if is_deeper(content, depth_max) {
        return Err(bad_request(format!("the JSON is more than {depth_max} levels deep")));
    }
    let mut decoder = serde_json::Deserializer::from_slice(content);
    decoder.disable_recursion_limit();
    let value = T::deserialize(&mut decoder).and_then(|value| decoder.end().map(|()| value));
    value.map_err(|error| bad_request(format!("the JSON is not as expected: {error}")))
}

/// Whether more than `depth_max` arrays and objects are open at once. Of what is no JSON it looks at least as far as a decoder comes.
fn is_deeper(content: &[u8], depth_max: usize) -> bool {
    let (mut depth, mut in_string) = (0_usize, false);
    let mut bytes = content.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_deeper;
    use proptest::prelude::*;
    use serde_json::Value;

    /// How many levels a value has, as it was decoded.
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
            Value::Object(values) => 1 + values.values().map(depth).max().unwrap_or(0),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let strings = "[\\[\\]{}\"\\\\a]{0,6}";
        let leaves = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            strings.prop_map(Value::from)
        ];
        leaves.prop_recursive(6, 48, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(strings, inner, 0..4)
                    .prop_map(|values| Value::Object(values.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn depth_is_that_of_the_decoded_value(value in values()) {
            let (depth, text) = (depth(&value), value.to_string());
            prop_assert!(!is_deeper(text.as_bytes(), depth));
            prop_assert!(depth == 0 || is_deeper(text.as_bytes(), depth - 1));
        }
    }

    #[test]
    fn what_is_no_json_is_looked_at_as_far_as_it_could_be() {
        for (text, deeper) in [
            ("[[", true),
            ("]]][", false),
            ("]]][[", true),
            ("[\"[", false),
            ("[\"\\", false),
            ("\"\\\"[[\"", false),
            ("\"\\\\\"[[", true),
            ("", false),
        ] {
            assert_eq!(is_deeper(text.as_bytes(), 1), deeper, "{text}");
        }
    }
}
