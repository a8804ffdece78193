//! The style as a failing test: rules that the compiler and clippy cannot check.
//!
//! Each rule is a function from a file to its faulty lines, and a test of its own. A failure names file, line and rule. Mend the
//! file, or change the rule for all files.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

mod circles;
mod layers;
mod prose;
mod sentences;
mod source;
mod style;
mod waits;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use layers::layers;
use prose::{dead_rows, summaries, tell_tales, test_names};
use sentences::sentences;
use source::{Finding, Source};
use style::{
    FILE_LINES_MAX, builders, commented_out, first_line, length, machine_paths, open_ends, runtimes, unsafe_code,
};
use waits::{skips, sleeps};

/// The folders of sources and documents. The files beside them count too.
const FOLDERS: [&str; 8] = [
    "src", "shards", "loadtest", "examples", "benches", "tests", "fuzz", "docs",
];

/// The files that people read.
const ENDINGS: [&str; 5] = [".rs", ".md", ".toml", ".html", ".txt"];

/// Finds the faulty lines of a file.
type Rule = fn(&Source) -> Vec<Finding>;

#[test]
fn every_file_begins_with_its_definition() {
    hold(first_line);
}

#[test]
fn no_file_is_longer_than_one_idea() {
    hold(length);
}

#[test]
fn imports_point_down_the_layers() {
    hold(layers);
}

#[test]
fn only_the_executor_names_glommio_and_only_the_epoll_driver_names_tokio() {
    hold(runtimes);
}

#[test]
fn unsafe_code_stays_in_the_ring_and_in_sys() {
    hold(unsafe_code);
}

#[test]
fn builders_that_do_nothing_are_warned_of() {
    hold(builders);
}

#[test]
fn every_to_do_has_an_issue() {
    hold(open_ends);
}

#[test]
fn code_is_not_commented_out() {
    hold(commented_out);
}

#[test]
fn paths_of_one_machine_are_rejected() {
    hold_in(&[".rs", ".toml", ".md"], machine_paths);
}

#[test]
fn tell_tale_words_are_rejected() {
    hold_in(&ENDINGS, tell_tales);
}

#[test]
fn references_lead_to_tables_that_exist() {
    hold_in(&ENDINGS, dead_rows);
}

#[test]
fn tell_tale_words_are_rejected_in_test_names() {
    hold_in(&[".rs"], test_names);
}

#[test]
fn public_doc_summaries_have_one_sentence() {
    hold_in(&[".rs"], summaries);
}

#[test]
fn sentences_have_at_most_25_words() {
    hold_in(&[".rs", ".md"], sentences);
}

#[test]
fn a_test_that_sleeps_has_a_reason() {
    hold(sleeps);
}

#[test]
fn a_skipped_test_is_counted() {
    hold(skips);
}

