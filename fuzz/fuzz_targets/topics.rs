//! libFuzzer's way into [`pubsub::topics`].

#![no_main]

#[path = "../pubsub.rs"]
mod pubsub;

libfuzzer_sys::fuzz_target!(|data: &[u8]| pubsub::topics(data));
