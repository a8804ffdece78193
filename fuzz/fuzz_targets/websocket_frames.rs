//! libFuzzer's way into [`websocket::frames`].

#![no_main]

#[path = "../websocket.rs"]
#[allow(dead_code, reason = "each target uses its own part")]
mod websocket;

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket::frames(data));
