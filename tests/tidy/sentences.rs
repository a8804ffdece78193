//! The rule of one fact a sentence: comments and documents have at most 25 words a sentence.

use crate::source::{Finding, Source, lines};

/// Most words of a sentence, as CONTRIBUTING.md says.
const WORDS_MAX: usize = 25;

/// Words with a full stop that end no sentence.
const ABBREVIATIONS: [&str; 5] = ["e.g.", "i.e.", "vs.", "cf.", "etc."];

/// Finds longer sentences in the comments of a source, and in the text of a document.
pub(crate) fn sentences(source: &Source) -> Vec<Finding> {
    // A record stays as it was written on its day.
    if source.path.starts_with("loadtest/record/") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (first, paragraph) in paragraphs(source) {
        for sentence in split(&paragraph) {
            let words = sentence.iter().filter(|word| is_word(word)).count();
            if words > WORDS_MAX {
                let begin = sentence.get(..6).unwrap_or(&sentence).join(" ");
                found.push((
                    first,
                    format!("{words} words in a sentence, at most {WORDS_MAX} are allowed: {begin} …"),
                ));
            }
        }
    }
    found
}

/// A token that counts: the mark of a code span counts as one word.
fn is_word(word: &str) -> bool {
    word.contains(|next: char| next.is_alphanumeric() || next == CODE)
}

/// What stands for a code span.
const CODE: char = '\u{1}';

/// The paragraphs, items of lists and cells of tables of a source, each with its first line.
fn paragraphs(source: &Source) -> Vec<(usize, String)> {
    let mut all = Paragraphs::default();
    if !source.path.ends_with(".rs") {
        for (number, line) in lines(&source.text) {
            all.line(number, line);
        }
        return all.finish();
    }
    // Lines of one kind below one another are one text; a comment behind code stands alone.
    let mut kind = None;
    for ((number, comment), code) in lines(&source.comments).zip(source.code.lines()) {
        let comment = comment.trim();
        let marks = ["//!", "///", "//"];
        let found = marks.into_iter().find(|mark| comment.starts_with(mark));
        let is_alone = code.trim().is_empty();
        if found != kind || !is_alone {
            all.end_of_text();
        }
        kind = found.filter(|_| is_alone);
        if let Some(mark) = found {
            let text = comment.strip_prefix(mark).unwrap_or_default();
            all.line(number, text.strip_prefix(' ').unwrap_or(text));
        }
    }
    all.finish()
}

/// Text line by line, as Markdown.
#[derive(Default)]
struct Paragraphs {
    done: Vec<(usize, String)>,
    open: Option<(usize, String)>,
    in_block: bool,
}

impl Paragraphs {
    fn line(&mut self, number: usize, line: &str) {
        let text = line.trim();
        if text.starts_with("```") {
            self.in_block = !self.in_block;
            return self.end();
        }
        // A heading, a rule, a quotation of a grammar.
        if self.in_block || text.is_empty() || text.starts_with(['#', '<']) {
            return self.end();
        }
        if let Some(row) = text.strip_prefix('|') {
            self.end();
            let cells = row.trim_end_matches('|').split(" | ");
            self.done.extend(cells.map(|cell| (number, cell.to_owned())));
            return;
        }
        let item = text.strip_prefix("- ").or_else(|| {
            text.trim_start_matches(|next: char| next.is_ascii_digit())
                .strip_prefix(". ")
        });
        if let Some(item) = item {
            self.end();
            self.open = Some((number, item.to_owned()));
        } else if let Some((_, open)) = &mut self.open {
            *open += " ";
            *open += text;
        } else {
            self.open = Some((number, text.to_owned()));
        }
    }

    fn end(&mut self) {
        self.done.extend(self.open.take());
    }

    /// Ends a text; a block that is open then was never closed.
    fn end_of_text(&mut self) {
        self.end();
        self.in_block = false;
    }

    fn finish(mut self) -> Vec<(usize, String)> {
        self.end();
        self.done
    }
}

/// Cuts a paragraph into sentences, each as its words. A sentence ends where a stop comes before a word that can begin one.
fn split(paragraph: &str) -> Vec<Vec<String>> {
    let words: Vec<String> = plain(paragraph).split_whitespace().map(str::to_owned).collect();
    let mut sentences = vec![Vec::new()];
    for (word, next) in words.iter().zip(words.iter().skip(1).map(Some).chain([None])) {
        if let Some(sentence) = sentences.last_mut() {
            sentence.push(word.clone());
        }
        let stem = word.trim_end_matches([')', '"', '”', '*', '_']);
        // A dot in the middle stands between the links of a list.
        let is_list = *word == "·";
        let stops = stem.ends_with(['.', '!', '?']) && !ABBREVIATIONS.contains(&stem.trim_start_matches('('));
        let begins = next.is_some_and(|next| {
            let first = next.trim_start_matches(['(', '"', '“', '*', '_', '[']).chars().next();
            first.is_some_and(|first| first.is_uppercase() || first.is_ascii_digit() || first == CODE)
        });
        if is_list || stops && begins {
            sentences.push(Vec::new());
        }
    }
    sentences
}

/// A text with a mark for each code span, and without the targets of its links.
fn plain(text: &str) -> String {
    let mut marked = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        let (before, span) = rest.split_at(start);
        marked += before;
        // A span ends at as many backticks as it begins with.
        let fence = &span[..span.len() - span.trim_start_matches('`').len()];
        let inside = &span[fence.len()..];
        rest = inside.find(fence).map_or("", |end| &inside[end + fence.len()..]);
        marked.push(CODE);
    }
    marked += rest;
    let mut parts = marked.split("](");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.split_once(')').map_or(part, |(_, rest)| rest);
    }
    plain
}
