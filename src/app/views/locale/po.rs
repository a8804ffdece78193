//! Translations in gettext's text format, `.po`.
//!
//! An entry is a group of keywords with strings: `msgctxt`, `msgid`, `msgid_plural`, `msgstr` or `msgstr[N]`. Strings may
//! go on in the next lines. The entry of the empty `msgid` is the header. Entries marked `fuzzy` are guesses of a
//! program and are left out, as `msgfmt` does. Source: the manual of GNU gettext, "The format of PO files".

use super::catalogue::Catalogue;
use super::header;
use super::problem::Problem;

/// Most forms in one entry: 16, as many as a rule may have.
const FORMS_MAX: usize = 16;

/// Reads a file into a catalogue.
pub(super) fn read(text: &str, catalogue: &mut Catalogue) -> Result<(), Problem> {
    let mut reader = Reader {
        entry: Entry::default(),
        place: None,
        catalogue,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        reader.line(line.trim()).map_err(|problem| problem.in_line(index + 1))?;
    }
    reader.finish_entry()
}

/// One entry, as far as it was read.
#[derive(Debug, Default)]
struct Entry {
    is_fuzzy: bool,
    context: Option<String>,
    text: Option<String>,
    has_plural: bool,
    forms: Vec<String>,
}

/// The string that a further line continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Context,
    Text,
    /// The source's plural, which only the application's own text decides.
    Plural,
    Form,
}

struct Reader<'c> {
    entry: Entry,
    place: Option<Place>,
    catalogue: &'c mut Catalogue,
}

impl Reader<'_> {
    fn line(&mut self, line: &str) -> Result<(), Problem> {
        if let Some(comment) = line.strip_prefix('#') {
            // A comment belongs to the entry that follows it.
            self.finish_entry_if_whole()?;
            let is_flags = comment.starts_with(',');
            self.entry.is_fuzzy |= is_flags && comment.split(',').any(|flag| flag.trim() == "fuzzy");
            return Ok(());
        }
        if line.is_empty() {
            return self.finish_entry_if_whole();
        }
        if line.starts_with('"') {
            return self.append(line);
        }
        let end = line.find(|next: char| next.is_whitespace() || next == '"');
        let (keyword, string) = line.split_at(end.unwrap_or(line.len()));
        self.begin(keyword)?;
        self.append(string.trim_start())
    }

    /// Begins the string of a keyword.
    fn begin(&mut self, keyword: &str) -> Result<(), Problem> {
        if matches!(keyword, "msgctxt" | "msgid") {
            self.finish_entry_if_whole()?;
        }
        let entry = &mut self.entry;
        let place = match keyword {
            "msgctxt" if entry.context.is_none() && entry.text.is_none() => {
                entry.context = Some(String::new());
                Place::Context
            }
            "msgid" if entry.text.is_none() => {
                entry.text = Some(String::new());
                Place::Text
            }
            "msgid_plural" if entry.text.is_some() && !entry.has_plural && entry.forms.is_empty() => {
                entry.has_plural = true;
                Place::Plural
            }
            "msgstr" if entry.text.is_some() && !entry.has_plural && entry.forms.is_empty() => {
                entry.forms.push(String::new());
                Place::Form
            }
            _ => {
                let index = keyword.strip_prefix("msgstr[").and_then(|rest| rest.strip_suffix(']'));
                let index = index.and_then(|index| index.parse::<usize>().ok());
                if !entry.has_plural || index != Some(entry.forms.len()) || entry.forms.len() >= FORMS_MAX {
                    return Err(Problem::new("a keyword is unknown or stands in the wrong place"));
                }
                entry.forms.push(String::new());
                Place::Form
            }
        };
        self.place = Some(place);
        Ok(())
    }

    /// Appends a quoted string to the one that was begun last.
    fn append(&mut self, quoted: &str) -> Result<(), Problem> {
        let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let inner = inner.ok_or_else(|| Problem::new("a string is not in quotes"))?;
        let text = unescape(inner).ok_or_else(|| Problem::new("a string has a malformed escape or a bare quote"))?;
        let entry = &mut self.entry;
        let string = match self.place {
            Some(Place::Context) => entry.context.as_mut(),
            Some(Place::Text) => entry.text.as_mut(),
            Some(Place::Form) => entry.forms.last_mut(),
            Some(Place::Plural) => return Ok(()),
            None => None,
        };
        string
            .ok_or_else(|| Problem::new("a string continues no keyword"))?
            .push_str(&text);
        Ok(())
    }

    /// Ends the entry if it has a translation; comments and blank lines may stand inside an entry.
    fn finish_entry_if_whole(&mut self) -> Result<(), Problem> {
        if self.entry.forms.is_empty() {
            return Ok(());
        }
        self.finish_entry()
    }

    fn finish_entry(&mut self) -> Result<(), Problem> {
        self.place = None;
        let entry = core::mem::take(&mut self.entry);
        let Some(text) = entry.text else {
            return match entry.context {
                Some(_) => Err(Problem::new("an entry has a context and no `msgid`")),
                None => Ok(()),
            };
        };
        if entry.forms.is_empty() {
            return Err(Problem::new("an entry has no `msgstr`"));
        }
        if text.is_empty() && entry.context.is_none() {
            // The header counts even where it is marked fuzzy, as in a fresh file.
            return header::read(entry.forms.first().map_or("", String::as_str), self.catalogue);
        }
        if !entry.is_fuzzy {
            let forms = entry.forms.into_iter().map(String::into_boxed_str).collect();
            self.catalogue.add_forms(entry.context.as_deref(), &text, forms);
        }
        Ok(())
    }
}

