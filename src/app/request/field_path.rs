//! Finds the field that failed to decode, such as `items[2].count`.
//!
//! The first decoding records no path, because that allocates for each key. So a value that failed is decoded a second
//! time, with a record of its path.

use serde::de::{Deserialize, Deserializer};

/// Longest path that an error names, in bytes. Keys come from the client, and a field's path is rarely over 60.
const PATH_BYTES_MAX: usize = 200;

/// Decodes a value that failed, and returns the path of the field that failed; `None` if the value itself did.
pub(super) fn failed_field<'de, T: Deserialize<'de>>(decoder: impl Deserializer<'de>) -> Option<String> {
    let error = serde_path_to_error::deserialize::<_, T>(decoder).err()?;
    let path = error.path().to_string();
    (path != "." && path.len() <= PATH_BYTES_MAX).then_some(path)
}
