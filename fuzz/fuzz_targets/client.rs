//! libFuzzer's way into [`http1::client`].

#![no_main]

#[path = "../http1.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod http1;

libfuzzer_sys::fuzz_target!(|data: &[u8]| http1::client(data));
