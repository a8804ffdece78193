//! The page that lists a directory.

use core::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::source::ListedFile;
use crate::app::response::escape::escape;
use crate::message::HttpDate;

/// The most entries of a listing; the page says if there are more. 10,000: about 1 MiB of HTML.
pub(super) const LISTED_MAX: usize = 10_000;

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const BEGIN: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
    <meta name=\"color-scheme\" content=\"light dark\">\n";

const STYLE: &str = "<style>body{font:1em/1.6 system-ui,sans-serif;max-width:56em;margin:6vh auto;padding:0 1.25em}\
    h1{font-size:1.4em;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}\
    td{padding:.15em .5em;border-top:1px solid #8883;font-variant-numeric:tabular-nums}\
    td:first-child{overflow-wrap:anywhere;padding-left:0}td+td{text-align:right;white-space:nowrap;opacity:.7}\
    @media(max-width:36em){td:nth-child(3){display:none}}</style>\n";

/// Writes the page of a directory, directories first; `path` is the one that the client asked for, decoded.
pub(super) fn page(path: &str, mut entries: Vec<ListedFile>) -> String {
    entries.retain(|entry| !entry.name.starts_with(b"."));
    entries.sort_by(|one, other| (one.bytes.is_some(), &one.name).cmp(&(other.bytes.is_some(), &other.name)));
    let is_cut = entries.len() >= LISTED_MAX;
    let title = escape(path);
    let mut page = format!("{BEGIN}<title>{title}</title>\n{STYLE}<h1>{title}</h1>\n<table>\n");
    if path != "/" {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for entry in &entries {
        let slash = if entry.bytes.is_none() { "/" } else { "" };
        let link = percent_encode(&entry.name, ENCODED);
        let name = escape(&String::from_utf8_lossy(&entry.name));
        let size = entry.bytes.map(size).unwrap_or_default();
        let modified = entry.modified.map(|time| HttpDate::from(time).to_string());
        let modified = modified.unwrap_or_default();
        // Writing into a string cannot fail.
        let _ = writeln!(
            page,
            "<tr><td><a href=\"./{link}{slash}\">{name}{slash}</a></td><td>{size}</td><td>{modified}</td></tr>"
        );
    }
    page.push_str("</table>\n");
    if is_cut {
        let _ = writeln!(page, "<p>Only {LISTED_MAX} entries are shown.</p>");
    }
    page
}

/// A size for people: `740 B`, `1.4 MiB`.
fn size(bytes: u64) -> String {
    let mut unit = "B";
    let mut tenths = bytes.saturating_mul(10);
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = larger;
    }
    if unit == "B" {
        format!("{bytes} B")
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_sorted_and_hidden_ones_left_out() {
        let entry = |name: &str, bytes| ListedFile {
            name: name.as_bytes().to_vec(),
            bytes,
            modified: None,
        };
        let entries = vec![
            entry("b.txt", Some(1)),
            entry("<script>&", Some(1_468_007)),
            entry("z", None),
            entry(".git", None),
            entry("javascript:alert(1)", Some(0)),
        ];
        let page = page("/a\"<b>/", entries);
        assert!(page.contains("<h1>/a&quot;&lt;b&gt;/</h1>"), "{page}");
        assert!(
            page.contains("<a href=\"./%3Cscript%3E%26\">&lt;script&gt;&amp;</a></td><td>1.4 MiB</td>"),
            "{page}"
        );
        assert!(page.contains("href=\"./javascript%3Aalert%281%29\""), "{page}");
        assert!(!page.contains("git"), "{page}");
        let place = |text: &str| page.find(text).unwrap();
        assert!(place(">z/<") < place(">b.txt<"), "{page}");
        assert!(page.contains("href=\"../\""));
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024, "1.0 MiB"),
            (u64::MAX, "1677721.5 TiB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }
}
