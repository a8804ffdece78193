//! The rules of prose: no tell-tale words, and public doc summaries of one sentence. CONTRIBUTING.md has the reasons.

use crate::source::{Finding, Source, lines};

/// Words that leave the actor out, or say a thing by what it is not. `*` stands for any word, `BE` for its forms.
///
/// They are written in parts, because this file follows the rule too.
const TELL_TALES: [&str; 12] = [
    concat!("no", "body"),
    concat!("some", "body"),
    concat!("who", "ever"),
    concat!("wh", "om"),
    concat!("at ha", "nd"),
    concat!("so ma", "ny"),
    concat!("so mu", "ch"),
    concat!("as go", "od as"),
    "BE none",
    "BE no *",
    concat!("BE to", " be"),
    "BE told",
];

/// The forms that `BE` stands for.
const BE: [&str; 4] = ["is", "are", "was", "were"];

/// Finds tell-tale words in the comments and literals of a source, and in the whole text of any other file.
pub(crate) fn tell_tales(source: &Source) -> Vec<Finding> {
    // A generated report stays as it was recorded; the sources of its sentences are checked.
    if source.path.starts_with("loadtest/record/") && source.path.contains("/report.") {
        return Vec::new();
    }
    let broken = lines(&source.prose).filter_map(|(number, line)| Some((number, tell_tale(line)?)));
    broken.map(|(number, words)| (number, complaint(&words))).collect()
}

/// Finds references to rows of a table that is not in the repository, such as the letter and number of an attack.
pub(crate) fn dead_rows(source: &Source) -> Vec<Finding> {
    let is_row = |word: &str| {
        let number = word.strip_prefix(|letter| ('A'..='H').contains(&letter));
        number.is_some_and(|number| number.len() == 2 && number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let mut found = Vec::new();
    for (number, line) in lines(&source.prose) {
        let words: Vec<&str> = pieces(line).filter(|piece| piece.starts_with(is_word)).collect();
        let follows_row = |pair: &&[&str]| matches!(pair[0], "row" | "rows" | "Row" | "Rows") && is_row(pair[1]);
        if words.windows(2).any(|pair| follows_row(&pair)) {
            let fault = "a row of a table that is not there; write the rule, or link docs/threats.md";
            found.push((number, fault.to_owned()));
        }
    }
    found
}

/// Finds tell-tale words in the names of tests.
pub(crate) fn test_names(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut is_test = false;
    for (number, line) in lines(&source.code) {
        let line = line.trim();
        let name = line
            .trim_start_matches("async ")
            .strip_prefix("fn ")
            .filter(|_| is_test);
        let name = name.and_then(|rest| rest.split('(').next());
        if let Some(words) = name.and_then(|name| tell_tale(&name.replace('_', " "))) {
            found.push((number, complaint(&words)));
        }
        let is_attribute = line.starts_with("#[") || line.is_empty();
        is_test = line.starts_with("#[test]") || is_test && is_attribute;
    }
    found
}

/// Finds public items whose doc summary, the first paragraph, has more than one sentence.
pub(crate) fn summaries(source: &Source) -> Vec<Finding> {
    let (mut found, mut summary, mut first) = (Vec::new(), String::new(), 0);
    let (mut in_summary, mut attribute) = (false, false);
    for ((number, line), comment) in lines(&source.code).zip(source.comments.lines()) {
        let (line, comment) = (line.trim(), comment.trim());
        if let Some(text) = comment.strip_prefix("///").filter(|_| line.is_empty()) {
            if first == 0 {
                (first, in_summary) = (number, true);
            }
            in_summary &= !text.trim().is_empty();
            if in_summary {
                summary += text;
            }
            continue;
        }
        // An attribute may stand between the doc and its item, over several lines.
        attribute |= line.starts_with("#[");
        if attribute {
            attribute = !line.ends_with(']');
            continue;
        }
        if first != 0 && line.starts_with("pub ") && sentences(&summary) > 1 {
            found.push((first, format!("the summary has more than one sentence:{summary}")));
        }
        summary.clear();
        first = 0;
    }
    found
}

/// The first tell-tale words of a line.
fn tell_tale(line: &str) -> Option<String> {
    // Every word, with true where only blanks stand between it and the word before.
    let mut words: Vec<(bool, String)> = Vec::new();
    let mut joined = false;
    for piece in pieces(line) {
        if piece.starts_with(is_word) {
            words.push((joined, piece.to_lowercase()));
            joined = true;
        } else {
            joined &= piece.chars().all(char::is_whitespace);
        }
    }
    (0..words.len()).find_map(|at| {
        let from = &words[at..];
        TELL_TALES.iter().find_map(|phrase| {
            let phrase: Vec<&str> = phrase.split(' ').collect();
            let words = from.get(..phrase.len())?;
            let is_there = words
                .iter()
                .zip(&phrase)
                .enumerate()
                .all(|(nth, ((joined, word), wanted))| (nth == 0 || *joined) && fits(word, wanted));
            let words = words.iter().map(|(_, word)| word.as_str()).collect::<Vec<_>>();
            is_there.then(|| words.join(" "))
        })
    })
}

/// Whether a word is the one that a phrase has here. `*` fits a word of letters only, so "is no 7" passes.
fn fits(word: &str, wanted: &str) -> bool {
    match wanted {
        "*" => word.starts_with(|first: char| first.is_ascii_lowercase()),
        "BE" => BE.contains(&word),
        _ => word == wanted,
    }
}

/// A line cut into words and the text between them.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|next| is_word(next) != is_word(first)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn complaint(words: &str) -> String {
    format!("`{words}`: name the actor, and say it positively with the field's term and the number")
}

/// The number of sentences of a paragraph. A sentence ends where a stop and a blank come before a capital, a link or code.
fn sentences(paragraph: &str) -> usize {
    let mut text = String::new();
    for (nth, part) in paragraph.split('`').enumerate() {
        text += if nth % 2 == 0 { part } else { "`" };
    }
    for abbreviation in ["e.g.", "i.e.", "vs.", "cf."] {
        text = text.replace(abbreviation, "");
    }
    let letters: Vec<char> = text.trim().chars().collect();
    let ends = (0..letters.len()).filter(|&at| {
        let begins = |next: &char| next.is_uppercase() || "`[(".contains(*next);
        let after = letters[at + 1..]
            .iter()
            .position(|next| !next.is_whitespace() && !")\"”".contains(*next));
        let after = after.map(|offset| at + 1 + offset);
        let is_apart = after.is_some_and(|after| letters[at + 1..after].iter().any(|next| next.is_whitespace()));
        ".!?".contains(letters[at]) && is_apart && after.is_some_and(|after| begins(&letters[after]))
    });
    ends.count() + 1
}
