//! libFuzzer's way into [`http2::hpack`].

#![no_main]

#[path = "../http2.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod http2;

libfuzzer_sys::fuzz_target!(|data: &[u8]| http2::hpack(data));
