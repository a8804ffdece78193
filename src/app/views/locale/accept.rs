//! `Accept-Language`: which of the languages that a site has fits a client best (RFC 9110 §12.5.4, RFC 4647 §3.4).
//!
//! The client's ranges are tried in the order of their weights, and of two equal ones in the order received. A range
//! matches a language that is equal to it, or to it without its last subtags: `de-CH-1996`, `de-CH`, `de`. A longer
//! language never matches a shorter range. `*` says nothing about which language to take and is skipped. A language
//! with the weight 0 is not taken.

/// Most ranges that count: 32. Browsers send 1 to 10.
const RANGES_MAX: usize = 32;

/// A weight of 1, in thousandths.
const WHOLE: u16 = 1000;

/// A range of the client, with its weight in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range<'h> {
    range: &'h str,
    weight: u16,
}

/// Returns the index of the language that fits best; `None` if none fits.
///
/// `lines` are the field lines in the order received. Malformed members are skipped.
pub(super) fn best<'h>(lines: impl Iterator<Item = &'h [u8]>, languages: &[&str]) -> Option<usize> {
    let members = lines.flat_map(|line| line.split(|&byte| byte == b','));
    let mut ranges: Vec<Range<'_>> = members.filter_map(range).take(RANGES_MAX).collect();
    // A stable sort, so that ranges of one weight keep their order.
    ranges.sort_by_key(|range| core::cmp::Reverse(range.weight));
    let is_refused = |language: &str| {
        let refused = ranges.iter().filter(|range| range.weight == 0);
        refused.clone().any(|range| is_same(range.range, language))
    };
    let wanted = ranges.iter().filter(|range| range.weight > 0);
    wanted.flat_map(|range| shortened(range.range)).find_map(|range| {
        find(range, languages).filter(|index| languages.get(*index).is_some_and(|tag| !is_refused(tag)))
    })
}

/// Returns the index of the language that a code names, by the same rule.
pub(super) fn lookup(code: &str, languages: &[&str]) -> Option<usize> {
    shortened(code).find_map(|range| find(range, languages))
}

fn find(range: &str, languages: &[&str]) -> Option<usize> {
    languages.iter().position(|language| is_same(range, language))
}

/// Whether two tags are equal: case does not count, and `_` is Tornado's `-`.
fn is_same(range: &str, language: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    range.bytes().map(plain).eq(language.bytes().map(plain))
}

/// A range and its shorter forms. A single letter, which begins an extension, is cut off with the subtag behind it.
fn shortened(range: &str) -> impl Iterator<Item = &str> {
    core::iter::successors(Some(range), |range| {
        let (shorter, _) = range.rsplit_once(['-', '_'])?;
        match shorter.rsplit_once(['-', '_']) {
            Some((before, letter)) if letter.len() == 1 => Some(before),
            _ => Some(shorter),
        }
    })
}

/// Reads one member of the field: a range with an optional weight.
fn range(member: &[u8]) -> Option<Range<'_>> {
    let mut parts = core::str::from_utf8(member).ok()?.split(';');
    let range = parts.next()?.trim_matches([' ', '\t']);
    let is_subtag =
        |subtag: &str| (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !range.split(['-', '_']).all(is_subtag) {
        return None;
    }
    let weight = match parts.next() {
        Some(parameter) => weight(parameter)?,
        None => WHOLE,
    };
    parts.next().is_none().then_some(Range { range, weight })
}

