//! libFuzzer's way into [`identity::signed_values`].

#![no_main]

#[path = "../identity.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod identity;

libfuzzer_sys::fuzz_target!(|data: &[u8]| identity::signed_values(data));
