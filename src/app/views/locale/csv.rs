//! Translations in CSV, as Tornado reads them: source, translation, and `singular`, `plural` or nothing.
//!
//! The file is UTF-8 or, by its byte order mark, UTF-16. Blanks around a value do not count. A row with fewer than two
//! values is skipped.

use std::borrow::Cow;

use csv::{ReaderBuilder, Trim};

use super::catalogue::{Catalogue, Kind};
use super::problem::Problem;

/// Reads a file into a catalogue.
pub(super) fn read(file: &[u8], catalogue: &mut Catalogue) -> Result<(), Problem> {
    let text = decode(file).ok_or_else(|| Problem::new("it is neither UTF-8 nor UTF-16 with a byte order mark"))?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    for row in reader.records() {
        let row = row.map_err(|error| Problem::new(error.to_string()))?;
        let (Some(source), Some(translation)) = (row.get(0), row.get(1)) else {
            continue;
        };
        let kind = match row.get(2).unwrap_or_default() {
            "" | "unknown" => Kind::Unknown,
            "singular" => Kind::Singular,
            "plural" => Kind::Plural,
            other => {
                let line = row.position().map_or(0, csv::Position::line);
                let reason = format!("the third value is `{other}`; write `singular`, `plural` or `unknown`");
                return Err(Problem::new(reason).in_line(usize::try_from(line).unwrap_or_default()));
            }
        };
        if !source.is_empty() {
            catalogue.add_row(kind, source, translation);
        }
    }
    Ok(())
}

/// Decodes a file by its byte order mark; without one it is UTF-8.
fn decode(file: &[u8]) -> Option<Cow<'_, str>> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks();
        let text = char::decode_utf16(units.iter().map(|bytes| unit(*bytes)));
        let text: String = text.collect::<Result<_, _>>().ok()?;
        rest.is_empty().then_some(Cow::Owned(text))
    };
    match file {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => core::str::from_utf8(rest).ok().map(Cow::Borrowed),
        _ => core::str::from_utf8(file).ok().map(Cow::Borrowed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::catalogue::{Catalogue, Source};
    use super::read;

    const FILE: &str = "\"Hello, you\",\"Hallo, \"\"du\"\"\"\n  school , école \n\n\
        alone\n{n} day,{n} Tag,singular\n{n} days,{n} Tage,plural,ignored\nopen,offen,unknown\n,nothing\n";

    fn found(file: &[u8]) -> [Option<String>; 7] {
        let mut catalogue = Catalogue::default();
        read(file, &mut catalogue).unwrap();
        let days = |count| ("{n} day", Some(("{n} days", count)));
        let sources = [
            ("Hello, you", None),
            ("school", None),
            ("open", None),
            days(1),
            days(2),
            ("{n} day", None),
            ("alone", None),
        ];
        sources.map(|(text, plural)| {
            let source = Source {
                context: None,
                text,
                plural,
            };
            catalogue.find(source).map(str::to_owned)
        })
    }

    #[test]
    fn rows_become_translations_in_every_encoding() {
        let expected = ["Hallo, \"du\"", "école", "offen", "{n} Tag", "{n} Tage", "", ""];
        let expected = expected.map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()));
        let units = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let text = format!("\u{feff}{FILE}");
            text.encode_utf16().flat_map(unit).collect()
        };
        let marked = format!("\u{feff}{FILE}");
        for file in [
            FILE.as_bytes(),
            marked.as_bytes(),
            &units(u16::to_le_bytes),
            &units(u16::to_be_bytes),
        ] {
            assert_eq!(found(file), expected);
        }
    }

    #[test]
    fn malformed_files_are_refused() {
        for (file, problem) in [
            (&b"a,\xff"[..], "it is neither UTF-8 nor UTF-16 with a byte order mark"),
            (b"\xff\xfea", "it is neither UTF-8 nor UTF-16 with a byte order mark"),
            (
                b"\xff\xfe\x00\xd8",
                "it is neither UTF-8 nor UTF-16 with a byte order mark",
            ),
            (
                b"a,b\nc,d,many\n",
                "line 2: the third value is `many`; write `singular`, `plural` or `unknown`",
            ),
        ] {
            let error = read(file, &mut Catalogue::default()).unwrap_err();
            assert_eq!(error.to_string(), problem);
        }
    }

    proptest! {
        #[test]
        fn written_rows_are_read(source in "[\\PC\n]{1,20}", translation in "\\PC{0,20}") {
            let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            let (source, translation) = (source.trim(), translation.trim());
            prop_assume!(!source.is_empty());
            let mut catalogue = Catalogue::default();
            read(format!("{},{}\n", quoted(source), quoted(translation)).as_bytes(), &mut catalogue).unwrap();
            let found = catalogue.find(Source { context: None, text: source, plural: None });
            prop_assert_eq!(found, Some(translation));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(read(&bytes, &mut Catalogue::default()));
        }
    }
}
