//! Encoding of a published message into the bytes that its subscribers share. They are an envelope, a frame, and a
//! compressed frame if the topic's options ask for one. Also the text of notices, which Squall itself sends.

use core::fmt::{self, Write as _};

use serde::Serialize;
use serde::de::IgnoredAny;

use super::publish_request::PublishRequest;
use crate::error::{Error, Result};
use crate::memory;
use crate::pubsub::{Alternative, Envelope, Gap, GapReason, Missed, Notice, Position, Publication, TopicOptions};
use crate::websocket::{Deflaters, Encoding, Message, Payload, deflate, encode as frame};

/// Compression level of topics that compress. 6, zlib's default: each message is compressed once, for all subscribers.
const DEFLATE_LEVEL: u32 = 6;

/// Smallest payload that is compressed, in bytes. 64: below it, deflate saves less than its time is worth.
const COMPRESS_BYTES_MIN: usize = 64;

/// Copies of a message that exist while it is encoded: in its envelope, in a frame, and compressed.
const COPIES_MAX: usize = 3;

/// Creates the compressors for the messages of topics that compress.
#[must_use]
pub fn topic_deflaters() -> Deflaters {
    Deflaters::new(DEFLATE_LEVEL, 0)
}

/// Returns the memory that encoding a message takes, in bytes.
#[must_use]
pub fn encoding_bytes(request: &PublishRequest) -> usize {
    COPIES_MAX.saturating_mul(request.message.as_bytes().len())
}

/// Checks that a message fits its topic's envelope, and that memory suffices to encode it.
///
/// # Errors
///
/// The envelope is JSON and the message is not; the envelope is text and the message is binary; or memory is short.
pub fn check(request: &PublishRequest, options: &TopicOptions) -> Result {
    memory::reserve_ahead(encoding_bytes(request))?;
    let text = match (options.envelope, &request.message) {
        (Envelope::None, _) | (Envelope::Text, Message::Text(_)) => return Ok(()),
        (Envelope::Json, Message::Text(text)) => text.as_str(),
        (Envelope::Json | Envelope::Text, Message::Binary(_)) => {
            let topic = &request.topic;
            return Err(Error::new(format!(
                "could not publish to {topic}: its messages are wrapped as text and this one is binary; \
                 publish text, or remove the envelope"
            )));
        }
    };
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| {
        let topic = &request.topic;
        Error::new(format!(
            "could not publish to {topic}: its messages are wrapped as JSON and this one is invalid ({error}); \
             publish JSON, or remove the envelope"
        ))
    })
}

/// Encodes a message: one plain frame, and a compressed one if the options ask for it and it is smaller.
#[must_use]
pub fn encode(
    request: &PublishRequest,
    options: &TopicOptions,
    position: Option<Position>,
    deflaters: &mut Deflaters,
) -> Publication {
    let wrapped = wrap(request, options.envelope, position);
    let payload = wrapped
        .as_deref()
        .map_or_else(|| Payload::from(&request.message), Payload::Text);
    let alternative = if options.compress && payload.as_bytes().len() >= COMPRESS_BYTES_MIN {
        deflate(payload, deflaters).map(|(window, message)| {
            Box::new(Alternative {
                level: window.bits(),
                message,
            })
        })
    } else {
        None
    };
    Publication {
        topic: request.topic.clone(),
        message: frame(payload, Encoding::Plain, deflaters),
        alternative,
        key: request.key.clone(),
        position,
    }
}

/// Returns the JSON text of a notice, as the guide describes it to clients.
///
/// `None` for a position without an envelope: clients of bare messages read no positions.
#[must_use]
pub fn notice_text(notice: &Notice) -> Option<String> {
    let mut text = String::from("{\"topic\":");
    match notice {
        Notice::CurrentPosition { is_wrapped: false, .. } => return None,
        Notice::CurrentPosition { topic, last, .. } => {
            push_json(&mut text, topic.as_str());
            push(&mut text, format_args!(",\"position\":\"{last}\"}}"));
        }
        Notice::Missed(Missed { topic, count }) => {
            push_json(&mut text, topic.as_ref().map(|topic| topic.as_str()));
            push(&mut text, format_args!(",\"missed\":{count}}}"));
        }
        Notice::Gap {
            topic,
            gap: Gap { reason, last },
        } => {
            push_json(&mut text, topic.as_str());
            let reason = match reason {
                GapReason::OtherEpoch => "other-epoch",
                GapReason::Expired { .. } => "expired",
                GapReason::NotYet => "not-yet",
            };
            push(
                &mut text,
                format_args!(",\"gap\":\"{reason}\",\"position\":\"{last}\"}}"),
            );
        }
    }
    Some(text)
}

