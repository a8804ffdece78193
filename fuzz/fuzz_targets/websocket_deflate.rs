//! libFuzzer's way into [`websocket::deflate`].

#![no_main]

#[path = "../websocket.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod websocket;

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket::deflate(data));
