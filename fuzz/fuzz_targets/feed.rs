//! libFuzzer's way into [`feed::requests`].

#![no_main]

#[path = "../feed.rs"]
mod feed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| feed::requests(data));
