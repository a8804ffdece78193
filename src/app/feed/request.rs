//! What a client of a feed sends: one object of JSON with one verb.
//!
//! Members that this version does not know are ignored, so later versions can add some.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::pubsub::{Position, Start};

/// A request of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedRequest<'r> {
    /// The number that the reply carries.
    pub id: Option<u64>,
    /// What the client wants.
    pub verb: Verb<'r>,
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb<'r> {
    /// The messages of a topic, from now on or from a start in its history.
    Subscribe {
        /// The topic.
        topic: Cow<'r, str>,
        /// Where in the history to begin; `None` for messages from now on.
        start: Option<Start>,
    },
    /// No further messages of a topic.
    Unsubscribe {
        /// The topic.
        topic: Cow<'r, str>,
    },
    /// The names present in a topic.
    Presence {
        /// The topic.
        topic: Cow<'r, str>,
    },
    /// A message for a topic.
    Publish {
        /// The topic.
        topic: Cow<'r, str>,
        /// The message, as JSON.
        data: &'r str,
    },
    /// A new token for a socket that expires.
    Refresh {
        /// The token.
        token: Cow<'r, str>,
    },
}

/// A text that is not a request, and the number for the reply if it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The number that the reply carries.
    pub id: Option<u64>,
    /// What is wrong, for the author of the client.
    pub why: &'static str,
}

/// The members that this version knows.
#[derive(Deserialize)]
struct Members<'r> {
    #[serde(default)]
    id: Option<u64>,
    #[serde(borrow, default)]
    subscribe: Option<Cow<'r, str>>,
    #[serde(borrow, default)]
    after: Option<Cow<'r, str>>,
    #[serde(default)]
    last: Option<u32>,
    #[serde(borrow, default)]
    unsubscribe: Option<Cow<'r, str>>,
    #[serde(borrow, default)]
    presence: Option<Cow<'r, str>>,
    #[serde(borrow, default)]
    publish: Option<Cow<'r, str>>,
    #[serde(borrow, default)]
    data: Option<&'r RawValue>,
    #[serde(borrow, default)]
    refresh: Option<Cow<'r, str>>,
}

