//! Files of translations, and `Accept-Language`. Any bytes are read or refused, and a language is always chosen. The
//! fuzzer libFuzzer calls this function through `fuzz_targets/languages.rs`, and `tests/fuzz_smoke.rs` on stable Rust.

use squall::views::locale::Languages;

/// The first byte selects the format; the second line is a field, and the rest is the file.
pub(crate) fn languages(data: &[u8]) {
    let (format, rest) = data.split_first().unwrap_or((&0, &[]));
    let line_end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (field, file) = rest.split_at(line_end);
    let file = file.get(1..).unwrap_or_default();
    let text = String::from_utf8_lossy(file);
    let mut languages = Languages::new("en").unwrap();
    // A malformed file is an error, and the languages stay usable.
    drop(match format % 4 {
        0 => languages.add_po("de-CH", &text),
        1 => languages.add_mo("de-CH", file),
        2 => languages.add_csv("de-CH", file),
        _ => languages.add_fluent("de-CH", &text),
    });
    let field = String::from_utf8_lossy(field);
    let best = languages.best_for(&[&field, "de-CH;q=0.001"]);
    assert!(languages.tags().any(|tag| tag == best));
}
