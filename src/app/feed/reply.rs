//! What a client of a feed gets besides the messages of its topics: objects of JSON.

use core::time::Duration;

use serde::Serialize;

use crate::error::Error;
use crate::pubsub::Presence;

/// A reply to a request, or a notice.
#[derive(Debug, Default, Serialize)]
pub(super) struct Reply<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscribed: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsubscribed: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<&'r [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refreshed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiring: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'r str>,
}

impl<'r> Reply<'r> {
    pub(super) fn to(id: Option<u64>) -> Self {
        Self { id, ..Self::default() }
    }

    pub(super) fn subscribed(self, topic: &'r str) -> Self {
        Self {
            subscribed: Some(topic),
            ..self
        }
    }

    pub(super) fn unsubscribed(self, topic: &'r str) -> Self {
        Self {
            unsubscribed: Some(topic),
            ..self
        }
    }

    pub(super) fn published(self, topic: &'r str) -> Self {
        Self {
            published: Some(topic),
            ..self
        }
    }

    pub(super) fn refreshed(self, lifetime: Duration) -> Self {
        Self {
            refreshed: Some(lifetime.as_secs()),
            ..self
        }
    }

    pub(super) fn with_presence(self, topic: &'r str, presence: &'r Presence) -> Self {
        Self {
            presence: Some(topic),
            names: Some(&presence.names),
            count: Some(presence.count),
            ..self
        }
    }

    /// The reply of an error: its status, and what the client may see of it.
    pub(super) fn with_error(self, error: &'r Error) -> Self {
        Self {
            error: Some(error.status().as_u16()),
            message: error.message(),
            ..self
        }
    }

    /// The notice that the socket closes unless its client refreshes.
    pub(super) fn expiring(left: Duration) -> Self {
        Self {
            expiring: Some(left.as_secs()),
            ..Self::default()
        }
    }

    pub(super) fn text(&self) -> String {
        // Strings and numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::HttpError;

    #[test]
    fn replies_have_the_members_of_their_verb_alone() {
        let presence = Presence {
            names: vec!["ada \"l\"".to_owned()],
            count: 2,
        };
        let error = HttpError::new(403).with_message("not here").into();
        let hidden = Error::new("a secret");
        for (reply, expected) in [
            (Reply::to(Some(1)).subscribed("a/b"), r#"{"id":1,"subscribed":"a/b"}"#),
            (
                Reply::to(None).with_presence("a", &presence),
                r#"{"presence":"a","names":["ada \"l\""],"count":2}"#,
            ),
            (
                Reply::to(Some(2)).with_error(&error),
                r#"{"id":2,"error":403,"message":"not here"}"#,
            ),
            (Reply::to(Some(3)).with_error(&hidden), r#"{"id":3,"error":500}"#),
            (Reply::expiring(Duration::from_millis(30_500)), r#"{"expiring":30}"#),
        ] {
            assert_eq!(reply.text(), expected);
        }
    }
}
