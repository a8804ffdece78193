//! The crates that `cargo run --example hello` compiles: few, and without those of tests and benchmarks.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed test panics"
)]

use std::collections::BTreeSet;
use std::process::Command;

/// The most crates that an example may build. A commit that adds one raises this number and says why.
///
/// Nine belong to the feature `compression`, which the example conformance needs, seven to `templates`, and three to `hmac`,
/// which signs cookies.
const CRATES_MAX: usize = 177;

/// Crates that belong to packages of their own: benchmarks, compile errors, counted allocations, seccomp filters, models,
/// processes of property tests.
const FORBIDDEN: [&str; 8] = [
    "ciborium",
    "criterion",
    "loom",
    "rusty-fork",
    "seccompiler",
    "stats_alloc",
    "tempfile",
    "trybuild",
];

/// The crates of the root package with its dev-dependencies, which Cargo builds for every example.
fn crates_of_an_example() -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--package", "squall"])
        .args(["--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let lines = String::from_utf8(tree.stdout).unwrap();
    // A line such as `bytes v1.12.0 (*)`, or `squall v0.1.0 (/path)`.
    let names = lines
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn an_example_builds_few_crates() {
    let crates = crates_of_an_example();
    assert!(
        crates.len() <= CRATES_MAX,
        "{} crates instead of {CRATES_MAX}: {crates:#?}",
        crates.len()
    );
    // A ceiling far above the truth would let crates in unseen.
    assert!(
        crates.len() + 10 > CRATES_MAX,
        "only {} crates: lower the ceiling",
        crates.len()
    );
}

#[test]
fn an_example_builds_without_the_tools_of_tests_and_benchmarks() {
    let crates = crates_of_an_example();
    for name in FORBIDDEN {
        let found = crates.iter().find(|found| found.split(' ').next() == Some(name));
        assert_eq!(
            found, None,
            "move what needs it to a package of its own, as `benches/` is"
        );
    }
}
