//! The media type of a file, by the extension of its name.

use std::path::Path;

use super::static_path::file_name;
use crate::message::HeaderValue;

/// The type of a file with an unknown extension, or with none.
const UNKNOWN: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Returns the `Content-Type` for a file name; text is UTF-8.
pub(super) fn content_type(path: &[u8]) -> HeaderValue {
    let name = str::from_utf8(file_name(path)).unwrap_or_default();
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    let guessed = extension.and_then(|extension| mime_guess::from_ext(extension).first_raw());
    match guessed {
        None => UNKNOWN,
        Some("text/html") => HeaderValue::from_static("text/html; charset=utf-8"),
        Some("text/css") => HeaderValue::from_static("text/css; charset=utf-8"),
        // RFC 9239 made the second name obsolete.
        Some("text/javascript" | "application/javascript") => {
            HeaderValue::from_static("text/javascript; charset=utf-8")
        }
        Some("text/plain") => HeaderValue::from_static("text/plain; charset=utf-8"),
        Some(text) if text.starts_with("text/") => {
            HeaderValue::try_from(format!("{text}; charset=utf-8")).unwrap_or(UNKNOWN)
        }
        Some(other) => HeaderValue::from_static(other),
    }
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn the_extension_decides_and_text_is_utf_8() {
        for (path, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("css/a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("robots.txt", "text/plain; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("A.TXT", "text/plain; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.woff2", "font/woff2"),
            ("a.wasm", "application/wasm"),
            ("a.gz", "application/gzip"),
            ("a.txt.gz", "application/gzip"),
            ("a.unheard-of", "application/octet-stream"),
            ("a", "application/octet-stream"),
            ("html", "application/octet-stream"),
            ("a.d/b", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(content_type(path.as_bytes()), expected, "{path}");
        }
    }
}
