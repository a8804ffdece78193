//! The style as a failing test: what the compiler and clippy cannot hold the sources to.
//!
//! Each rule is a function from a file to the lines that break it, and a test of its own; a failure names file, line and rule. The
//! rules hold everywhere today, without a list of exceptions: mend the file, or change the rule for all.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use std::fs;
use std::path::Path;

/// More lines than this, without tests, are more than one idea.
const FILE_LINES_MAX: usize = 600;

/// Where our sources are.
const FOLDERS: [&str; 7] = ["src", "shards", "loadtest", "examples", "benches", "tests", "fuzz"];

/// Who may import whom, by the first name after `crate::` in `src/`: each folder or file, and what lies below it.
const FLOORS: [(&str, &[&str]); 11] = [
    ("memory", &[]),
    ("message", &["memory"]),
    ("error", &["memory", "message"]),
    ("http1", &["memory", "message", "error"]),
    ("websocket", &["memory", "message", "error"]),
    ("pubsub", &["memory", "message", "error"]),
    ("app", &["memory", "message", "error", "http1", "websocket", "pubsub"]),
    ("testing", &["memory", "message", "error", "http1", "app"]),
    (
        "transport",
        &["memory", "message", "error", "http1", "websocket", "pubsub", "app"],
    ),
    (
        "client",
        &[
            "memory",
            "message",
            "error",
            "http1",
            "websocket",
            "pubsub",
            "app",
            "transport",
        ],
    ),
    (
        "server",
        &[
            "memory",
            "message",
            "error",
            "http1",
            "websocket",
            "pubsub",
            "app",
            "transport",
        ],
    ),
];

/// Who may name `squall_shards`.
const SHARDS: [&str; 3] = ["transport", "client", "server"];

/// A source file, and the same file with everything but its code, or everything but its comments, blanked out.
struct Source {
    path: String,
    text: String,
    code: String,
    comments: String,
}

/// What is wrong with a line, counted from one.
type Finding = (usize, String);

/// Finds the lines of a file that break it.
type Rule = fn(&Source) -> Vec<Finding>;

#[test]
fn every_file_says_first_what_it_is() {
    hold(first_line);
}

#[test]
fn no_file_is_longer_than_one_idea() {
    hold(length);
}

#[test]
fn imports_point_down_the_floors() {
    hold(floors);
}

#[test]
fn glommio_is_the_executors_and_tokio_the_epoll_drivers_business() {
    hold(runtimes);
}

#[test]
fn unsafe_code_stays_in_the_ring_and_in_sys() {
    hold(unsafe_code);
}

#[test]
fn what_is_to_be_done_has_an_issue() {
    hold(open_ends);
}

#[test]
fn no_code_is_commented_out() {
    hold(commented_out);
}

#[test]
fn no_path_leads_into_somebodys_machine() {
    hold_in(&[".rs", ".toml", ".md"], machine_paths);
}

