//! The documents match the code: programs, commands, promised messages, links, and named files and flags.
//!
//! Programs in the README and the guide are compiled and run as doctests of `src/lib.rs`.

#![cfg(feature = "serve")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../shards/tests/common/skip.rs"]
mod skip;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::{Args as _, Command};
use squall::shards::preflight::PreflightError;

/// The documents in the top folder.
const DOCUMENTS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// The folder of the guide.
const GUIDE: &str = "docs/guide";

/// A stranger reads the README in five minutes; the guide has the rest.
const README_LINES_MAX: usize = 250;

#[test]
fn the_readme_fits_on_250_lines() {
    let lines = read("README.md").lines().count();
    assert!(
        lines <= README_LINES_MAX,
        "README.md has {lines} lines; move some to {GUIDE}/"
    );
}

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
fn ci_runs_the_readme_test_command() {
    let readme = read("README.md");
    assert_eq!(
        blocks(&readme, "sh")[0],
        "cargo run --release --example hello\ncargo test --workspace\n"
    );
    let tests = readme.lines().filter(|line| line.starts_with("cargo test ")).count();
    assert_eq!(tests, 1, "README.md must have exactly one test command, which CI runs");
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

/// A file of the guide that `src/lib.rs` does not include would have programs that no test compiles.
#[test]
fn programs_of_every_guide_file_are_doctests() {
    let library = read("src/lib.rs");
    for document in guide().iter().chain([&"README.md".to_owned()]) {
        let included = format!("#[doc = include_str!(\"../{document}\")]");
        assert!(library.contains(&included), "src/lib.rs must have: {included}");
    }
}

/// Only `rust` blocks are compiled. `ignore` would keep one from it.
#[test]
fn programs_of_the_documents_are_compiled() {
    for document in all() {
        let text = read(&document);
        let fences = text.lines().filter(|line| line.starts_with("```"));
        for fence in fences.filter(|fence| fence.len() > 3) {
            let known = ["```rust", "```rust,no_run", "```sh", "```toml", "```text"];
            assert!(
                known.contains(&fence),
                "{document} has a block {fence}; use one of {known:?}"
            );
        }
    }
}

#[test]
fn the_readme_links_every_guide_file() {
    let readme = read("README.md");
    for document in guide() {
        assert!(
            readme.contains(&format!("]({document}")),
            "README.md must link {document}"
        );
    }
}

#[test]
fn the_guide_quotes_every_preflight_error() {
    let guide = read("docs/guide/io-uring-and-containers.md");
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
        assert!(guide.contains(&sentence), "the guide does not have: {sentence}");
    }
}

