//! The field `Authorization`: a scheme and its credentials (RFC 9110 §11.6.2).

use crate::app::context::Context;

impl Context {
    /// The credentials of a scheme, whose name matches in any case.
    ///
    /// `None` without such a field, and with several: two readers could pick different ones.
    pub(super) fn credentials_of(&self, scheme: &str) -> Option<&str> {
        let mut lines = self.headers().get_all("authorization");
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return None;
        };
        let (found, credentials) = str::from_utf8(line).ok()?.split_once(' ')?;
        let credentials = credentials.trim_matches(' ');
        (found.eq_ignore_ascii_case(scheme) && !credentials.is_empty()).then_some(credentials)
    }
}

/// Makes a challenge of a 401: a scheme and its realm as a quoted string.
pub(super) fn challenge(scheme: &str, realm: &str) -> String {
    let mut text = format!("{scheme} realm=\"");
    for character in realm.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}
