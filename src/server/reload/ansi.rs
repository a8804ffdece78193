//! The output of a build in HTML: the colours of a terminal become elements, and the text is escaped.
//!
//! The colours are those of ECMA-48's SGR sequences, of which compilers use the 16 basic ones. Other escape sequences are
//! left out. The classes are `b` (bold), `d` (dim), `i` (italic), `u` (underlined) and `c0` to `c7`.

use core::fmt::Write as _;

use askama::filters::{Html, escape};

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    is_bold: bool,
    is_dim: bool,
    is_italic: bool,
    is_underlined: bool,
    colour: Option<u8>,
}

/// A piece of the output.
enum Piece<'t> {
    Text(&'t str),
    /// The parameters of an SGR sequence.
    Look(&'t str),
    /// Any other sequence.
    Other,
}

/// Returns the output as HTML for a `<pre>`.
pub(super) fn html(output: &str) -> String {
    let mut html = String::with_capacity(output.len() * 2);
    let (mut look, mut open) = (Look::default(), Look::default());
    for piece in pieces(output) {
        match piece {
            Piece::Text(text) => {
                if look != open {
                    close(&mut html, open);
                    look.open(&mut html);
                    open = look;
                }
                // Neither a `String` nor a text fails to be written.
                let Ok(escaped) = escape(text, Html);
                write!(html, "{escaped}").unwrap_or_default();
            }
            Piece::Look(parameters) => look.change(parameters),
            Piece::Other => {}
        }
    }
    close(&mut html, open);
    html
}

/// Returns the output without escape sequences.
pub(super) fn plain(output: &str) -> String {
    let texts = pieces(output).filter_map(|piece| match piece {
        Piece::Text(text) => Some(text),
        Piece::Look(_) | Piece::Other => None,
    });
    texts.collect()
}

/// Splits the output at its escape sequences. An incomplete one ends the output.
fn pieces(output: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = output;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(sequence) = rest.strip_prefix('\x1b') else {
            let (text, after) = rest.split_at(rest.find('\x1b').unwrap_or(rest.len()));
            rest = after;
            return Some(Piece::Text(text));
        };
        let (piece, after) = sequence_of(sequence);
        rest = after;
        Some(piece)
    })
}

/// Reads the sequence behind an escape character, and returns it with the rest of the output.
fn sequence_of(sequence: &str) -> (Piece<'_>, &str) {
    if let Some(control) = sequence.strip_prefix('[') {
        // Parameters, then one final letter.
        let end = control.find(|letter: char| !matches!(letter, ' '..='?'));
        let (parameters, rest) = control.split_at(end.unwrap_or(control.len()));
        let (last, rest) = first_letter(rest);
        let piece = if last == Some('m') {
            Piece::Look(parameters)
        } else {
            Piece::Other
        };
        return (piece, rest);
    }
    if let Some(command) = sequence.strip_prefix(']') {
        // An operating system command ends with a bell, or with an escape and a backslash.
        let end = command.find(['\x07', '\x1b']).unwrap_or(command.len());
        let rest = command.split_at(end).1;
        let rest = rest
            .strip_prefix('\x07')
            .or_else(|| rest.strip_prefix("\x1b\\"))
            .unwrap_or(rest);
        return (Piece::Other, rest);
    }
    (Piece::Other, first_letter(sequence).1)
}

fn first_letter(text: &str) -> (Option<char>, &str) {
    let mut letters = text.chars();
    (letters.next(), letters.as_str())
}

impl Look {
    /// Applies the parameters of an SGR sequence.
    fn change(&mut self, parameters: &str) {
        let mut codes = parameters.split([';', ':']).map(|code| code.parse().unwrap_or(0_u8));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.is_bold = true,
                2 => self.is_dim = true,
                3 => self.is_italic = true,
                4 => self.is_underlined = true,
                22 => (self.is_bold, self.is_dim) = (false, false),
                23 => self.is_italic = false,
                24 => self.is_underlined = false,
                30..=37 => self.colour = Some(code - 30),
                90..=97 => self.colour = Some(code - 90),
                39 => self.colour = None,
                // `38;5;N` is a colour of a table, whose first 16 are the basic ones; `38;2;R;G;B` lies beside them.
                38 => match codes.next() {
                    Some(5) => self.colour = codes.next().filter(|&number| number < 16).map(|number| number % 8),
                    _ => return,
                },
                _ => {}
            }
        }
    }

    fn open(self, html: &mut String) {
        if self == Self::default() {
            return;
        }
        let classes = [
            (self.is_bold, "b"),
            (self.is_dim, "d"),
            (self.is_italic, "i"),
            (self.is_underlined, "u"),
        ];
        let mut classes: Vec<String> = classes
            .iter()
            .filter(|(is_on, _)| *is_on)
            .map(|(_, class)| (*class).to_owned())
            .collect();
        classes.extend(self.colour.map(|colour| format!("c{colour}")));
        write!(html, "<span class=\"{}\">", classes.join(" ")).unwrap_or_default();
    }
}

fn close(html: &mut String, open: Look) {
    if open != Look::default() {
        html.push_str("</span>");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{html, plain};

    #[test]
    fn colours_become_elements_and_text_is_escaped() {
        for (output, expected) in [
            ("a < b & \"c\"\n", "a &#60; b &#38; &#34;c&#34;\n"),
            (
                "\x1b[1m\x1b[38;5;9merror[E0308]\x1b[0m\x1b[1m: no\x1b[0m.",
                "<span class=\"b c1\">error[E0308]</span><span class=\"b\">: no</span>.",
            ),
            (
                "\x1b[1;92m   Compiling\x1b[0m app",
                "<span class=\"b c2\">   Compiling</span> app",
            ),
            ("\x1b[34m|\x1b[39m\x1b[22m x", "<span class=\"c4\">|</span> x"),
            (
                "\x1b[2;3;4mx\x1b[23;24mx\x1b[m",
                "<span class=\"d i u\">x</span><span class=\"d\">x</span>",
            ),
            ("\x1b[38;5;200mx\x1b[38;2;1;2;3mx", "xx"),
            ("\x1b]8;;https://a\x1b\\link\x1b]8;;\x07\x1b[2K\x1bcend\x1b[", "linkend"),
            ("\x1b[999999999999mx\x1b", "x"),
        ] {
            assert_eq!(html(output), expected, "{output:?}");
        }
    }

    proptest! {
        #[test]
        fn any_output_stays_text_within_spans(output in "(\x1b(\\[[0-9;]{0,6}m?)?|[<>&\"a\u{e4}\x07\\]\\[]){0,40}") {
            let html = html(&output);
            let spans = html.matches("<span class=\"").count();
            prop_assert_eq!(spans, html.matches("</span>").count());
            prop_assert_eq!(html.matches('<').count(), 2 * spans);
            prop_assert!(!plain(&output).contains('\x1b'));
        }
    }
}