/// A rule without findings checks nothing: each gets a file that breaks it, and a similar file that does not.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn every_rule_finds_what_it_is_there_for() {
    let long = "//! x\n".repeat(FILE_LINES_MAX + 1);
    let long_tests = format!(
        "//! x\n#[cfg(test)]\nmod tests {{\n{}}}\n",
        "    // y\n".repeat(FILE_LINES_MAX)
    );
    let words = |before: &str, after: &str| format!("{before}Word{}{after}", " word".repeat(24));
    let machine = concat!("//! see /ho", "me/me/x");
    let builder = "//! A\npub struct A {\n}\nimpl A {\n    pub fn b(mut self) -> Self {\n";
    let warned = builder.replace("pub struct", "#[must_use = \"b\"]\npub struct");
    let cases: [(Rule, &str, &str, Option<usize>); 58] = [
        (builders, "src/a.rs", builder, Some(5)),
        (builders, "src/a.rs", &warned, None),
        (first_line, "src/a.rs", "use b;\n//! c", Some(1)),
        (first_line, "src/a.rs", "//! c\nuse b;", None),
        (length, "src/a.rs", &long, Some(FILE_LINES_MAX + 1)),
        (length, "src/a.rs", &long_tests, None),
        (length, "tests/a.rs", &long, None),
        (layers, "src/message/a.rs", "//! a\nuse crate::app::B;", Some(2)),
        (
            layers,
            "src/http1/a.rs",
            "use crate::{message::B, websocket::{C, D}};",
            Some(1),
        ),
        (
            layers,
            "src/http1/a.rs",
            "use crate::{message::B, error::{C, server}};",
            None,
        ),
        (layers, "src/app.rs", "fn a() -> crate::server::B {}", Some(1)),
        (layers, "src/app/a.rs", "use squall_shards::B;", Some(1)),
        (layers, "src/app/a.rs", "use crate::http1::B;", Some(1)),
        (
            layers,
            "src/client/a.rs",
            "use crate::{app::B, transport::C}; use squall_shards::D;",
            None,
        ),
        (layers, "src/http1/a/b.rs", "use super::super::super::app::C;", Some(1)),
        (layers, "src/http1/a/b.rs", "use super::super::limits::C;", None),
        (layers, "src/http1/a.rs", "//! as crate::server does", None),
        (
            runtimes,
            "shards/src/task/mod.rs",
            "// glommio\nuse glommio::A;",
            Some(2),
        ),
        (runtimes, "shards/src/shard/executor.rs", "use glommio::A;", None),
        (runtimes, "src/server/a.rs", "use tokio::A;", Some(1)),
        (runtimes, "shards/src/driver/epoll/a.rs", "use tokio::A;", None),
        (unsafe_code, "src/a.rs", "fn a() { \"unsafe\"; }\nunsafe {}", Some(2)),
        (unsafe_code, "shards/src/driver/io_uring/a.rs", "unsafe {}", None),
        (open_ends, "src/a.rs", concat!("//! a\n// TO", "DO later"), Some(2)),
        (open_ends, "src/a.rs", concat!("// TO", "DO(#12) later"), None),
        (commented_out, "src/a.rs", "a();\n// b();", Some(2)),
        (commented_out, "src/a.rs", "    // if a {", Some(1)),
        (
            commented_out,
            "src/a.rs",
            "// It waits; then it goes on.\n/// let a = b;",
            None,
        ),
        (machine_paths, "src/a.rs", machine, Some(1)),
        (machine_paths, "src/a.rs", "//! see /proc/self/status", None),
        (
            tell_tales,
            "src/a.rs",
            concat!("//! a\n// waits for no", "body"),
            Some(2),
        ),
        (tell_tales, "src/a.rs", concat!("a(\"there is no", " room\");"), Some(1)),
        (tell_tales, "src/a.rs", concat!("// It is to", " be sent."), Some(1)),
        (
            tell_tales,
            "docs/a.md",
            concat!("# A\n\nThe client Is To", "ld so."),
            Some(3),
        ),
        (tell_tales, "src/a.rs", concat!("let no", "body = is_no_room;"), None),
        (
            tell_tales,
            "docs/a.md",
            "There is not enough; is, no, room. This knob, you see: none.",
            None,
        ),
        (dead_rows, "src/a.rs", concat!("//! a\n// (row", " H1", "6)"), Some(2)),
        (dead_rows, "src/a.rs", "// the row of A 12, row 12, rows HTTP", None),
        (
            tell_tales,
            "loadtest/record/2026/a/report.md",
            concat!("no", "body"),
            None,
        ),
        (
            test_names,
            "src/a.rs",
            concat!("#[test]\nfn a_peer_is_to", "ld_why() {}"),
            Some(2),
        ),
        (
            test_names,
            "src/a.rs",
            concat!("#[test]\nfn a_peer_reads() {}\nfn is_to", "ld() {}"),
            None,
        ),
        (
            summaries,
            "src/a.rs",
            "/// Sends it. Waits.\n#[must_use]\npub fn a() {}",
            Some(1),
        ),
        (
            summaries,
            "src/a.rs",
            "/// Sends `a. B`, e.g. C (RFC 9110 §6.5).\n///\n/// Waits. Ends.\npub fn a() {}",
            None,
        ),
        (summaries, "src/a.rs", "/// Sends it. Waits.\nfn a() {}", None),
        (sentences, "src/a.rs", &words("//! a\n// ", " one."), Some(2)),
        (sentences, "src/a.rs", &words("//! a\n/// A. ", "\n/// one."), Some(2)),
        (sentences, "src/a.rs", &words("let a = \"", " one.\";"), None),
        (sentences, "src/a.rs", &words("//! a\n// ", " `one two`."), Some(2)),
        (sentences, "docs/a.md", &words("# A\n\n", " e.g. One"), Some(3)),
        (sentences, "docs/a.md", &words("# A\n\n| a | ", " one |"), Some(3)),
        (
            sentences,
            "docs/a.md",
            &words("", ". One. [Two](https://three four) five."),
            None,
        ),
        (
            sentences,
            "docs/a.md",
            &words("", "\n- one\n\n|\n| two | three |"),
            None,
        ),
        (sentences, "docs/a.md", &words("```text\n", " one\n```\ntwo"), None),
        (
            sleeps,
            "tests/a.rs",
            "//! a\n\n\n\nfn a() {\nthread::sleep(b);",
            Some(6),
        ),
        (sleeps, "shards/tests/a.rs", "// The pace.\nthread::sleep(b);", None),
        (sleeps, "shards/src/a.rs", "thread::sleep(b);", None),
        (
            skips,
            "tests/a.rs",
            concat!("println!(\"skip", "ped: no b\");"),
            Some(1),
        ),
        (skips, "tests/a.rs", "skip(\"no b\");", None),
    ];
    for (rule, path, text, expected) in cases {
        let found = rule(&Source::new(path, text));
        assert_eq!(
            found.first().map(|(line, _)| *line),
            expected,
            "{path}: {text:.60}: {found:?}"
        );
    }
}

/// Applies a rule to every source file.
fn hold(rule: Rule) {
    hold_in(&[".rs"], rule);
}

/// Applies a rule to every file with one of these endings.
fn hold_in(endings: &[&str], rule: Rule) {
    let has_ending = |source: &&Source| endings.iter().any(|ending| source.path.ends_with(ending));
    let sources: Vec<&Source> = SOURCES.iter().filter(has_ending).collect();
    assert!(sources.len() > 100, "only {} files were found", sources.len());
    let mut broken = String::new();
    for source in &sources {
        for (line, fault) in rule(source) {
            broken += &format!("\n{}:{line}: {fault}", source.path);
        }
    }
    assert!(broken.is_empty(), "{broken}\n");
}

/// Every file that people read, split once for all rules.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let mut sources = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in FOLDERS {
        collect(root, folder, &mut sources);
    }
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            read(&entry.path(), &entry.file_name().into_string().unwrap(), &mut sources);
        }
    }
    sources
});

fn collect(root: &Path, relative: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(root.join(relative)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{relative}/{name}");
        if !entry.file_type().unwrap().is_dir() {
            read(&entry.path(), &path, sources);
        } else if name != "target" {
            collect(root, &path, sources);
        }
    }
}

fn read(file: &Path, path: &str, sources: &mut Vec<Source>) {
    if ENDINGS.iter().any(|ending| path.ends_with(ending)) {
        sources.push(Source::new(path, &fs::read_to_string(file).unwrap()));
    }
}