/// A rule that never finds anything is no rule: each gets a file that breaks it, and one close to it that does not.
#[test]
fn every_rule_finds_what_it_is_there_for() {
    let long = "//! x\n".repeat(FILE_LINES_MAX + 1);
    let long_tests = format!(
        "//! x\n#[cfg(test)]\nmod tests {{\n{}}}\n",
        "    // y\n".repeat(FILE_LINES_MAX)
    );
    let machine = concat!("//! see /ho", "me/me/x");
    let cases: [(Rule, &str, &str, Option<usize>); 27] = [
        (first_line, "src/a.rs", "use b;\n//! c", Some(1)),
        (first_line, "src/a.rs", "//! c\nuse b;", None),
        (length, "src/a.rs", &long, Some(FILE_LINES_MAX + 1)),
        (length, "src/a.rs", &long_tests, None),
        (length, "tests/a.rs", &long, None),
        (floors, "src/message/a.rs", "//! a\nuse crate::app::B;", Some(2)),
        (
            floors,
            "src/http1/a.rs",
            "use crate::{message::B, websocket::{C, D}};",
            Some(1),
        ),
        (
            floors,
            "src/http1/a.rs",
            "use crate::{message::B, error::{C, server}};",
            None,
        ),
        (floors, "src/app.rs", "fn a() -> crate::server::B {}", Some(1)),
        (floors, "src/app/a.rs", "use squall_shards::B;", Some(1)),
        (
            floors,
            "src/client/a.rs",
            "use crate::{app::B, transport::C}; use squall_shards::D;",
            None,
        ),
        (floors, "src/http1/a/b.rs", "use super::super::super::app::C;", Some(1)),
        (floors, "src/http1/a/b.rs", "use super::super::limits::C;", None),
        (floors, "src/http1/a.rs", "//! as crate::server does", None),
        (
            runtimes,
            "shards/src/task/mod.rs",
            "// glommio\nuse glommio::A;",
            Some(2),
        ),
        (runtimes, "shards/src/executor.rs", "use glommio::A;", None),
        (runtimes, "src/server/a.rs", "use tokio::A;", Some(1)),
        (runtimes, "shards/src/epoll/a.rs", "use tokio::A;", None),
        (unsafe_code, "src/a.rs", "fn a() { \"unsafe\"; }\nunsafe {}", Some(2)),
        (unsafe_code, "shards/src/ring/a.rs", "unsafe {}", None),
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

/// Applies a rule to every file whose name ends in one of these ways.
fn hold_in(endings: &[&str], rule: Rule) {
    let mut sources = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in FOLDERS {
        collect(root, folder, endings, &mut sources);
    }
    assert!(
        sources.len() > 100,
        "only {} files were found below {}",
        sources.len(),
        root.display()
    );
    let mut broken = String::new();
    for source in &sources {
        for (line, what) in rule(source) {
            broken += &format!("\n{}:{line}: {what}", source.path);
        }
    }
    assert!(broken.is_empty(), "{broken}\n");
}

fn collect(root: &Path, relative: &str, endings: &[&str], sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(root.join(relative)) else {
        return;
    };
    for entry in entries {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{relative}/{name}");
        if entry.file_type().unwrap().is_dir() {
            if name != "target" {
                collect(root, &path, endings, sources);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let text = fs::read_to_string(entry.path()).unwrap();
            sources.push(Source::new(&path, &text));
        }
    }
}

fn first_line(source: &Source) -> Vec<Finding> {
    let says = source.text.starts_with("//! ");
    if says {
        Vec::new()
    } else {
        vec![(1, "the first line must be `//!` and say what the file is".to_owned())]
    }
}

fn length(source: &Source) -> Vec<Finding> {
    if source.path.split('/').any(|part| part == "tests" || part == "tests.rs") {
        return Vec::new();
    }
    let mut count = 0;
    let mut in_tests = false;
    let mut attribute = false;
    for line in source.code.lines() {
        in_tests |= attribute && line.starts_with("mod ") && line.ends_with('{');
        count += usize::from(!in_tests);
        attribute = line.starts_with("#[cfg(") && line.contains("test") && !line.contains("not(test");
        in_tests &= !line.starts_with('}');
    }
    if count <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![(
        count,
        format!("{count} lines without tests; {FILE_LINES_MAX} are the most one idea takes"),
    )]
}

fn floors(source: &Source) -> Vec<Finding> {
    let Some(inside) = source.path.strip_prefix("src/").filter(|inside| *inside != "lib.rs") else {
        return Vec::new();
    };
    let own = inside.split(['/', '.']).next().unwrap_or_default();
    let Some((_, below)) = FLOORS.iter().find(|(name, _)| *name == own) else {
        return vec![(1, format!("`{own}` stands on no floor; give it one in tests/tidy.rs"))];
    };
    let mut found = Vec::new();
    for (line, name) in imported(&source.code) {
        if name != own && !below.contains(&name.as_str()) {
            found.push((
                line,
                format!("`{own}` may not use `crate::{name}`: imports point down the floors"),
            ));
        }
    }
    // A module's own file, or mod.rs, stands one level above the files beside it.
    let depth = inside.split('/').count() - usize::from(inside.ends_with("/mod.rs"));
    for (number, line) in lines(&source.code) {
        if line.contains(&"super::".repeat(depth)) && !source.path.contains("/tests/") && depth > 1 {
            found.push((
                number,
                "a path that climbs out of its folder; write `crate::`".to_owned(),
            ));
        }
        if !SHARDS.contains(&own) && has_word(line, "squall_shards") {
            found.push((number, format!("only {SHARDS:?} name squall_shards")));
        }
    }
    found
}

fn runtimes(source: &Source) -> Vec<Finding> {
    let ours = source.path.starts_with("src/") || source.path.starts_with("shards/");
    let executor = source.path == "shards/src/executor.rs";
    let epoll = executor || source.path == "shards/src/sys.rs" || source.path.starts_with("shards/src/epoll/");
    let mut found = Vec::new();
    for (number, line) in lines(&source.code).filter(|_| ours) {
        if has_word(line, "glommio") && !executor {
            found.push((number, "only shards/src/executor.rs names glommio".to_owned()));
        }
        if has_word(line, "tokio") && !epoll {
            found.push((number, "only the epoll driver names tokio".to_owned()));
        }
    }
    found
}

fn unsafe_code(source: &Source) -> Vec<Finding> {
    // A contender is no part of the workspace; it is written as its own kind is written.
    let elsewhere = ["shards/src/ring/", "shards/src/sys.rs", "loadtest/contenders/"];
    if elsewhere.iter().any(|path| source.path.starts_with(path)) {
        return Vec::new();
    }
    let broken = lines(&source.code).filter(|(_, line)| has_word(line, "unsafe"));
    broken
        .map(|(number, _)| {
            (
                number,
                "unsafe code belongs in shards/src/ring/ or shards/src/sys.rs".to_owned(),
            )
        })
        .collect()
}

fn open_ends(source: &Source) -> Vec<Finding> {
    let marks = ["TODO", "FIXME", "XXX"];
    let has_issue = |line: &str| {
        line.split('#')
            .skip(1)
            .any(|rest| rest.starts_with(|next: char| next.is_ascii_digit()))
    };
    let broken =
        lines(&source.comments).filter(|(_, line)| marks.iter().any(|mark| has_word(line, mark)) && !has_issue(line));
    broken
        .map(|(number, _)| {
            (
                number,
                "what is to be done needs an issue's number, as in #12".to_owned(),
            )
        })
        .collect()
}

fn commented_out(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (number, line) in lines(&source.comments) {
        let comment = line
            .trim_start()
            .strip_prefix("//")
            .filter(|rest| !rest.starts_with(['/', '!']));
        let Some(comment) = comment.map(str::trim) else {
            continue;
        };
        let is_statement = comment.ends_with(';') || comment.ends_with('{') || comment == "}";
        if is_statement {
            found.push((number, "this looks like code; delete it, history keeps it".to_owned()));
        }
    }
    found
}

fn machine_paths(source: &Source) -> Vec<Finding> {
    let roots = ["home/", "root/", "work/"].map(|folder| format!("/{folder}"));
    let starts_path = |line: &str, at: usize| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "_-.*".contains(before))
    };
    let broken = lines(&source.text).filter(|(_, line)| {
        roots
            .iter()
            .any(|root| line.match_indices(root.as_str()).any(|(at, _)| starts_path(line, at)))
    });
    broken
        .map(|(number, _)| (number, "a path of one machine".to_owned()))
        .collect()
}

/// The first names after `crate::`, those in `crate::{…}` too, each with its line.
fn imported(code: &str) -> Vec<(usize, String)> {
    let name = |text: &str| -> String {
        text.chars()
            .take_while(|next| next.is_alphanumeric() || *next == '_')
            .collect()
    };
    let mut found = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + path.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.push((line, name(rest)));
            continue;
        };
        let inside = &list[..closing_brace(list).unwrap_or(list.len())];
        let items = top_level(inside).map(str::trim).filter(|item| !item.is_empty());
        found.extend(items.map(|item| (line, name(item))));
    }
    found
}

