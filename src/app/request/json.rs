//! Decoding JSON content with a limit on its nesting.
//!
//! Decoding recurses once a level. So the depth is checked first, without recursion. serde_json's own limit is off: it
//! does not count levels that the decoded type ignores.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::field_path::failed_field;
use crate::error::{Error, HttpError, Result, bad_request};
use crate::message::StatusCode;

/// Most arrays and objects open at once in JSON. 128: where serde_json and most other decoders stop too.
///
/// A shard's stack is 2 MiB. In an unoptimized build, a level of a small struct took 5 KiB of it, a level of
/// [`serde_json::Value`] 2 KiB.
const DEPTH_MAX: usize = 128;

/// Deepest JSON whose errors name the field that failed. The record takes more of the stack for each level.
const FIELD_DEPTH_MAX: usize = 32;

/// Decodes the complete content of a request.
///
/// # Errors
///
/// 400 if the content is not UTF-8, is nested deeper than [`DEPTH_MAX`] levels, or is not JSON. 422, naming the field, if
/// it does not fit `T` (RFC 9110 §15.5.21).
pub(in crate::app) fn decode<T: DeserializeOwned>(content: &[u8]) -> Result<T> {
    // All of it is checked, because the decoder skips strings that `T` ignores.
    let content = str::from_utf8(content).map_err(|_| bad_request("the JSON is not UTF-8"))?;
    if is_deeper(content.as_bytes(), DEPTH_MAX) {
        return Err(bad_request(format!("the JSON is more than {DEPTH_MAX} levels deep")));
    }
    let mut decoder = decoder(content);
    let value = T::deserialize(&mut decoder).and_then(|value| decoder.end().map(|()| value));
    value.map_err(|error| match error.classify() {
        Category::Data => misfit::<T>(content, &error),
        Category::Syntax if is_out_of_range(&error) => misfit::<T>(content, &error),
        Category::Io | Category::Syntax | Category::Eof => bad_request(format!("could not decode the JSON: {error}")),
    })
}

/// The error of JSON that does not fit `T`.
fn misfit<T: DeserializeOwned>(content: &str, error: &serde_json::Error) -> Error {
    // A record of the path takes more stack for each level.
    let field = if is_deeper(content.as_bytes(), FIELD_DEPTH_MAX) {
        None
    } else {
        failed_field::<T>(&mut decoder(content))
    };
    let field = field.map_or_else(String::new, |field| format!("`{field}`: "));
    let message = format!("could not decode the JSON: {field}{error}");
    HttpError::new(StatusCode::UNPROCESSABLE_ENTITY)
        .with_message(message)
        .into()
}

/// Whether a number, such as 1e400, is valid JSON and fits no type. The decoder reports it as a fault of the syntax.
fn is_out_of_range(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("number out of range")
}

fn decoder(content: &str) -> serde_json::Deserializer<serde_json::de::StrRead<'_>> {
    let mut decoder = serde_json::Deserializer::from_str(content);
    decoder.disable_recursion_limit();
    decoder
}

/// Whether more than `depth_max` arrays and objects are open at once.
///
/// In invalid JSON, it checks at least as far as a decoder reads.
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
            // An unmatched bracket is invalid JSON, which the decoder reports.
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

    /// The number of levels of a decoded value.
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
    fn invalid_json_is_checked_as_far_as_a_decoder_reads() {
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
