//! Names of topics and patterns as applications give them. The error of an invalid one quotes it.

use core::fmt::Display;

use crate::error::{Error, Result};
use crate::pubsub::{Pattern, Topic};

/// How many characters of an invalid name an error quotes.
const QUOTED_CHARACTERS_MAX: usize = 100;

/// Reads the name of a topic.
pub(crate) fn parse_topic(name: &str) -> Result<Topic> {
    Topic::new(name).map_err(|error| refusal("topic", name, &error))
}

/// Reads a pattern, which may be the name of a topic.
pub(crate) fn parse_pattern(text: &str) -> Result<Pattern> {
    Pattern::new(text).map_err(|error| refusal("pattern", text, &error))
}

fn refusal(kind: &str, name: &str, error: &dyn Display) -> Error {
    let quoted: String = name.chars().take(QUOTED_CHARACTERS_MAX).collect();
    Error::new(format!("could not use the {kind} {quoted:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_quotes_the_name() {
        let error = parse_topic("rooms//1").unwrap_err().to_string();
        assert!(
            error.starts_with("could not use the topic \"rooms//1\": the topic has an empty segment"),
            "{error}"
        );
        let error = parse_pattern("rooms/*x\n").unwrap_err().to_string();
        assert!(
            error.starts_with("could not use the pattern \"rooms/*x\\n\": "),
            "{error}"
        );
        assert!(parse_topic(&"x".repeat(100_000)).unwrap_err().to_string().len() < 200);
    }
}
