//! The pattern of a route: its grammar, the values it accepts, and the URL built from it.
//!
//! ```text
//! pattern    = *( literal / parameter ) [ rest ]     ; at most one parameter between two slashes
//! parameter  = "{" name [ ":" type ] "}"             ; one or more characters without "/"
//! rest       = "{*" name "}"                         ; everything to the end of the path, not empty
//! type       = "u32" / "u64" / "i32" / "i64" / "uuid" / "slug"
//! literal    = visible ASCII but "?" and "#"; "{{" and "}}" stand for braces
//! ```
//!
//! Parameters in the syntax of other frameworks, such as `:id`, are errors and not literals (`foreign.rs`).
//!
//! A pattern is compared with the path as received, still percent-encoded (RFC 3986 §2.4: decode after splitting). So
//! a literal that needs encoding is written encoded, and `%2F` does not end a segment.

use core::fmt::{self, Write as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::foreign;
use super::param_span::ParamSpan;
use crate::app::request::percent::decode_path;
use crate::message::parse_digits;

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::app) struct Pattern {
    text: String,
    pieces: Vec<Piece>,
    typed_count: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Parameter(Parameter),
}

/// One parameter of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::app) struct Parameter {
    pub(in crate::app) name: String,
    pub(in crate::app) kind: ParameterType,
    /// Whether it takes the rest of the path, slashes included.
    rest: bool,
}

/// The type that a decoded value must have for the route to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum ParameterType {
    /// Any text.
    Text,
    U32,
    U64,
    I32,
    I64,
    /// 8-4-4-4-12 hexadecimal digits, in either case.
    Uuid,
    /// ASCII letters, digits, `-` and `_`.
    Slug,
}

/// The characters that a built URL percent-encodes: all but the unreserved ones (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same for a rest parameter, which keeps its slashes: they separated segments when it was matched.
const ENCODED_IN_REST: &AsciiSet = &ENCODED.remove(b'/');

impl Pattern {
    /// Parses a pattern; the error is one sentence.
    pub(in crate::app) fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("the pattern `{text}` does not start with `/`"));
        }
        let pieces = foreign::check(text).and_then(|()| parse_pieces(text));
        let pieces = pieces.map_err(|problem| format!("the pattern `{text}` {problem}"))?;
        let mut pattern = Self {
            text: text.to_owned(),
            pieces,
            typed_count: 0,
        };
        pattern.typed_count = pattern
            .parameters()
            .filter(|parameter| parameter.kind != ParameterType::Text)
            .count();
        for (index, parameter) in pattern.parameters().enumerate() {
            if pattern
                .parameters()
                .take(index)
                .any(|earlier| earlier.name == parameter.name)
            {
                return Err(format!(
                    "the pattern `{text}` has two parameters named `{}`",
                    parameter.name
                ));
            }
        }
        Ok(pattern)
    }

    /// The pattern as it was written.
    pub(in crate::app) fn text(&self) -> &str {
        &self.text
    }

    /// The parameters, in order.
    pub(in crate::app) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Parameter(parameter) => Some(parameter),
            Piece::Literal(_) => None,
        })
    }

    /// The index of a parameter among the parameters.
    pub(in crate::app) fn position(&self, name: &str) -> Option<usize> {
        self.parameters().position(|parameter| parameter.name == name)
    }

    /// The path of a pattern without parameters.
    pub(in crate::app) fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Literal(path)] => Some(path),
            _ => None,
        }
    }

    /// The pattern in `matchit`'s grammar, without names and types. Patterns of one shape match the same paths,
    /// except for types.
    pub(in crate::app) fn shape(&self) -> String {
        let mut shape = String::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            // Writing into a string cannot fail.
            let _ = match piece {
                Piece::Literal(literal) => shape.write_str(&literal.replace('{', "{{").replace('}', "}}")),
                Piece::Parameter(parameter) if parameter.rest => write!(shape, "{{*p{index}}}"),
                Piece::Parameter(_) => write!(shape, "{{p{index}}}"),
            };
        }
        shape
    }

    /// Whether the last parameter takes the rest of the path.
    pub(in crate::app) fn takes_rest(&self) -> bool {
        self.parameters().any(|parameter| parameter.rest)
    }

    /// What each segment accepts, from the narrowest: text 0, a parameter beside text 1 or 2, a parameter 3 or 4. Of
    /// these two, the typed one is narrower.
    pub(in crate::app) fn segments(&self) -> Vec<u8> {
        let mut segments: Vec<(bool, u8)> = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => {
                    let mut parts = literal.split('/');
                    let continued = parts.next().unwrap_or_default();
                    if let Some((has_text, _)) = segments.last_mut() {
                        *has_text |= !continued.is_empty();
                    }
                    segments.extend(parts.map(|part| (!part.is_empty(), 0)));
                }
                Piece::Parameter(parameter) => {
                    if let Some((_, parameters)) = segments.last_mut() {
                        *parameters = if parameter.kind == ParameterType::Text { 2 } else { 1 };
                    }
                }
            }
        }
        let rank = |(has_text, parameters)| {
            if has_text || parameters == 0 {
                parameters
            } else {
                parameters + 2
            }
        };
        segments.into_iter().map(rank).collect()
    }

    /// Whether every value has the type of its parameter once decoded.
    pub(in crate::app) fn accepts(&self, path: &str, mut values: impl Iterator<Item = ParamSpan>) -> bool {
        self.typed_count == 0
            || self.parameters().all(|parameter| {
                values.next().is_some_and(|span| {
                    let value = decode_path(span.of(path));
                    value.is_ok_and(|value| parameter.kind.accepts(&value))
                })
            })
    }

    /// How many parameters have a type. Of two patterns of one shape, the one with more is tried first.
    pub(in crate::app) fn typed_count(&self) -> usize {
        self.typed_count
    }

    /// Whether two patterns of one shape accept exactly the same paths.
    pub(in crate::app) fn same_types(&self, other: &Self) -> bool {
        let ours = self.parameters().map(|parameter| parameter.kind);
        ours.eq(other.parameters().map(|parameter| parameter.kind))
    }

    /// Builds the path that matches this pattern with these values, percent-encoded.
    pub(in crate::app) fn fill(&self, values: &[&dyn fmt::Display]) -> Result<String, String> {
        let count = self.parameters().count();
        if values.len() != count {
            return Err(format!(
                "`{}` has {count} parameters, but {} values were given",
                self.text,
                values.len()
            ));
        }
        let mut values = values.iter();
        let mut path = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => path.push_str(literal),
                Piece::Parameter(parameter) => {
                    let value = values.next().map(ToString::to_string).unwrap_or_default();
                    parameter.check(&value)?;
                    let encoded = if parameter.rest { ENCODED_IN_REST } else { ENCODED };
                    path.extend(utf8_percent_encode(&value, encoded));
                }
            }
        }
        Ok(path)
    }
}

