//! Whether a client may read a topic.

/// Whether a client may read a topic, and under which name it is present there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedAccess {
    pub(super) is_allowed: bool,
    pub(super) name: Option<String>,
}

impl FeedAccess {
    /// Allows the topic, and lists the client in its presence under a name of at most 256 bytes.
    pub fn present_as(name: impl Into<String>) -> Self {
        Self {
            is_allowed: true,
            name: Some(name.into()),
        }
    }
}

impl From<bool> for FeedAccess {
    /// Allows the topic, or rejects it with 403.
    fn from(is_allowed: bool) -> Self {
        Self { is_allowed, name: None }
    }
}
