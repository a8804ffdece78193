//! The contenders in a record: those that ran, and those that were skipped.

use serde::{Deserialize, Serialize};

/// A contender that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Participant {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Its settings, in a phrase.
    pub(crate) note: String,
    /// The command that built it; empty for an installed program.
    #[serde(default)]
    pub(crate) build_command: Vec<String>,
    /// The command that started it, with `{listen}` for the address.
    pub(crate) command: Vec<String>,
}

/// A contender that was skipped entirely, or for one workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SkippedContender {
    pub(crate) name: String,
    /// The workload it was skipped for; `None` if it did not take part at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workload: Option<String>,
    pub(crate) reason: String,
    /// What the user can do so that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// The role of a contender, which decides how charts draw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Squall, in one of its settings.
    Subject,
    /// Another server.
    Peer,
    /// A bare loop that shows the cost of kernel and parser.
    Floor,
}

impl Role {
    /// Returns the role by the first word of the name: `squall…`, `floor-…`, or any other.
    pub(crate) fn of(name: &str) -> Self {
        match name.split('-').next() {
            Some("squall") => Self::Subject,
            Some("floor") => Self::Floor,
            _ => Self::Peer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_is_the_first_word_of_the_name() {
        let roles = ["squall", "squall-epoll", "floor-io-uring", "squalls", "axum-ws"].map(Role::of);
        assert_eq!(
            roles,
            [Role::Subject, Role::Subject, Role::Floor, Role::Peer, Role::Peer]
        );
    }
}
