//! Tests that this machine cannot run: each says so in one line, and `.ci/run` counts the lines.

#![allow(dead_code, reason = "each test binary uses its own part of this file")]
#![allow(clippy::panic, reason = "helpers of tests fail as tests do")]

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{Write as _, stderr};
use std::panic::Location;
use std::thread;

/// Names the file to which each skipped test adds its line; set by `.ci/run`.
const SKIPPED_FILE: &str = "SQUALL_SKIPPED_FILE";

/// Reports that the running test, or a part of it, is skipped, and what this machine lacks for it.
///
/// # Panics
///
/// When `.ci/run` has named a file for these lines that cannot be written.
#[track_caller]
pub(crate) fn skip(why: impl Display) {
    let place = Location::caller();
    let thread = thread::current();
    // The test harness names the thread of a test after it. A lone test runs on the main thread.
    let test = match thread.name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => format!("{}:{}", place.file(), place.line()),
    };
    let line = format!("skipped: {test}: {why}\n");
    // The harness hides what a passing test prints with `eprintln!`, but not this.
    stderr().write_all(line.as_bytes()).unwrap_or_default();
    if let Some(path) = std::env::var_os(SKIPPED_FILE) {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.unwrap_or_else(|error| panic!("could not write {}: {error}", path.display()));
    }
}

/// Skips the running test for lack of a program or a library that can be installed.
///
/// # Panics
///
/// When `SQUALL_TEST_CLIENTS` is `all`, as in `.ci/run`, which installs all of them.
#[track_caller]
pub(crate) fn skip_without_program(why: impl Display) {
    let is_demanded = std::env::var("SQUALL_TEST_CLIENTS").is_ok_and(|value| value == "all");
    assert!(!is_demanded, "could not run the test: {why}");
    skip(why);
}