/// Undoes the escapes of C strings; `None` if one is malformed.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'"' => return None,
            b'\\' => {
                let (escape, after) = rest.split_first()?;
                rest = after;
                bytes.push(match escape {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    b'a' => 0x07,
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'v' => 0x0b,
                    b'"' | b'\\' | b'\'' | b'?' => *escape,
                    b'x' => number(&mut rest, 0, 16, 2)?,
                    b'0'..=b'7' => number(&mut rest, escape - b'0', 8, 2)?,
                    _ => return None,
                });
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Reads the further digits of a numeric escape; a hexadecimal one has at least one.
fn number(rest: &mut &[u8], first: u8, radix: u32, digits_max: usize) -> Option<u8> {
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(radix)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let digits = rest
        .iter()
        .take(digits_max)
        .take_while(|byte| digit(byte).is_some())
        .count();
    if radix == 16 && digits == 0 {
        return None;
    }
    let (number, after) = rest.split_at_checked(digits)?;
    *rest = after;
    let radix = u8::try_from(radix).ok()?;
    number
        .iter()
        .filter_map(digit)
        .try_fold(first, |value, digit| value.checked_mul(radix)?.checked_add(digit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::catalogue::{Catalogue, Source};
    use super::read;

    fn catalogue(text: &str) -> Catalogue {
        let mut catalogue = Catalogue::default();
        read(text, &mut catalogue).unwrap();
        catalogue
    }

    fn find<'c>(catalogue: &'c Catalogue, text: &str, count: Option<u64>) -> Option<&'c str> {
        let plural = count.map(|count| ("", count));
        catalogue.find(Source {
            context: None,
            text,
            plural,
        })
    }

    const FILE: &str = "\u{feff}# A comment\r
#, fuzzy
msgid \"\"
msgstr \"\"
\"Content-Type: text/plain; charset=UTF-8\\n\"
\"Plural-Forms: nplurals=3; plural=n==1 ? 0 : n<5 ? 1 : 2;\\n\"

#: src/main.rs:1
#, c-format, python-format
msgid \"\"
\"Hello,\\n\"
\"\\\"you\\\"\\t\\x41\\101\\303\\244\"
msgstr\"Hallo\"
msgctxt \"menu\"
msgid \"Open\"
msgstr \"Öffnen\"
msgid \"a day\"
msgid_plural \"{n} days\"
msgstr[0] \"dzień\"
msgstr[1] \"dni\"
msgstr[2] \"dnia\"

#, fuzzy
msgid \"guessed\"
msgstr \"geraten\"

msgid \"missing\"
msgstr \"\"
#~ msgid \"obsolete\"
#~ msgstr \"veraltet\"
";

    #[test]
    fn entries_become_translations() {
        let catalogue = catalogue(FILE);
        assert_eq!(find(&catalogue, "Hello,\n\"you\"\tAAä", None), Some("Hallo"));
        assert_eq!(find(&catalogue, "Open", None), None);
        let menu = Source {
            context: Some("menu"),
            text: "Open",
            plural: None,
        };
        assert_eq!(catalogue.find(menu), Some("Öffnen"));
        let days = [0, 1, 2, 5].map(|count| find(&catalogue, "a day", Some(count)).unwrap());
        assert_eq!(days, ["dni", "dzień", "dni", "dnia"]);
        for untranslated in ["guessed", "missing", "obsolete", ""] {
            assert_eq!(find(&catalogue, untranslated, None), None, "{untranslated}");
        }
        assert_eq!(catalogue.len(), 3);
    }

    #[test]
    fn malformed_files_are_refused_with_their_line() {
        for (text, problem) in [
            ("msgid \"a\"", "an entry has no `msgstr`"),
            ("msgctxt \"a\"", "an entry has a context and no `msgid`"),
            (
                "msgstr \"a\"",
                "line 1: a keyword is unknown or stands in the wrong place",
            ),
            (
                "msgid \"a\"\nmsgid \"b\"",
                "line 2: a keyword is unknown or stands in the wrong place",
            ),
            (
                "msgid \"a\"\nmsgstr[0] \"b\"",
                "line 2: a keyword is unknown or stands in the wrong place",
            ),
            (
                "msgid \"a\"\nmsgid_plural \"b\"\nmsgstr[1] \"c\"",
                "line 3: a keyword is unknown or stands in the wrong place",
            ),
            (
                "domain \"a\"",
                "line 1: a keyword is unknown or stands in the wrong place",
            ),
            ("\"a\"", "line 1: a string continues no keyword"),
            ("msgid a", "line 1: a string is not in quotes"),
            ("msgid \"a", "line 1: a string is not in quotes"),
            ("msgid \"", "line 1: a string is not in quotes"),
            (
                "msgid \"a\" \"b\"",
                "line 1: a string has a malformed escape or a bare quote",
            ),
            (
                "msgid \"\\q\"",
                "line 1: a string has a malformed escape or a bare quote",
            ),
            (
                "msgid \"\\x\"",
                "line 1: a string has a malformed escape or a bare quote",
            ),
            (
                "msgid \"\\777\"",
                "line 1: a string has a malformed escape or a bare quote",
            ),
            (
                "msgid \"\\377\"",
                "line 1: a string has a malformed escape or a bare quote",
            ),
            (
                "msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=ISO-8859-1\\n\"",
                "its charset is `ISO-8859-1`; convert it to UTF-8",
            ),
            (
                "msgid \"\"\nmsgstr \"Plural-Forms: nplurals=0; plural=0\\n\"",
                "nplurals is not a number from 1 to 16",
            ),
        ] {
            let error = read(text, &mut Catalogue::default()).unwrap_err();
            assert_eq!(error.to_string(), problem, "{text}");
        }
    }

    /// Writes a string as `msgcat` does.
    fn quoted(text: &str) -> String {
        let escaped = text
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
            .replace('\r', "\\r");
        format!("\"{escaped}\"")
    }

    proptest! {
        #[test]
        fn written_entries_are_read(text in "\\PC{1,20}", translation in "[\\PC\n\r\"\\\\]{1,20}") {
            let file = format!("msgid {}\nmsgstr {}\n", quoted(&text), quoted(&translation));
            let catalogue = catalogue(&file);
            prop_assert_eq!(find(&catalogue, &text, None), Some(translation.as_str()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(msgid|msgstr|msgctxt|msgid_plural|msgstr\\[0\\]|#, fuzzy|[ \"\\\\nx0-9\n]){0,30}") {
            drop(read(&text, &mut Catalogue::default()));
        }
    }
}