/// Reads `q=0.8` in thousandths (RFC 9110 §12.4.2).
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.trim_matches([' ', '\t']).split_once('=')?;
    if !name.eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let places = fraction.bytes().zip([100, 10, 1]);
    let thousandths: u16 = places.map(|(digit, place)| u16::from(digit - b'0') * place).sum();
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(WHOLE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Range, best, lookup, range, weight};

    const LANGUAGES: [&str; 4] = ["en", "de", "es-LA", "zh-Hant-TW"];

    fn chosen(field: &str) -> Option<&'static str> {
        best([field.as_bytes()].into_iter(), &LANGUAGES).map(|index| LANGUAGES[index])
    }

    #[test]
    fn the_best_language_follows_weights_and_order() {
        for (field, expected) in [
            ("de", Some("de")),
            ("DE", Some("de")),
            ("de-CH-1996, en", Some("de")),
            ("fr, de;q=0.5, en;q=0.6", Some("en")),
            ("de;q=0.5,en;q=0.5", Some("de")),
            ("en;q=0.001, de;q=0.01", Some("de")),
            ("es-LA", Some("es-LA")),
            ("es_la", Some("es-LA")),
            ("es-LA-x-private", Some("es-LA")),
            // A range is never made longer: a reader of Spanish has not asked for that of Latin America.
            ("es", None),
            ("es-MX, en;q=0.1", Some("en")),
            ("zh-Hant-TW-u-ca-roc", Some("zh-Hant-TW")),
            ("zh-Hant", None),
            ("*", None),
            ("*, de;q=0.1", Some("de")),
            ("fr, *;q=0.5", None),
            ("de;q=0, en;q=0.1", Some("en")),
            ("de;q=0, de-AT", None),
            ("de-AT, de;q=0, en;q=0.1", Some("en")),
            (" \tde\t; Q=1.000 , en", Some("de")),
            ("", None),
            (",,de,", Some("de")),
        ] {
            assert_eq!(chosen(field), expected, "{field}");
        }
    }

    #[test]
    fn malformed_members_are_skipped() {
        for member in [
            "de;q",
            "de;q=",
            "de;q=2",
            "de;q=1.001",
            "de;q=0.1234",
            "de;q=-1",
            "de;q=0,5",
            "de;q=.5",
            "de;q=+1",
            "de;q=1;x",
            "de;x=1",
            "de ch",
            "de-",
            "-de",
            "de--ch",
            "dededede1",
            "dé",
            "*-de",
            "de;q=0.+1",
            "de;q=0. 1",
        ] {
            let field = format!("{member}, en;q=0.2");
            assert_eq!(chosen(&field), Some("en"), "{member}");
        }
        assert_eq!(range(b"d\xff"), None);
    }

    #[test]
    fn the_lines_of_a_field_are_one_list() {
        let lines = [&b"fr, en;q=0.1"[..], b"de;q=0.5"];
        assert_eq!(best(lines.into_iter(), &LANGUAGES), Some(1));
    }

    #[test]
    fn ranges_beyond_the_limit_do_not_count() {
        let many = "fr,".repeat(31);
        assert_eq!(chosen(&format!("{many}de")), Some("de"));
        assert_eq!(chosen(&format!("{many}fr,de")), None);
    }

    #[test]
    fn weights_are_thousandths() {
        for (text, expected) in [
            ("q=0", 0),
            ("q=0.", 0),
            ("q=0.5", 500),
            ("q=0.05", 50),
            ("q=0.005", 5),
            ("q=1.0", 1000),
        ] {
            assert_eq!(weight(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_code_is_looked_up_like_a_range() {
        assert_eq!(lookup("de_AT", &LANGUAGES), Some(1));
        assert_eq!(lookup("fr", &LANGUAGES), None);
        assert_eq!(lookup("", &LANGUAGES), None);
    }

    proptest! {
        #[test]
        fn any_field_selects_a_language_or_none(field in "[a-zA-Z0-9*;=q.,_ -]{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let lines = [field.as_bytes(), &bytes];
            if let Some(index) = best(lines.into_iter(), &LANGUAGES) {
                prop_assert!(index < LANGUAGES.len());
            }
        }

        #[test]
        fn a_written_range_is_read(tag in "[a-z]{2,8}(-[a-zA-Z0-9]{1,8}){0,3}", thousandths in 0..=1000_u16) {
            let number = f64::from(thousandths) / 1000.0;
            let member = format!("{tag};q={number}");
            prop_assert_eq!(range(member.as_bytes()), Some(Range { range: &tag, weight: thousandths }));
        }

        /// Whatever has the greatest weight among languages that are there is chosen.
        #[test]
        fn the_greatest_weight_wins(weights in prop::collection::vec(1..=1000_u16, 4)) {
            let members = LANGUAGES.iter().zip(&weights).map(|(tag, weight)| format!("{tag};q={}", f64::from(*weight) / 1000.0));
            let field = members.collect::<Vec<_>>().join(", ");
            let greatest = weights.iter().max().unwrap();
            let expected = weights.iter().position(|weight| weight == greatest).unwrap();
            prop_assert_eq!(chosen(&field), Some(LANGUAGES[expected]));
        }
    }
}
