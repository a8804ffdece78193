//! Cargo's dep-info files: the sources that an executable was built from.
//!
//! Beside each executable lies a file of its name and `.d`. It has a rule of make with the sources of the package and of
//! its dependencies by path, templates and included files among them.

use std::path::PathBuf;

/// Returns the files that the rules of a dep-info file name.
pub(super) fn sources(text: &str) -> Vec<PathBuf> {
    let rules = text.lines().filter_map(|line| line.split_once(": "));
    rules.flat_map(|(_, files)| split(files)).map(PathBuf::from).collect()
}

/// Splits a list of files at its blanks; a blank within a name has a backslash before it.
fn split(files: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut letters = files.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' => names.push(String::new()),
            '\\' if letters.next_if_eq(&' ').is_some() => push(&mut names, ' '),
            other => push(&mut names, other),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn push(names: &mut [String], letter: char) {
    if let Some(name) = names.last_mut() {
        name.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::sources;

    #[test]
    fn the_files_of_a_rule_are_split_at_blanks_that_are_not_escaped() {
        let text = "/t/debug/app: /a/src/main.rs /a/my\\ pages/one.html  /a/c\\d.rs\n/t/debug/other: /b.rs\n\nbroken\n";
        let expected = ["/a/src/main.rs", "/a/my pages/one.html", "/a/c\\d.rs", "/b.rs"];
        assert_eq!(sources(text), expected.map(Path::new));
        assert!(sources("").is_empty() && sources("/t/app: ").is_empty());
    }
}
