//! libFuzzer's way into [`http1::response`].

#![no_main]

#[path = "../http1.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod http1;

libfuzzer_sys::fuzz_target!(|data: &[u8]| http1::response(data));
