//! Checks the table: every public future has a row, every row names an existing future and an existing test.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The section of `ARCHITECTURE.md` with the table.
const HEADING: &str = "## What is lost when a future is dropped";

/// The folders with the futures.
const SOURCES: [&str; 2] = ["src", "shards/src"];

/// The folders with their tests.
const TESTS: [&str; 4] = [
    "tests/cancellation",
    "tests/http_client/cancellation.rs",
    "tests/login/cancellation.rs",
    "shards/tests/cancellation.rs",
];

/// A row: its futures and the tests that show what it says.
struct Row {
    futures: Vec<String>,
    tests: Vec<String>,
}

#[test]
fn every_public_future_has_a_row_that_says_what_is_lost_when_it_is_dropped() {
    let named: BTreeSet<String> = rows().into_iter().flat_map(|row| row.futures).collect();
    let there = futures();
    assert!(there.len() > 40, "only {} futures were found", there.len());
    let missing: Vec<_> = there.difference(&named).collect();
    assert!(
        missing.is_empty(),
        "{HEADING} in ARCHITECTURE.md has no row for {missing:?}"
    );
    let stale: Vec<_> = named.difference(&there).collect();
    assert!(
        stale.is_empty(),
        "{HEADING} in ARCHITECTURE.md has rows for {stale:?}, which no public future is called"
    );
}

#[test]
fn every_row_has_a_test_that_is_there() {
    let mut sources = String::new();
    for folder in TESTS {
        each_source(folder, &mut |text| sources += text);
    }
    for row in rows() {
        assert!(
            !row.tests.is_empty(),
            "no test shows what is lost with {:?}",
            row.futures
        );
        for test in row.tests {
            let is_there = sources.contains(&format!("#[test]\nfn {test}()"));
            assert!(is_there, "the test {test} is missing in {TESTS:?}");
        }
    }
}

#[test]
fn a_future_is_found_wherever_it_is_made() {
    let source = "pub async fn free() {}\nimpl<T: A> Deep<T> {\n    pub async fn inside(&self) {}\n}\n\
                  pub struct Waiting;\nimpl Future for Waiting {\nstruct Own;\nimpl Future for Own {\n\
                  impl<'a> Trait for path::Named<'a> {\n    pub async fn of_trait() {}\n    pub(super) async fn own() {}\n\
                  pub fn plain() {\n-> impl Future<\n    pub fn long(\n        &self,\n    ) -> impl Future<Output = ()>\n";
    let mut found = BTreeSet::new();
    find(source, &mut found);
    let expected = ["Deep::inside", "Named::long", "Named::of_trait", "Waiting", "free"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expected));
}

/// The rows of the first table of the section.
fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once(HEADING).expect(HEADING);
    let section = section.split("\n## ").next().unwrap_or_default();
    let table = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 3, "a future, what is lost, and a test: {row}");
        Row {
            futures: quoted(cells[0]),
            tests: quoted(cells[2]),
        }
    })
    .collect()
}

/// The texts between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every public future of the sources.
fn futures() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in SOURCES {
        each_source(folder, &mut |text| find(text, &mut found));
    }
    found
}

/// Finds each `pub async fn`, by type and name, and each public type that is a future.
fn find(text: &str, found: &mut BTreeSet<String>) {
    let mut owner = String::new();
    let (mut named, mut is_async) = (None, false);
    for line in text.lines() {
        if line.starts_with("impl") {
            owner = type_of(line);
            let is_public = text.contains(&format!("pub struct {owner}"));
            if line.contains("Future for ") && is_public {
                found.insert(owner.clone());
            }
        }
        for function in ["pub async fn ", "pub fn "] {
            let Some((before, after)) = line.split_once(function) else {
                continue;
            };
            let name: String = after
                .chars()
                .take_while(|next| next.is_alphanumeric() || *next == '_')
                .collect();
            let name = if before.is_empty() {
                name
            } else {
                format!("{owner}::{name}")
            };
            is_async = function.contains("async");
            named = Some(name);
        }
        let returns_future = is_async || line.contains("-> impl Future<");
        if let Some(name) = named.take_if(|_| returns_future) {
            found.insert(name);
        }
        // The signature ends, without a future.
        named.take_if(|_| line.ends_with(['{', ';', '}']));
    }
}

/// The type name in a line such as `impl<T> Trait for path::Name<T> {`.
fn type_of(line: &str) -> String {
    let mut rest = line.trim_start_matches("impl");
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.find(|next| {
            depth += i32::from(next == '<') - i32::from(next == '>');
            depth == 0
        });
        rest = &rest[end.map_or(0, |end| end + 1)..];
    }
    let rest = rest.split_once(" for ").map_or(rest, |(_, rest)| rest);
    let path = rest.trim().split(['<', ' ', '{']).next().unwrap_or_default();
    path.rsplit("::").next().unwrap_or_default().to_owned()
}

/// Passes on the text of a file, or of each file below a folder except unit tests.
fn each_source(path: &str, use_text: &mut dyn FnMut(&str)) {
    let path = root().join(path);
    if path.is_file() {
        return use_text(&fs::read_to_string(path).unwrap());
    }
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap().path();
        let name = entry.file_name().unwrap().to_str().unwrap();
        if entry.is_dir() && name != "tests" || name.ends_with(".rs") {
            let relative = entry.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            each_source(&relative, use_text);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
