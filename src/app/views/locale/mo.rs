//! Translations in gettext's binary format, `.mo`.
//!
//! The file has two tables of lengths and offsets, of the source texts and of the translations. Each is checked against
//! the bytes that are there. Source: the manual of GNU gettext, "The format of GNU MO files".

use super::catalogue::Catalogue;
use super::header;
use super::problem::Problem;

/// The first four bytes of a file, in its own order.
const MAGIC: u32 = 0x9504_12de;

/// Separates a context from its text.
const CONTEXT_END: char = '\u{4}';

/// Reads a file into a catalogue.
pub(super) fn read(file: &[u8], catalogue: &mut Catalogue) -> Result<(), Problem> {
    let words = Words::of(file).ok_or_else(|| Problem::new("it does not begin as a `.mo` file"))?;
    let cut = || Problem::new("a length or an offset points outside the file");
    // The major revision; a minor one adds tables that may be ignored.
    if words.at(4).ok_or_else(cut)? >> 16 > 1 {
        return Err(Problem::new("its revision is newer than 1"));
    }
    let count = words.at(8).ok_or_else(cut)?;
    let (texts, translations) = (words.at(12).ok_or_else(cut)?, words.at(16).ok_or_else(cut)?);
    for index in 0..count {
        let text = words.string(texts, index).ok_or_else(cut)?;
        let translation = words.string(translations, index).ok_or_else(cut)?;
        let is_utf8 = |bytes| core::str::from_utf8(bytes).map_err(|_| Problem::new("a text is not UTF-8"));
        if text.is_empty() {
            header::read(is_utf8(translation)?, catalogue)?;
            continue;
        }
        let (text, translation) = (is_utf8(text)?, is_utf8(translation)?);
        let (context, text) = match text.split_once(CONTEXT_END) {
            Some((context, text)) => (Some(context), text),
            None => (None, text),
        };
        // A plural stands behind the singular, and forms stand behind one another.
        let text = text.split('\0').next().unwrap_or(text);
        let forms = translation.split('\0').map(Box::from).collect();
        catalogue.add_forms(context, text, forms);
    }
    Ok(())
}

/// A file as numbers of 32 bits in its byte order.
#[derive(Clone, Copy)]
struct Words<'f> {
    file: &'f [u8],
    is_big_endian: bool,
}

impl<'f> Words<'f> {
    fn of(file: &'f [u8]) -> Option<Self> {
        let little = Self {
            file,
            is_big_endian: false,
        };
        let big = Self {
            is_big_endian: true,
            ..little
        };
        [little, big].into_iter().find(|words| words.at(0) == Some(MAGIC))
    }

    fn at(self, offset: u32) -> Option<u32> {
        let bytes = *self.file.get(usize::try_from(offset).ok()?..)?.first_chunk()?;
        Some(if self.is_big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    /// The string that an entry of a table points to.
    fn string(self, table: u32, index: u32) -> Option<&'f [u8]> {
        let entry = table.checked_add(index.checked_mul(8)?)?;
        let length = usize::try_from(self.at(entry)?).ok()?;
        let offset = usize::try_from(self.at(entry.checked_add(4)?)?).ok()?;
        self.file.get(offset..offset.checked_add(length)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::catalogue::{Catalogue, Source};
    use super::{MAGIC, read};

    /// Writes a file as `msgfmt` does, without the table of hashes.
    fn file(entries: &[(&str, &str)], word: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let number = |number: usize| word(u32::try_from(number).unwrap());
        let strings: Vec<&str> = entries
            .iter()
            .map(|entry| entry.0)
            .chain(entries.iter().map(|entry| entry.1))
            .collect();
        let (texts, translations) = (28, 28 + 8 * entries.len());
        let mut file = [MAGIC, 0].map(word).concat();
        file.extend([entries.len(), texts, translations, 0, 0].map(number).concat());
        let mut offset = translations + 8 * entries.len();
        for string in &strings {
            file.extend([string.len(), offset].map(number).concat());
            offset += string.len() + 1;
        }
        for string in &strings {
            file.extend(string.bytes().chain([0]));
        }
        file
    }

    const ENTRIES: [(&str, &str); 4] = [
        (
            "",
            "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=n>1;\n",
        ),
        ("Hello", "Bonjour"),
        ("menu\u{4}Open", "Ouvrir"),
        ("a day\0{n} days", "un jour\0{n} jours"),
    ];

    fn found(catalogue: &Catalogue) -> Vec<Option<&str>> {
        let source = |context, text, count: Option<u64>| Source {
            context,
            text,
            plural: count.map(|count| ("{n} days", count)),
        };
        [
            source(None, "Hello", None),
            source(Some("menu"), "Open", None),
            source(None, "Open", None),
            source(None, "a day", Some(0)),
            source(None, "a day", Some(2)),
            source(None, "a day", None),
        ]
        .map(|source| catalogue.find(source))
        .to_vec()
    }

    #[test]
    fn files_of_either_byte_order_are_read() {
        for word in [u32::to_le_bytes, u32::to_be_bytes] {
            let mut catalogue = Catalogue::default();
            read(&file(&ENTRIES, word), &mut catalogue).unwrap();
            let expected = ["Bonjour", "Ouvrir", "", "un jour", "{n} jours", "un jour"];
            let expected = expected.map(|text| Some(text).filter(|text| !text.is_empty()));
            assert_eq!(found(&catalogue), expected);
        }
    }

    #[test]
    fn a_cut_file_is_refused_at_every_length() {
        let whole = file(&ENTRIES, u32::to_le_bytes);
        // The last byte ends the last string and is not part of it.
        for length in 0..whole.len() - 1 {
            assert!(
                read(&whole[..length], &mut Catalogue::default()).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn numbers_beyond_the_file_are_refused() {
        let whole = file(&ENTRIES, u32::to_le_bytes);
        for place in (4..28 + 8 * 8).step_by(4) {
            for number in [u32::MAX, u32::MAX - 7, 1 << 31, 1 << 20] {
                let mut changed = whole.clone();
                changed[place..place + 4].copy_from_slice(&number.to_le_bytes());
                let is_unused = matches!(place, 20 | 24) || place == 4 && number == 1 << 16;
                assert_eq!(
                    read(&changed, &mut Catalogue::default()).is_ok(),
                    is_unused,
                    "{place}: {number}"
                );
            }
        }
    }

    #[test]
    fn other_charsets_are_refused() {
        let latin = [("", "Content-Type: text/plain; charset=latin1\n")];
        let error = read(&file(&latin, u32::to_le_bytes), &mut Catalogue::default()).unwrap_err();
        assert_eq!(error.to_string(), "its charset is `latin1`; convert it to UTF-8");
        let mut bytes = file(&[("a", "b")], u32::to_le_bytes);
        *bytes.iter_mut().rfind(|byte| **byte == b'b').unwrap() = 0xff;
        let error = read(&bytes, &mut Catalogue::default()).unwrap_err();
        assert_eq!(error.to_string(), "a text is not UTF-8");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), place in 0..100_usize) {
            drop(read(&bytes, &mut Catalogue::default()));
            let mut changed = file(&ENTRIES, u32::to_le_bytes);
            let end = changed.len().min(place + bytes.len());
            changed[place..end].copy_from_slice(&bytes[..end - place]);
            drop(read(&changed, &mut Catalogue::default()));
        }
    }
}
