//! libFuzzer's way into [`multipart::forms`].

#![no_main]

#[path = "../multipart.rs"]
mod multipart;

libfuzzer_sys::fuzz_target!(|data: &[u8]| multipart::forms(data));
