//! Texts with named places, such as `Hello, {name}!`, which translators can put in any order.

use core::fmt::{Display, Write};

/// Replaces each `{name}` in a text by the value of that name.
///
/// Names without a value stay as they are. Values are written once and are not searched for further names.
///
/// ```
/// let text = squall::views::fill("{count} of {total}", &[("count", &3), ("total", &5)]);
/// assert_eq!(text, "3 of 5");
/// ```
#[must_use]
pub fn fill(text: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let named = after.split_once('}').and_then(|(name, behind)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, behind))
        });
        rest = match named {
            // Writing into a `String` fails only if the value's own `Display` does.
            Some((value, behind)) if write!(filled, "{value}").is_ok() => behind,
            _ => {
                filled.push('{');
                after
            }
        };
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn each_name_is_replaced_by_its_value() {
        for (text, expected) in [
            ("", ""),
            ("{a}", "1"),
            ("{a}{b}{a}", "1{a}1"),
            ("{c}, {a}", "{c}, 1"),
            ("{{a}}", "{1}"),
            ("{", "{"),
            ("}{a", "}{a"),
            ("{a b}{b}", "{a b}{a}"),
        ] {
            assert_eq!(fill(text, &[("a", &1), ("b", &"{a}")]), expected, "{text}");
        }
    }
}
