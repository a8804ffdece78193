//! The table of `docs/threats.md`: each test and each flag it names exists, and each link to it leads to a row.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The page with the table, below the root of the repository.
const PAGE: &str = "docs/threats.md";

/// Where sources and documents with links to the page lie.
const LINKING: [&str; 14] = [
    "src",
    "shards",
    "loadtest",
    "examples",
    "benches",
    "tests",
    "fuzz",
    "docs",
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "Cargo.toml",
    "deny.toml",
];

/// The columns of a row: the attack, what Squall does, the limit and the tests.
const COLUMNS: usize = 4;

#[test]
fn every_row_names_a_test_that_exists() {
    for row in rows() {
        let mut file: Option<(&str, String)> = None;
        for name in quoted(&row[3]) {
            if name.ends_with(".rs") {
                let text = fs::read_to_string(root().join(name));
                let text = text.unwrap_or_else(|error| panic!("{PAGE} names {name}: {error}"));
                assert!(text.contains("#[test]"), "{PAGE} names {name}, a file without tests");
                file = Some((name, text));
                continue;
            }
            let (path, text) = file.as_ref().expect("a test is named behind its file");
            assert!(
                text.contains(&format!("fn {name}()")),
                "{PAGE} names the test {name}, which {path} does not have"
            );
        }
        assert!(file.is_some(), "{PAGE} has a row without a test: {}", row[0]);
    }
}

#[test]
fn every_flag_is_an_option_of_the_server() {
    let mut options = String::new();
    each_file("src", &mut |_, text| options += text);
    for row in rows() {
        for flag in quoted(&row[2]).into_iter().filter_map(|name| name.strip_prefix("--")) {
            let field = format!(" {}:", flag.replace('-', "_"));
            assert!(
                options.contains(&field),
                "{PAGE} names --{flag}, which no option is called"
            );
        }
    }
}

#[test]
fn every_link_leads_to_a_row() {
    let anchors = anchors();
    let link = format!("{}#", PAGE.rsplit('/').next().unwrap());
    for path in LINKING {
        each_file(path, &mut |path, text| {
            for (_, rest) in text.match_indices(&link).map(|(at, _)| text.split_at(at + link.len())) {
                let end = rest.find(|next: char| !next.is_ascii_alphanumeric() && next != '-');
                let anchor = &rest[..end.unwrap_or(rest.len())];
                // A text about links in general, as the one in this file, names none.
                let is_link = !anchor.is_empty();
                assert!(
                    !is_link || anchors.contains(anchor),
                    "{path} links to #{anchor}, which {PAGE} does not have"
                );
            }
        });
    }
}

#[test]
fn every_row_has_an_anchor_of_its_own() {
    let rows = rows();
    let mut anchors = BTreeSet::new();
    for row in &rows {
        let anchor = anchor(&row[0]).unwrap_or_else(|| panic!("{PAGE} has a row without an anchor: {}", row[0]));
        assert!(anchors.insert(anchor), "{PAGE} has the anchor {anchor} twice");
    }
    assert!(anchors.len() > 50, "only {} rows were found", anchors.len());
}

/// The cells of each row of each table of the page.
fn rows() -> Vec<[String; COLUMNS]> {
    let page = page();
    let is_row = |line: &&str| {
        line.starts_with('|')
            && !["| attack |", "| fault |", "|---"]
                .iter()
                .any(|head| line.starts_with(head))
    };
    page.lines()
        .filter(is_row)
        .map(|line| {
            let inner = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
            let cells: Vec<_> = inner
                .expect(line)
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect();
            cells
                .try_into()
                .unwrap_or_else(|_| panic!("a row has {COLUMNS} cells: {line}"))
        })
        .collect()
}

/// The anchors of rows, and those that GitHub gives to headings.
fn anchors() -> BTreeSet<String> {
    let mut anchors: BTreeSet<_> = rows()
        .iter()
        .filter_map(|row| anchor(&row[0]))
        .map(str::to_owned)
        .collect();
    let page = page();
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    anchors.extend(headings.map(|heading| heading.to_lowercase().replace(' ', "-")));
    anchors
}

/// The anchor at the start of a cell.
fn anchor(cell: &str) -> Option<&str> {
    cell.strip_prefix("<a id=\"")?
        .split_once("\"></a>")
        .map(|(anchor, _)| anchor)
}

/// The texts between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn page() -> String {
    fs::read_to_string(root().join(PAGE)).unwrap()
}

/// Calls `use_text` with the path and text of a file, or of each source and document below a folder.
fn each_file(path: &str, use_text: &mut dyn FnMut(&str, &str)) {
    let full = root().join(path);
    if full.is_dir() {
        for entry in fs::read_dir(&full).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name != "target" {
                each_file(&format!("{path}/{name}"), use_text);
            }
        }
        return;
    }
    let is_text = [".rs", ".md", ".toml", ".html", ".yml"]
        .iter()
        .any(|suffix| path.ends_with(suffix));
    if is_text && let Ok(text) = fs::read_to_string(&full) {
        use_text(path, &text);
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