/// Puts a message into its envelope; `None` without one. [`check`] has made sure that the message fits.
fn wrap(request: &PublishRequest, envelope: Envelope, position: Option<Position>) -> Option<String> {
    let data = match (envelope, &request.message) {
        (Envelope::None, _) | (_, Message::Binary(_)) => return None,
        (Envelope::Json | Envelope::Text, Message::Text(text)) => text.as_str(),
    };
    let mut text = String::with_capacity(data.len() + request.topic.as_str().len() + Position::TEXT_BYTES_MAX + 64);
    text.push_str("{\"topic\":");
    push_json(&mut text, request.topic.as_str());
    if let Some(position) = position {
        push(&mut text, format_args!(",\"position\":\"{position}\""));
    }
    text.push_str(",\"data\":");
    match envelope {
        Envelope::Text => push_json(&mut text, data),
        Envelope::None | Envelope::Json => text.push_str(data),
    }
    text.push('}');
    Some(text)
}

fn push(text: &mut String, arguments: fmt::Arguments<'_>) {
    let written = text.write_fmt(arguments);
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}

fn push_json(text: &mut String, value: impl Serialize) {
    // Serialising a string or `None` cannot fail.
    text.push_str(&serde_json::to_string(&value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::Topic;
    use crate::websocket::decode;

    const POSITION: Position = Position { epoch: 7, sequence: 42 };

    fn encoded(message: impl Into<Message>, options: TopicOptions) -> Publication {
        let request = PublishRequest::new("a/\"b\"", message).unwrap();
        check(&request, &options).unwrap();
        encode(&request, &options, Some(POSITION), &mut Deflaters::new(6, 0))
    }

    fn text(publication: &Publication) -> String {
        let message = decode(&publication.message).unwrap();
        message.as_str().unwrap().to_owned()
    }

    #[test]
    fn an_envelope_has_topic_and_position_and_is_valid_json() {
        let json = encoded("{\"x\": [1]}", TopicOptions::default().envelope(Envelope::Json));
        assert_eq!(
            text(&json),
            r#"{"topic":"a/\"b\"","position":"7:42","data":{"x": [1]}}"#
        );
        let wrapped = encoded("say \"hi\"\n", TopicOptions::default().envelope(Envelope::Text));
        let value: serde_json::Value = serde_json::from_str(&text(&wrapped)).unwrap();
        assert_eq!(value["data"], "say \"hi\"\n");
        assert_eq!(text(&encoded("bare", TopicOptions::default())), "bare");
    }

    #[test]
    fn a_message_that_does_not_fit_its_envelope_is_rejected_with_its_topic() {
        let json = TopicOptions::default().envelope(Envelope::Json);
        for (message, options) in [
            (Message::from("{\"x\":"), json),
            (Message::from("1 2"), json),
            (Message::from(vec![1_u8]), json),
            (
                Message::from(vec![1_u8]),
                TopicOptions::default().envelope(Envelope::Text),
            ),
        ] {
            let error = check(&PublishRequest::new("rooms/1", message).unwrap(), &options).unwrap_err();
            assert!(format!("{error:?}").contains("rooms/1"), "{error:?}");
        }
    }

    #[test]
    fn a_message_is_compressed_once_for_every_window_that_holds_it() {
        let message = "tick ".repeat(80);
        let publication = encoded(message.as_str(), TopicOptions::default().compress(true));
        let small = publication.form(9);
        assert!(small.len() < 40, "{}", small.len());
        assert_eq!(publication.form(8).len(), message.len() + 4);
        assert_eq!(
            encoded("tick", TopicOptions::default().compress(true)).alternative,
            None
        );
        assert_eq!(encoded(message.as_str(), TopicOptions::default()).alternative, None);
        let long = encoded("x".repeat(600), TopicOptions::default().compress(true));
        assert_eq!(long.alternative.unwrap().level, 10);
    }

    #[test]
    fn notices_are_json() {
        let topic = Topic::new("t").unwrap();
        let missed = |topic| Notice::Missed(Missed { topic, count: 3 });
        let gap = Notice::Gap {
            topic: topic.clone(),
            gap: Gap {
                reason: GapReason::Expired { messages: 9 },
                last: POSITION,
            },
        };
        let current_position = |is_wrapped| Notice::CurrentPosition {
            topic: topic.clone(),
            last: POSITION,
            is_wrapped,
        };
        for (notice, expected) in [
            (missed(Some(topic.clone())), Some(r#"{"topic":"t","missed":3}"#)),
            (missed(None), Some(r#"{"topic":null,"missed":3}"#)),
            (gap, Some(r#"{"topic":"t","gap":"expired","position":"7:42"}"#)),
            (current_position(true), Some(r#"{"topic":"t","position":"7:42"}"#)),
            (current_position(false), None),
        ] {
            assert_eq!(notice_text(&notice).as_deref(), expected);
        }
    }
}
