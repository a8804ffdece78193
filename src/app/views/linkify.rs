//! Links in plain text: URLs become `<a>` elements, and everything is escaped (Tornado's `linkify`).

use core::fmt::Write;

use askama::filters::{Html, escape};
use linkify::{LinkFinder, LinkKind};

/// A shortened link shows about this many characters.
const SHORT_CHARACTERS: usize = 30;

/// A shortened link shows this many characters of the path.
const SHORT_PATH_CHARACTERS: usize = 8;

/// Turns the URLs in a plain text into links, and escapes the text for HTML.
///
/// A URL has one of the permitted schemes, or begins with `www.`, which gets `http://`.
///
/// ```
/// use squall::views::Linkify;
///
/// let html = Linkify::new().rel("nofollow").html("<see> www.example.com!");
/// assert_eq!(html, "&#60;see&#62; <a href=\"http://www.example.com\" rel=\"nofollow\">www.example.com</a>!");
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "the settings do nothing until `html` is called"]
pub struct Linkify<'s> {
    shorten: bool,
    require_protocol: bool,
    rel: &'s str,
    permitted_protocols: &'s [&'s str],
}

impl<'s> Linkify<'s> {
    /// Makes the default: links to http, https and `www.`, shown in full.
    pub const fn new() -> Self {
        Self {
            shorten: false,
            require_protocol: false,
            rel: "",
            permitted_protocols: &["http", "https"],
        }
    }

    /// Sets whether long URLs are shown with about 30 characters; their whole text is then the link's title.
    pub const fn shorten(mut self, shorten: bool) -> Self {
        self.shorten = shorten;
        self
    }

    /// Sets whether `www.example.com` without a scheme stays text.
    pub const fn require_protocol(mut self, require_protocol: bool) -> Self {
        self.require_protocol = require_protocol;
        self
    }

    /// Sets the links' `rel`, such as `nofollow ugc`; empty for none.
    pub const fn rel(mut self, rel: &'s str) -> Self {
        self.rel = rel;
        self
    }

    /// Sets the schemes that become links.
    pub const fn permitted_protocols(mut self, protocols: &'s [&'s str]) -> Self {
        self.permitted_protocols = protocols;
        self
    }

    /// Returns the text as HTML.
    #[must_use]
    pub fn html(self, text: &str) -> String {
        let mut finder = LinkFinder::new();
        finder.kinds(&[LinkKind::Url]).url_must_have_scheme(false);
        let mut html = String::with_capacity(text.len());
        for span in finder.spans(text) {
            let shown = span.as_str();
            match span.kind().and_then(|_| self.target(shown)) {
                Some(prefix) => self.push_link(&mut html, prefix, shown),
                None => push_escaped(&mut html, shown),
            }
        }
        html
    }

    /// What stands before a URL in a link to it; `None` if it stays text.
    fn target(self, url: &str) -> Option<&'static str> {
        match url.split_once("://") {
            Some((scheme, _)) => {
                let is_scheme = |permitted: &&str| permitted.eq_ignore_ascii_case(scheme);
                self.permitted_protocols.iter().any(is_scheme).then_some("")
            }
            None => {
                let is_web = url.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("www."));
                (is_web && !self.require_protocol).then_some("http://")
            }
        }
    }

    fn push_link(self, html: &mut String, prefix: &str, url: &str) {
        html.push_str("<a href=\"");
        html.push_str(prefix);
        push_escaped(html, url);
        if !self.rel.is_empty() {
            html.push_str("\" rel=\"");
            push_escaped(html, self.rel);
        }
        let short = self.shorten.then(|| shortened(url)).flatten();
        if short.is_some() {
            html.push_str("\" title=\"");
            html.push_str(prefix);
            push_escaped(html, url);
        }
        html.push_str("\">");
        push_escaped(html, short.as_deref().unwrap_or(url));
        html.push_str("</a>");
    }
}