impl Parameter {
    /// Rejects a value whose URL would not match this pattern. It is empty, of another type, or a dot segment, which
    /// clients remove (RFC 3986 §5.2.4).
    fn check(&self, value: &str) -> Result<(), String> {
        let dots = |segment: &str| segment == "." || segment == "..";
        if value.is_empty() {
            Err(format!("the value of `{}` is empty", self.name))
        } else if !self.kind.accepts(value) {
            Err(format!(
                "the value of `{}` is not {}",
                self.name,
                self.kind.description()
            ))
        } else if dots(value) || (self.rest && value.split('/').any(dots)) {
            Err(format!("the value of `{}` has a dot segment", self.name))
        } else {
            Ok(())
        }
    }
}

impl ParameterType {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "u32" => Self::U32,
            "u64" => Self::U64,
            "i32" => Self::I32,
            "i64" => Self::I64,
            "uuid" => Self::Uuid,
            "slug" => Self::Slug,
            _ => return None,
        })
    }

    fn description(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::U32 => "a u32",
            Self::U64 => "a u64",
            Self::I32 => "an i32",
            Self::I64 => "an i64",
            Self::Uuid => "a UUID",
            Self::Slug => "a slug",
        }
    }

    /// Whether a decoded value has this type. Numbers are digits with an optional leading `-`, without `+` or spaces.
    pub(in crate::app) fn accepts(self, value: &str) -> bool {
        match self {
            Self::Text => true,
            Self::U32 => parse_digits::<u32>(value.as_bytes()).is_some(),
            Self::U64 => parse_digits::<u64>(value.as_bytes()).is_some(),
            Self::I32 => !value.starts_with('+') && value.parse::<i32>().is_ok(),
            Self::I64 => !value.starts_with('+') && value.parse::<i64>().is_ok(),
            Self::Uuid => is_uuid(value),
            Self::Slug => {
                !value.is_empty()
                    && value
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            }
        }
    }
}

