//! The header of a gettext file: the translation of the empty text, with one field a line.

use super::catalogue::Catalogue;
use super::plural::PluralRule;
use super::problem::Problem;

/// Reads the fields that matter: the charset, which must be UTF-8, and the plural forms.
pub(super) fn read(text: &str, catalogue: &mut Catalogue) -> Result<(), Problem> {
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.trim().eq_ignore_ascii_case("content-type") {
            let charset = value.split_once("charset=").map_or("", |(_, charset)| charset.trim());
            // `CHARSET` is the placeholder of a file that no translator has touched.
            let known = ["", "utf-8", "utf8", "us-ascii", "ascii", "charset"];
            if !known.iter().any(|known| charset.eq_ignore_ascii_case(known)) {
                return Err(Problem::new(format!("its charset is `{charset}`; convert it to UTF-8")));
            }
        } else if name.trim().eq_ignore_ascii_case("plural-forms") && !value.contains("INTEGER") {
            // `nplurals=INTEGER` is the placeholder of such a file.
            let rule = PluralRule::parse(value).map_err(|error| Problem::new(error.to_string()))?;
            catalogue.set_rule(rule);
        }
    }
    Ok(())
}