impl Default for Linkify<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The host and the beginning of the path; `None` if that saves nothing.
fn shortened(url: &str) -> Option<String> {
    if url.chars().count() <= SHORT_CHARACTERS {
        return None;
    }
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(after_scheme);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_kept = |letter: &char| !matches!(letter, '/' | '?' | '#' | '.');
    let path: String = path.chars().take(SHORT_PATH_CHARACTERS).take_while(is_kept).collect();
    let whole = if path.is_empty() {
        format!("{scheme}{host}")
    } else {
        format!("{scheme}{host}/{path}")
    };
    let short: String = whole.chars().take(SHORT_CHARACTERS * 3 / 2).collect();
    let short = format!("{short}...");
    (short.len() < url.len()).then_some(short)
}

/// Appends text escaped for HTML.
fn push_escaped(html: &mut String, text: &str) {
    let Ok(escaped) = escape(text, Html);
    let written = write!(html, "{}", escaped.0);
    debug_assert!(written.is_ok(), "writing into a `String` never fails");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Linkify;

    #[test]
    fn urls_become_links_and_the_text_around_them_is_escaped() {
        let link = |url: &str, shown: &str| format!("<a href=\"{url}\">{shown}</a>");
        for (text, expected) in [
            ("", String::new()),
            (
                "no link: a.b, 1.2, x@example.com",
                "no link: a.b, 1.2, x@example.com".to_owned(),
            ),
            ("http://a.example/b", link("http://a.example/b", "http://a.example/b")),
            (
                "(https://a.example/b_(c)).",
                format!("({}).", link("https://a.example/b_(c)", "https://a.example/b_(c)")),
            ),
            (
                "http://a.example/?b=1&c=\"x",
                format!(
                    "{}&#34;x",
                    link("http://a.example/?b=1&#38;c=", "http://a.example/?b=1&#38;c=")
                ),
            ),
            (
                "www.example.com/ä and <WWW.example.com>",
                format!(
                    "{} and &#60;{}&#62;",
                    link("http://www.example.com/ä", "www.example.com/ä"),
                    link("http://WWW.example.com", "WWW.example.com")
                ),
            ),
            (
                "javascript:alert(1) ftp://a.example/",
                "javascript:alert(1) ftp://a.example/".to_owned(),
            ),
            (
                "javascript://a.example/%0aalert(1)",
                "javascript://a.example/%0aalert(1)".to_owned(),
            ),
        ] {
            assert_eq!(Linkify::new().html(text), expected, "{text}");
        }
    }

    #[test]
    fn settings_change_which_urls_become_links_and_how_they_look() {
        let text = "www.example.com ftp://a.example/b";
        assert_eq!(
            Linkify::new()
                .require_protocol(true)
                .permitted_protocols(&["ftp"])
                .rel("ugc")
                .html(text),
            "www.example.com <a href=\"ftp://a.example/b\" rel=\"ugc\">ftp://a.example/b</a>"
        );
        let long = "http://www.example.com/an-endless-title.html?page=2";
        assert_eq!(
            Linkify::new().shorten(true).html(long),
            format!("<a href=\"{long}\" title=\"{long}\">http://www.example.com/an-endle...</a>")
        );
        let short = "http://www.example.com/";
        assert_eq!(
            Linkify::new().shorten(true).html(short),
            format!("<a href=\"{short}\">{short}</a>")
        );
    }

    proptest! {
        /// Without its own tags and the escapes, the output has no character that HTML reads as markup.
        #[test]
        fn no_text_breaks_out_of_its_place(text in "[<>&\"'a:/.w ]{0,40}(http://w.ww/[<>&\"'a.]{0,20})?") {
            let html = Linkify::new().html(&text);
            for piece in html.split("</a>") {
                let (before, link) = piece.split_once("<a href=\"").unwrap_or((piece, ""));
                let (url, shown) = link.split_once("\">").unwrap_or((link, ""));
                for part in [before, url, shown] {
                    prop_assert!(!part.contains(['<', '>', '"', '\'']), "{}", html);
                }
            }
        }
    }
}
