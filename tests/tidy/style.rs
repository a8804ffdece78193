//! The rules of style: one idea a file, few runtimes, confined `unsafe`, comments without code.

use crate::source::{Finding, Source, has_word, lines};

/// More lines than this, without tests, are more than one idea.
pub(crate) const FILE_LINES_MAX: usize = 600;

pub(crate) fn first_line(source: &Source) -> Vec<Finding> {
    let says = source.text.starts_with("//! ");
    if says {
        Vec::new()
    } else {
        vec![(1, "the first line must be `//!` and define the file".to_owned())]
    }
}

pub(crate) fn length(source: &Source) -> Vec<Finding> {
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
        format!("{count} lines without tests; at most {FILE_LINES_MAX} are allowed"),
    )]
}

pub(crate) fn runtimes(source: &Source) -> Vec<Finding> {
    let ours = source.path.starts_with("src/") || source.path.starts_with("shards/");
    let executor = source.path == "shards/src/shard/executor.rs";
    let epoll =
        executor || source.path == "shards/src/os/sys.rs" || source.path.starts_with("shards/src/driver/epoll/");
    let mut found = Vec::new();
    for (number, line) in lines(&source.code).filter(|_| ours) {
        if has_word(line, "glommio") && !executor {
            found.push((number, "only shards/src/shard/executor.rs names glommio".to_owned()));
        }
        if has_word(line, "tokio") && !epoll {
            found.push((number, "only the epoll driver names tokio".to_owned()));
        }
    }
    found
}

pub(crate) fn unsafe_code(source: &Source) -> Vec<Finding> {
    // A contender is outside the workspace and follows the style of its own framework.
    let elsewhere = [
        "shards/src/driver/io_uring/",
        "shards/src/os/sys.rs",
        "shards/src/os/snapshot_pages.rs",
        // Shows a fault of the kernel by raw system calls.
        "shards/tests/lost_end.rs",
        "loadtest/contenders/",
    ];
    if elsewhere.iter().any(|path| source.path.starts_with(path)) {
        return Vec::new();
    }
    let broken = lines(&source.code).filter(|(_, line)| has_word(line, "unsafe"));
    broken
        .map(|(number, _)| {
            (
                number,
                "unsafe code belongs in shards/src/driver/io_uring/ or shards/src/os/".to_owned(),
            )
        })
        .collect()
}

pub(crate) fn open_ends(source: &Source) -> Vec<Finding> {
    let marks = ["TODO", "FIXME", "XXX"];
    let has_issue = |line: &str| {
        line.split('#')
            .skip(1)
            .any(|rest| rest.starts_with(|next: char| next.is_ascii_digit()))
    };
    let broken =
        lines(&source.comments).filter(|(_, line)| marks.iter().any(|mark| has_word(line, mark)) && !has_issue(line));
    broken
        .map(|(number, _)| (number, "a to-do needs an issue number, as in #12".to_owned()))
        .collect()
}

pub(crate) fn commented_out(source: &Source) -> Vec<Finding> {
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

pub(crate) fn machine_paths(source: &Source) -> Vec<Finding> {
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

/// Values that are whole at any time: dropping one is a use of it.
const VALUES: [&str; 2] = ["Error", "Publication"];

/// A builder that is dropped before its last call does nothing, so the compiler must warn and say what is missing.
pub(crate) fn builders(source: &Source) -> Vec<Finding> {
    let is_public_code = source.path.starts_with("src/") || source.path.starts_with("shards/src/");
    let code: Vec<&str> = source.code.lines().filter(|_| is_public_code).collect();
    let mut found = Vec::new();
    let mut builder: Option<&str> = None;
    for (index, line) in code.iter().enumerate() {
        if let Some(rest) = line.strip_prefix("impl") {
            // `impl Server {`, `impl<'h> Publish<'h> {`; an `impl` of a trait sets no name.
            let rest = rest
                .strip_prefix('<')
                .map_or(rest, |rest| rest.split_once("> ").map_or("", |split| split.1));
            let is_inherent = !line.contains(" for ");
            builder = rest
                .trim_start()
                .split(['<', ' '])
                .next()
                .filter(|name| is_inherent && !VALUES.contains(name));
        }
        let text = line.trim_start();
        let takes_itself = ["(mut self", "(self,"].iter().any(|taken| text.contains(taken));
        let is_setter = text.starts_with("pub fn ") && takes_itself && text.ends_with("-> Self {");
        let Some(name) = builder.filter(|_| is_setter) else {
            continue;
        };
        let declared = [
            format!("pub struct {name} "),
            format!("pub struct {name}<"),
            format!("pub struct {name};"),
        ];
        let declaration = code
            .iter()
            .position(|line| declared.iter().any(|start| line.starts_with(start)));
        let Some(declaration) = declaration else { continue };
        let mut attributes = code[..declaration]
            .iter()
            .rev()
            .take_while(|line| line.starts_with("#["));
        if !attributes.any(|line| line.starts_with("#[must_use = ")) {
            found.push((
                index + 1,
                format!("`{name}` is a builder; give it #[must_use = \"… until …\"]"),
            ));
        }
    }
    found
}