/// Splits a pattern into pieces; an error completes the sentence "the pattern …".
fn parse_pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut parameter_in_segment = false;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let tail = rest.get(character.len_utf8()..).unwrap_or_default();
        rest = match character {
            '{' | '}' if tail.starts_with(character) => {
                literal.push(character);
                tail.get(1..).unwrap_or_default()
            }
            '{' => {
                let (inside, tail) = tail.split_once('}').ok_or("has a `{` without `}`")?;
                if parameter_in_segment {
                    return Err("has two parameters in one segment".to_owned());
                }
                parameter_in_segment = true;
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(core::mem::take(&mut literal)));
                }
                let parameter = parse_parameter(inside)?;
                if parameter.rest && !tail.is_empty() {
                    return Err(format!(
                        "continues after `{{*{}}}`, which takes the rest of the path",
                        parameter.name
                    ));
                }
                pieces.push(Piece::Parameter(parameter));
                tail
            }
            '}' => return Err("has a `}` without `{`".to_owned()),
            '?' | '#' => return Err(format!("has a `{character}`, which a path cannot contain")),
            '!'..='~' => {
                // A slash starts a new segment, which may have a parameter again.
                parameter_in_segment &= character != '/';
                literal.push(character);
                tail
            }
            _ => {
                return Err(format!("has a {character:?}; write it percent-encoded"));
            }
        };
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// Parses the text between the braces.
fn parse_parameter(inside: &str) -> Result<Parameter, String> {
    let (inside, rest) = inside.strip_prefix('*').map_or((inside, false), |name| (name, true));
    let (name, kind) = match inside.split_once(':') {
        None => (inside, ParameterType::Text),
        Some(_) if rest => return Err(format!("has a type on `{{*{inside}}}`, which takes any text")),
        Some((name, kind)) => {
            let kind = ParameterType::parse(kind).ok_or_else(|| foreign::unknown_type(name, kind))?;
            (name, kind)
        }
    };
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if !starts_well || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(format!(
            "has a parameter named `{name}`; a name has ASCII letters, digits and `_`, and no leading digit"
        ));
    }
    Ok(Parameter {
        name: name.to_owned(),
        kind,
        rest,
    })
}

fn is_uuid(text: &str) -> bool {
    let mut groups = text.split('-');
    let lengths_fit = [8, 4, 4, 4, 12].iter().all(|&length| {
        groups
            .next()
            .is_some_and(|group| group.len() == length && group.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    lengths_fit && groups.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::{ParameterType, Pattern};

    #[test]
    fn an_error_names_the_mistake_in_a_pattern() {
        for (text, part) in [
            ("users", "does not start with `/`"),
            ("", "does not start with `/`"),
            ("/{id", "a `{` without `}`"),
            ("/id}", "a `}` without `{`"),
            ("/{}", "named ``"),
            ("/{1d}", "named `1d`"),
            ("/{a}{b}", "two parameters in one segment"),
            ("/{a}-{b}", "two parameters in one segment"),
            ("/{a}/{a}", "two parameters named `a`"),
            ("/{*rest}/more", "takes the rest of the path"),
            ("/{*rest:u64}", "a type on"),
            ("/{id:float}", "unknown type `float`"),
            ("/users/:id", "has `:id`, a parameter of other frameworks; write `{id}`"),
            ("/a?b", "`?`"),
            ("/a#b", "`#`"),
            ("/caf\u{e9}", "percent-encoded"),
            ("/a b", "percent-encoded"),
        ] {
            let problem = Pattern::parse(text).unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    #[test]
    fn patterns_that_differ_in_names_and_types_have_one_shape() {
        let shape = |text| Pattern::parse(text).unwrap().shape();
        assert_eq!(shape("/a/{x}/{y}"), shape("/a/{id:u64}/{name}"));
        assert_ne!(shape("/a/{x}"), shape("/a/{*x}"));
        assert_eq!(shape("/{{a}}"), "/{{a}}");
    }

    #[test]
    fn a_type_accepts_exactly_its_values() {
        for (kind, accepted, refused) in [
            (
                ParameterType::U32,
                &["0", "010", "4294967295"][..],
                &["", "-1", "+1", "4294967296", "1 ", "x"][..],
            ),
            (
                ParameterType::U64,
                &["18446744073709551615"],
                &["18446744073709551616", "+0", "\u{661}"],
            ),
            (
                ParameterType::I32,
                &["-2147483648", "7"],
                &["2147483648", "--1", "-", "+7"],
            ),
            (ParameterType::I64, &["-9223372036854775808"], &["9223372036854775808"]),
            (
                ParameterType::Uuid,
                &[
                    "67e55044-10b1-426f-9247-bb680e5fe0c8",
                    "67E55044-10B1-426F-9247-BB680E5FE0C8",
                ],
                &[
                    "67e5504410b1426f9247bb680e5fe0c8",
                    "67e55044-10b1-426f-9247-bb680e5fe0c",
                    "67e55044-10b1-426f-9247-bb680e5fe0c8-",
                ],
            ),
            (ParameterType::Slug, &["a-b_9"], &["", "a b", "\u{e9}", "a/b"]),
        ] {
            for value in accepted {
                assert!(kind.accepts(value), "{kind:?} {value}");
            }
            for value in refused {
                assert!(!kind.accepts(value), "{kind:?} {value}");
            }
        }
    }
}