impl<'r> FeedRequest<'r> {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// The text is not an object of JSON, a member has another type than the protocol says, or it does not have exactly
    /// one verb.
    pub fn parse(text: &'r str) -> Result<Self, Malformed> {
        let members: Members<'r> = serde_json::from_str(text).map_err(|_| Malformed {
            id: None,
            why: "a request is an object of JSON, whose members have the types of the protocol",
        })?;
        let Members {
            id, after, last, data, ..
        } = members;
        let start = match (after, last) {
            (None, None) => None,
            // A position that cannot be read leads to a gap, as one that the history no longer has.
            (Some(after), None) => Some(Start::After(after.parse().unwrap_or(Position::UNKNOWN))),
            (None, Some(last)) => Some(Start::Last(usize::try_from(last).unwrap_or(usize::MAX))),
            (Some(_), Some(_)) => {
                let why = "`after` and `last` exclude each other";
                return Err(Malformed { id, why });
            }
        };
        let data = data.map_or("null", RawValue::get);
        let verbs = [
            members.subscribe.map(|topic| Verb::Subscribe { topic, start }),
            members.unsubscribe.map(|topic| Verb::Unsubscribe { topic }),
            members.presence.map(|topic| Verb::Presence { topic }),
            members.publish.map(|topic| Verb::Publish { topic, data }),
            members.refresh.map(|token| Verb::Refresh { token }),
        ];
        let mut verbs = verbs.into_iter().flatten();
        match (verbs.next(), verbs.next()) {
            (Some(verb), None) => Ok(Self { id, verb }),
            _ => Err(Malformed {
                id,
                why: "a request has exactly one of subscribe, unsubscribe, presence, publish and refresh",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn subscribe(topic: &str, start: Option<Start>) -> Verb<'_> {
        Verb::Subscribe {
            topic: topic.into(),
            start,
        }
    }

    #[test]
    fn each_verb_is_read() {
        let position = Position { epoch: 7, sequence: 42 };
        for (text, id, verb) in [
            (r#"{"id":1,"subscribe":"a/b"}"#, Some(1), subscribe("a/b", None)),
            (
                r#"{"subscribe":"a","last":50}"#,
                None,
                subscribe("a", Some(Start::Last(50))),
            ),
            (
                r#"{"subscribe":"a","after":"7:42","later":{"x":[1]}}"#,
                None,
                subscribe("a", Some(Start::After(position))),
            ),
            (
                r#"{"subscribe":"a","after":"x"}"#,
                None,
                subscribe("a", Some(Start::After(Position::UNKNOWN))),
            ),
            (
                r#"{"id":2,"unsubscribe":"a"}"#,
                Some(2),
                Verb::Unsubscribe { topic: "a".into() },
            ),
            (
                r#"{"id":3,"presence":"a"}"#,
                Some(3),
                Verb::Presence { topic: "a".into() },
            ),
            (
                r#"{"id":4,"publish":"a","data": {"t":"x"} }"#,
                Some(4),
                Verb::Publish {
                    topic: "a".into(),
                    data: r#"{"t":"x"}"#,
                },
            ),
            (
                r#"{"publish":"a"}"#,
                None,
                Verb::Publish {
                    topic: "a".into(),
                    data: "null",
                },
            ),
            (r#"{"refresh":"t\n"}"#, None, Verb::Refresh { token: "t\n".into() }),
        ] {
            assert_eq!(FeedRequest::parse(text), Ok(FeedRequest { id, verb }), "{text}");
        }
    }

    #[test]
    fn malformed_requests_are_refused_with_their_number_where_it_can_be_read() {
        for (text, id) in [
            ("", None),
            ("x", None),
            ("[]", None),
            ("{}", None),
            (r#"{"id":1}"#, Some(1)),
            (r#"{"id":1,"subscribe":"a","unsubscribe":"a"}"#, Some(1)),
            (r#"{"id":1,"subscribe":"a","after":"1:1","last":1}"#, Some(1)),
            (r#"{"id":1,"subscribe":null}"#, Some(1)),
            (r#"{"id":-1,"subscribe":"a"}"#, None),
            (r#"{"id":"1","subscribe":"a"}"#, None),
            (r#"{"subscribe":1}"#, None),
            (r#"{"subscribe":"a","subscribe":"b"}"#, None),
            (r#"{"subscribe":"a","last":-1}"#, None),
            (r#"{"publish":"a","data":}"#, None),
            (r#"{"subscribe":"a"} x"#, None),
            (r#"{"subscribe":"\ud800"}"#, None),
        ] {
            assert_eq!(FeedRequest::parse(text).unwrap_err().id, id, "{text}");
        }
        let deep = format!("{{\"subscribe\":\"a\",\"x\":{}", "[".repeat(100_000));
        FeedRequest::parse(&deep).unwrap_err();
    }

    proptest! {
        #[test]
        fn what_a_client_writes_is_read_as_it_was_meant(
            id in prop::option::of(any::<u64>()),
            topic in "\\PC{0,20}",
            kind in 0..5_usize,
            last in prop::option::of(any::<u32>()),
            number in any::<i64>(),
        ) {
            let verb = ["subscribe", "unsubscribe", "presence", "publish", "refresh"][kind];
            let mut object = json!({ verb: topic, "data": { "n": number }, "other": [topic] });
            if let Some(id) = id {
                object["id"] = id.into();
            }
            if let Some(last) = last {
                object["last"] = last.into();
            }
            let text = object.to_string();
            let request = FeedRequest::parse(&text).unwrap();
            prop_assert_eq!(request.id, id);
            match request.verb {
                Verb::Subscribe { topic: read, start } => {
                    prop_assert_eq!((kind, &*read), (0, &*topic));
                    prop_assert_eq!(start, last.map(|last| Start::Last(last as usize)));
                }
                Verb::Unsubscribe { topic: read } => prop_assert_eq!((kind, &*read), (1, &*topic)),
                Verb::Presence { topic: read } => prop_assert_eq!((kind, &*read), (2, &*topic)),
                Verb::Publish { topic: read, data } => {
                    prop_assert_eq!((kind, &*read), (3, &*topic));
                    prop_assert_eq!(serde_json::from_str::<Value>(data).unwrap(), json!({ "n": number }));
                }
                Verb::Refresh { token } => prop_assert_eq!((kind, &*token), (4, &*topic)),
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let is_object = text.trim().as_bytes().first() == Some(&0x7b);
            prop_assert!(is_object || FeedRequest::parse(&text).is_err());
        }
    }
}
