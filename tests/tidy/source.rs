//! A file split into code, comments and literals, for rules that read only some of them.

/// A file, and three copies of it in which the other parts are blank; the lines stay in place.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) code: String,
    pub(crate) comments: String,
    /// Comments and literals; the whole text of a file that is not Rust.
    pub(crate) prose: String,
}

/// A line, counted from one, and the fault in it.
pub(crate) type Finding = (usize, String);

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, comments, prose) = match path.ends_with(".rs") {
            true => split(text),
            false => (String::new(), String::new(), text.to_owned()),
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            comments,
            prose,
        }
    }
}

/// The part of a source that a character belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Code,
    Comment,
    /// The inside of a string or character.
    Literal,
}

/// Returns the code, the comments, and the comments with the literals of a text, each with the rest blank.
fn split(text: &str) -> (String, String, String) {
    let (mut code, mut comments, mut prose) = (String::new(), String::new(), String::new());
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
        match part {
            Part::Comment | Part::Literal => prose.push_str(taken),
            Part::Code => prose.extend(blank()),
        }
        rest = after;
    }
    (code, comments, prose)
}

/// The part at the front of a text, and its length in bytes.
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

/// The lines of a text, counted from one.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().zip(1..).map(|(line, number)| (number, line))
}

pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_part = |next: char| next.is_alphanumeric() || next == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
}

/// The position of the brace that closes a list, after its opening brace.
pub(crate) fn closing_brace(list: &str) -> Option<usize> {
    let mut depth = 1;
    list.char_indices().find_map(|(at, next)| {
        depth += i32::from(next == '{') - i32::from(next == '}');
        (depth == 0).then_some(at)
    })
}

/// The items of a list; a list within an item stays whole.
pub(crate) fn top_level(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    list.split(move |next| {
        depth += i32::from(next == '{') - i32::from(next == '}');
        depth == 0 && next == ','
    })
}
