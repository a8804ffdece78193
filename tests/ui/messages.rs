//! What the compiler says of typical mistakes in applications: each file of `cases/` has one, and its message beside it.
//!
//! The messages are those of one version of the compiler. After a change of ours or of the compiler, write them anew
//! and read the difference: `TRYBUILD=overwrite cargo test -p squall-ui-tests`.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail it by panicking")]

#[path = "../../shards/tests/common/skip.rs"]
mod skip;

use std::process::Command;

/// The version of the compiler that wrote the messages.
const WRITTEN_BY: &str = "rustc 1.95.";

#[test]
fn the_compiler_names_the_mistake() {
    let version = Command::new("rustc").arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    if !version.starts_with(WRITTEN_BY) {
        return skip::skip(format!(
            "the messages are those of {WRITTEN_BY}x, and this is {}",
            version.trim_end()
        ));
    }
    trybuild::TestCases::new().compile_fail("cases/*.rs");
}
