//! libFuzzer's way into [`languages::languages`].

#![no_main]

#[path = "../languages.rs"]
mod languages;

libfuzzer_sys::fuzz_target!(|data: &[u8]| languages::languages(data));
