//! The page that lists a directory.

use core::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use cookie::time::OffsetDateTime;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::source::ListedFile;
use crate::app::response::html::{BEGIN, escape};

/// The most entries of a listing; the page says if there are more. 10,000: about 1 MiB of HTML.
pub(super) const LISTED_MAX: usize = 10_000;

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const STYLE: &str = "<style>\
    :root{--ink:light-dark(#1d232a,#e6e9ed);--quiet:light-dark(#66707b,#98a2ad);--line:light-dark(#e4e8ec,#2b3138);\
    --shade:light-dark(#f4f6f8,#1c2127);--link:light-dark(#0b5cad,#79b8ff)}\
    body{max-width:60rem;margin:0 auto;padding:clamp(1.5rem,6vh,4rem) clamp(1rem,4vw,2rem);font:1rem/1.5 system-ui,sans-serif;\
    color:var(--ink);background:light-dark(#fff,#14181d)}\
    h1{margin:0 0 1rem;font-size:1.35rem;line-height:1.3;letter-spacing:-.01em;overflow-wrap:anywhere}\
    table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}\
    th{padding:.4rem .6rem;font-size:.8rem;font-weight:500;color:var(--quiet);text-align:left;border-bottom:1px solid var(--line)}\
    td{padding:0 .6rem;border-bottom:1px solid var(--line)}tbody tr:hover{background:var(--shade)}\
    td:first-child{overflow-wrap:anywhere}td a{display:block;padding:.4rem 0;color:var(--link);text-decoration:none}\
    td a:hover{text-decoration:underline}.d a{font-weight:600}\
    th+th,td+td{width:1%;text-align:right;white-space:nowrap;color:var(--quiet)}td+td{font-size:.9rem}\
    p{color:var(--quiet);font-size:.9rem}\
    @media(max-width:36rem){th:nth-child(3),td:nth-child(3){display:none}}</style>\n";

/// Writes the page of a directory, directories first; `path` is the one that the client asked for, decoded.
pub(super) fn page(path: &str, mut entries: Vec<ListedFile>) -> String {
    entries.retain(|entry| !entry.name.starts_with(b"."));
    entries.sort_by(|one, other| (one.bytes.is_some(), &one.name).cmp(&(other.bytes.is_some(), &other.name)));
    let is_cut = entries.len() >= LISTED_MAX;
    let title = format!("Index of {}", escape(path));
    let mut page = format!(
        "{BEGIN}<title>{title}</title>\n{STYLE}<h1>{title}</h1>\n<table>\n\
         <thead><tr><th>Name</th><th>Size</th><th>Changed (UTC)</th></tr></thead>\n<tbody>\n"
    );
    if path != "/" {
        page.push_str("<tr class=\"d\"><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for entry in &entries {
        let (class, slash) = if entry.bytes.is_none() {
            (" class=\"d\"", "/")
        } else {
            ("", "")
        };
        let link = percent_encode(&entry.name, ENCODED);
        let name = escape(&String::from_utf8_lossy(&entry.name));
        let size = entry.bytes.map(size).unwrap_or_default();
        let changed = entry.modified.and_then(moment).unwrap_or_default();
        // Writing into a string cannot fail.
        let _ = writeln!(
            page,
            "<tr{class}><td><a href=\"./{link}{slash}\">{name}{slash}</a></td><td>{size}</td><td>{changed}</td></tr>"
        );
    }
    page.push_str("</tbody>\n</table>\n");
    if entries.is_empty() {
        page.push_str("<p>This directory is empty.</p>\n");
    }
    if is_cut {
        let _ = writeln!(page, "<p>Only {LISTED_MAX} entries are shown.</p>");
    }
    page
}

/// A moment for people: `2026-11-30 12:05`; `None` before 1970 and after 9999, which no clock has shown.
fn moment(time: SystemTime) -> Option<String> {
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let time = OffsetDateTime::from_unix_timestamp(seconds.try_into().ok()?).ok()?;
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, month) = (time.hour(), time.minute(), u8::from(month));
    Some(format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}"))
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
        assert!(page.contains("<h1>Index of /a&quot;&lt;b&gt;/</h1>"), "{page}");
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
    fn moments_are_short_and_in_utc() {
        use std::time::Duration;
        let after = |seconds| moment(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(after(1_700_000_000).as_deref(), Some("2023-11-14 22:13"));
        assert_eq!(after(0).as_deref(), Some("1970-01-01 00:00"));
        assert_eq!(after(1 << 50), None);
        assert_eq!(moment(UNIX_EPOCH - Duration::from_secs(1)), None);
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
