//! The tag of a language (RFC 5646 §2.1): language, script, region and variants, in their usual case.
//!
//! Extensions and private subtags are left out of the grammar: they change formats, and no translation is for one.

/// Returns a tag in its usual case, such as `zh-Hant-TW`; `None` if it is malformed. `_` stands for `-`.
pub(super) fn canonical(tag: &str) -> Option<String> {
    let mut subtags = tag.split(['-', '_']).peekable();
    let language = subtags.next().filter(|subtag| is_language(subtag))?;
    let mut canonical = language.to_ascii_lowercase();
    if let Some(script) = subtags.next_if(|subtag| subtag.len() == 4 && is_alphabetic(subtag)) {
        let (first, rest) = script.split_at(1);
        canonical.push('-');
        canonical.push_str(&first.to_ascii_uppercase());
        canonical.push_str(&rest.to_ascii_lowercase());
    }
    if let Some(region) = subtags.next_if(|subtag| is_region(subtag)) {
        canonical.push('-');
        canonical.push_str(&region.to_ascii_uppercase());
    }
    for variant in subtags {
        if !is_variant(variant) {
            return None;
        }
        canonical.push('-');
        canonical.push_str(&variant.to_ascii_lowercase());
    }
    Some(canonical)
}

fn is_language(subtag: &str) -> bool {
    matches!(subtag.len(), 2 | 3) && is_alphabetic(subtag)
}

fn is_region(subtag: &str) -> bool {
    subtag.len() == 2 && is_alphabetic(subtag) || subtag.len() == 3 && subtag.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_variant(subtag: &str) -> bool {
    let is_long_enough = match subtag.len() {
        5..=8 => true,
        4 => subtag.starts_with(|letter: char| letter.is_ascii_digit()),
        _ => false,
    };
    is_long_enough && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_alphabetic(subtag: &str) -> bool {
    subtag.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn a_tag_gets_its_usual_case() {
        for (tag, expected) in [
            ("en", "en"),
            ("PT_br", "pt-BR"),
            ("es-LA", "es-LA"),
            ("ZH-hANT-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("sr_latn", "sr-Latn"),
            ("DE-CH-1996", "de-CH-1996"),
            ("sl-Rozaj-BISKE", "sl-rozaj-biske"),
            ("und", "und"),
        ] {
            assert_eq!(canonical(tag).as_deref(), Some(expected), "{tag}");
        }
    }

    #[test]
    fn a_malformed_tag_is_refused() {
        for tag in [
            "",
            "e",
            "engl",
            "e1",
            "en-",
            "-en",
            "en--US",
            "en-U",
            "en-USA",
            "en-US-x-a",
            "en-u-ca-roc",
            "en US",
            "\u{e4}\u{e4}",
            "en-Latn-Latn-US",
            "en-abcdefghi",
            "en-US-US",
            "../etc",
        ] {
            assert_eq!(canonical(tag), None, "{tag}");
        }
    }

    #[cfg(feature = "locale")]
    mod beside_icu {
        use icu_locale_core::LanguageIdentifier;
        use proptest::prelude::*;

        use super::canonical;

        proptest! {
            /// ICU4X sorts variants and rejects repeated ones, so these tags have one at most.
            #[test]
            fn a_tag_is_read_as_icu4x_reads_it(
                tag in "([a-zA-Z]{1,9}|[a-z0-9]{2,3})(-[a-zA-Z]{4})?(-[a-zA-Z]{2}|-[0-9]{3})?(-[a-zA-Z0-9]{3,9})?"
            ) {
                let read = LanguageIdentifier::try_from_str(&tag).ok().map(|read| read.to_string());
                prop_assert_eq!(canonical(&tag), read);
            }
        }
    }
}