/// Where the brace is that closes a list whose opening brace has been read.
fn closing_brace(list: &str) -> Option<usize> {
    let mut depth = 1;
    list.char_indices().find_map(|(at, next)| {
        depth += i32::from(next == '{') - i32::from(next == '}');
        (depth == 0).then_some(at)
    })
}

/// The items of a list, leaving the lists within its items whole.
fn top_level(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    list.split(move |next| {
        depth += i32::from(next == '{') - i32::from(next == '}');
        depth == 0 && next == ','
    })
}

/// The lines of a text, counted from one.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().zip(1..).map(|(line, number)| (number, line))
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |next: char| next.is_alphanumeric() || next == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            comments,
        }
    }
}

/// What a character of a source belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    Comment,
    /// The inside of a string or character.
    Literal,
}

/// A text as its code alone and as its comments alone; what belongs to neither is blank, and the lines stay where they are.
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (part, length) = token(rest, code.chars().next_back(), first);
        let (taken, after) = rest.split_at(length);
        let blank = || taken.chars().map(|next| if next == '\n' { '\n' } else { ' ' });
        match part {
            Part::Code => code.push_str(taken),
            Part::Comment | Part::Literal => code.extend(blank()),
        }
        match part {
            Part::Comment => comments.push_str(taken),
            Part::Code | Part::Literal => comments.extend(blank()),
        }
        rest = after;
    }
    (code, comments)
}

/// What stands at the front of a text, and its length in bytes.
fn token(rest: &str, before: Option<char>, first: char) -> (Part, usize) {
    let in_word = before.is_some_and(|before| before.is_alphanumeric() || before == '_');
    if rest.starts_with("//") {
        return (Part::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Part::Comment, rest.find("*/").map_or(rest.len(), |at| at + 2));
    }
    if !in_word && let Some(length) = raw_string(rest) {
        return (Part::Literal, length);
    }
    if first == '"' {
        return (Part::Literal, quoted(rest, '"'));
    }
    // A quote begins a character if one ends it right after one, possibly escaped, character; otherwise a lifetime.
    let mut after = rest.chars().skip(1);
    if first == '\'' && (after.next() == Some('\\') || after.next() == Some('\'')) {
        return (Part::Literal, quoted(rest, '\''));
    }
    (Part::Code, first.len_utf8())
}

/// The length of a raw string at the front of a text.
fn raw_string(rest: &str) -> Option<usize> {
    let from = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let hashes = from.len() - from.trim_start_matches('#').len();
    let content = from[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = content.find(&end).map_or(content.len(), |at| at + end.len());
    Some(rest.len() - content.len() + length)
}

/// The length of a literal in quotes at the front of a text, with both quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, next)| {
        let ends = *next == quote && !escaped;
        escaped = *next == '\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |(at, _)| at + quote.len_utf8())
}
