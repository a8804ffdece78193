//! What the documents say is so: the README's program and commands, the sentences it promises, and every file that is pointed to.
//!
//! (Its programs are compiled and run as doctests of `src/lib.rs`.)

#![cfg(feature = "serve")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use std::fs;
use std::path::Path;

use squall::shards::preflight::PreflightError;

/// The documents at the top.
const DOCUMENTS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

#[test]
fn the_first_program_of_the_readme_is_the_example_hello() {
    let example = read("examples/hello.rs");
    let code = example
        .lines()
        .skip_while(|line| line.starts_with("//!") || line.is_empty());
    let code = code.map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!(blocks(&read("README.md"), "rust")[0], code);
}

#[test]
fn two_commands_set_a_newcomer_up_and_ci_runs_the_second() {
    let readme = read("README.md");
    assert_eq!(
        blocks(&readme, "sh")[0],
        "cargo run --release --example hello\ncargo test --workspace\n"
    );
    let tests = readme.lines().filter(|line| line.starts_with("cargo test ")).count();
    assert_eq!(tests, 1, "CI takes its test command from the README and must find one");
    let ci = read(".ci/run");
    assert!(
        ci.contains("grep '^cargo test ' README.md"),
        ".ci/run must run the README's test command"
    );
    assert!(
        !ci.contains("cargo test --workspace"),
        ".ci/run must not have a test command of its own"
    );
}

#[test]
fn what_the_readme_says_a_poor_machine_prints_is_what_it_prints() {
    let readme = read("README.md");
    let (ring_bytes, limit_bytes) = (3136 * 1024, 1024 * 1024);
    let refusals = [
        PreflightError::KernelTooOld {
            release: "5.15.0".to_owned(),
            missing: "SINGLE_ISSUER and DEFER_TASKRUN",
        },
        PreflightError::NotCompiledIn {
            release: "6.18.44".to_owned(),
        },
        PreflightError::IoUringDisabled { value: 1 },
        PreflightError::IoUringDisabled { value: 2 },
        PreflightError::SeccompForbids,
        PreflightError::SandboxForbids,
        PreflightError::MemlockTooLow { limit_bytes: 64 * 1024 },
        PreflightError::RingsTooLarge {
            limit_bytes,
            needed_bytes: ring_bytes,
        },
        PreflightError::OutOfMemory {
            needed_bytes: ring_bytes,
        },
        PreflightError::NofileTooLow { limit: 40, needed: 48 },
    ];
    for refusal in refusals {
        let sentence = refusal.to_string();
        assert!(readme.contains(&sentence), "the README does not have: {sentence}");
    }
}

#[test]
fn every_link_leads_to_a_file() {
    for document in DOCUMENTS {
        let text = read(document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let is_elsewhere = link.starts_with("http") || link.starts_with('#');
            assert!(
                is_elsewhere || exists(link),
                "{document} links to {link}, which is not there"
            );
        }
    }
}

#[test]
fn every_file_that_is_named_is_there() {
    for document in DOCUMENTS {
        let text = read(document);
        for name in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
            let is_path = name.contains('/') && (name.ends_with(".rs") || name.ends_with('/')) && !name.contains(' ');
            assert!(!is_path || exists(name), "{document} names {name}, which is not there");
        }
    }
}

/// What a newcomer copies from a command line is there: the example it runs, the file it reads.
#[test]
fn every_command_names_what_there_is() {
    let commands = blocks(&read("README.md"), "sh").concat();
    let words: Vec<&str> = commands.split_ascii_whitespace().collect();
    let examples = words
        .windows(2)
        .filter(|pair| pair[0] == "--example")
        .map(|pair| pair[1]);
    let built = words
        .iter()
        .filter_map(|word| word.strip_prefix("target/release/examples/"));
    for example in examples.chain(built) {
        let is_there = exists(&format!("examples/{example}.rs")) || exists(&format!("examples/{example}/main.rs"));
        assert!(is_there, "there is no example {example}");
    }
    let files = words.iter().map(|word| word.rsplit('=').next().unwrap_or(word));
    for file in files.filter(|word| word.contains('/') && word.ends_with(".json")) {
        assert!(exists(file), "a command reads {file}, which is not there");
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

fn exists(path: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()
}

/// What stands between the fences of a language, in order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut inside = false;
    let mut ours = false;
    for line in text.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            inside = !inside;
            ours = inside && fence.split(',').next() == Some(language);
            if ours {
                blocks.push(String::new());
            }
        } else if let Some(block) = blocks.last_mut().filter(|_| ours) {
            *block += line;
            block.push('\n');
        }
    }
    blocks
}
