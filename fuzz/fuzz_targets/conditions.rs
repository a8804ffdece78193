//! libFuzzer's way into [`files::conditions`].

#![no_main]

#[path = "../files.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod files;

libfuzzer_sys::fuzz_target!(|data: &[u8]| files::conditions(data));