/// The guide's tables name every flag of the command line, and no flag that was removed.
#[test]
fn the_guide_names_every_flag() {
    let command = squall::Options::augment_args(Command::new("app"));
    let flags = command.get_arguments().filter_map(clap::Arg::get_long);
    let mut declared: BTreeSet<String> = flags.map(|flag| format!("--{flag}")).collect();
    declared.extend(["--help", "--version"].map(str::to_owned));
    assert!(declared.len() > 40, "only {} flags were found", declared.len());
    let guide = read("docs/guide/running.md");
    let named = guide.split('`').filter(|text| text.starts_with("--"));
    let named: BTreeSet<String> = named
        .map(|text| text.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(named, declared, "flags of docs/guide/running.md and of squall::Options");
}

/// The units in the folder of the guide's section on systemd.
const UNITS: [&str; 2] = ["app.socket", "app.service"];

fn unit(name: &str) -> String {
    read(&format!("docs/systemd/{name}"))
}

/// The arguments with which the service starts its server.
fn start_of(service: &str) -> Vec<&str> {
    let mut lines = service.lines().filter_map(|line| line.strip_prefix("ExecStart="));
    lines.next().unwrap().split(' ').collect()
}

#[test]
fn the_guide_shows_the_units_of_systemd_and_the_command_line_has_their_flags() {
    let shown = blocks(&read("docs/guide/running.md"), "text");
    for name in UNITS {
        let unit = unit(name);
        assert!(shown.contains(&unit), "docs/guide/running.md shows another {name}");
        for line in unit.lines().filter(|line| !line.is_empty() && !line.starts_with('[')) {
            let (key, value) = line.split_once('=').expect(line);
            assert!(
                key.chars().all(char::is_alphanumeric) && !value.is_empty(),
                "{name}: {line}"
            );
        }
    }
    let service = unit("app.service");
    let command = squall::Options::augment_args(Command::new("app"));
    let matches = command.try_get_matches_from(start_of(&service)).unwrap();
    assert!(matches.contains_id("listen"));
    let number = |key: &str, end: &str| -> u64 {
        let from = service.split_once(key).expect(key).1;
        from.split(end).next().unwrap().trim().parse().expect(key)
    };
    let stop = number("--shutdown-timeout ", "\n");
    assert!(
        number("TimeoutStopSec=", "\n") > stop,
        "systemd must wait for a graceful stop"
    );
}

#[test]
fn systemd_accepts_the_units() {
    let folder = std::env::temp_dir().join(format!("squall-units-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let service = unit("app.service");
    // systemd verifies that the program exists; this one does.
    let program = std::env::current_exe().unwrap();
    let service = service.replace(start_of(&service)[0], program.to_str().unwrap());
    fs::write(folder.join("app.service"), service).unwrap();
    fs::write(folder.join("app.socket"), unit("app.socket")).unwrap();
    let mut verify = std::process::Command::new("systemd-analyze");
    let verify = verify.arg("verify").args(UNITS.map(|name| folder.join(name)));
    let verified = match verify.output() {
        Ok(verified) => verified,
        Err(error) => return skip::skip(format!("systemd-analyze cannot be run: {error}")),
    };
    fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    let about_ours: Vec<&str> = said.lines().filter(|line| line.contains("app.")).collect();
    assert!(about_ours.is_empty(), "{said}");
}

#[test]
fn every_link_leads_to_a_file() {
    for document in all() {
        let text = read(&document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = beside(&document, path);
            assert!(
                exists(&target),
                "{document} links to {link}, but {target} does not exist"
            );
            if !anchor.is_empty() {
                let found = anchors(&read(&target)).any(|known| known == anchor);
                assert!(found, "{document} links to {link}, but {target} has no such heading");
            }
        }
    }
}

#[test]
fn every_named_file_exists() {
    for document in all() {
        let text = read(&document);
        for name in text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
            let is_path = name.contains('/') && (name.ends_with(".rs") || name.ends_with('/')) && !name.contains(' ');
            let is_path = is_path && !name.starts_with('/');
            assert!(
                !is_path || exists(name),
                "{document} names {name}, which does not exist"
            );
        }
    }
}

/// A newcomer copies commands: the examples they run and the files they read must exist.
#[test]
fn commands_name_existing_examples_and_files() {
    let commands = all()
        .into_iter()
        .map(|document| blocks(&read(&document), "sh").concat());
    let commands = commands.collect::<String>();
    let words: Vec<&str> = commands.split_ascii_whitespace().collect();
    let examples = words
        .windows(2)
        .filter(|pair| pair[0] == "--example")
        .map(|pair| pair[1]);
    let built = words
        .iter()
        .filter_map(|word| word.strip_prefix("target/release/examples/"));
    for example in examples.chain(built) {
        let places = ["", "seccomp/"].map(|folder| format!("examples/{folder}{example}.rs"));
        let is_there = places.iter().any(|place| exists(place)) || exists(&format!("examples/{example}/main.rs"));
        assert!(is_there, "the example {example} does not exist");
    }
    let files = words.iter().map(|word| word.rsplit('=').next().unwrap_or(word));
    for file in files.filter(|word| word.contains('/') && word.ends_with(".json")) {
        assert!(exists(file), "a command reads {file}, which does not exist");
    }
}

/// The files of the guide, sorted.
fn guide() -> Vec<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(GUIDE)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = names.map(|name| format!("{GUIDE}/{name}")).collect();
    files.sort();
    assert!(files.len() >= 8, "only {files:?} were found");
    files
}

/// Every document: those in the top folder and those of the guide.
fn all() -> Vec<String> {
    DOCUMENTS.into_iter().map(str::to_owned).chain(guide()).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

fn exists(path: &str) -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()
}

/// The path from the top folder of a link in a document; an empty link is the document itself.
fn beside(document: &str, link: &str) -> String {
    if link.is_empty() {
        return document.to_owned();
    }
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|next| next.is_alphanumeric() || " -_".contains(*next));
        kept.map(|next| if next == ' ' { '-' } else { next }).collect()
    })
}

/// The blocks of a language, in order.
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
