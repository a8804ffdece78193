//! Who was compared: the contenders that ran, and those that could not.

use serde::{Deserialize, Serialize};

/// A contender that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Participant {
    pub(crate) name: String,
    pub(crate) version: String,
    /// How it was set up, in a phrase.
    pub(crate) note: String,
    /// The command that built it; empty if it was found installed.
    #[serde(default)]
    pub(crate) build_command: Vec<String>,
    /// The command that started it, with `{listen}` where the address goes.
    pub(crate) command: Vec<String>,
}

/// A contender that did not run: at all, under one workload, or in the later rounds of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SkippedContender {
    pub(crate) name: String,
    /// Name of the workload it was left out of, or dropped from; `None` if it took no part in the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workload: Option<String>,
    pub(crate) reason: String,
    /// What to do so that it runs next time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// What a contender is in the comparison, which decides how it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Squall, in one of its settings.
    Subject,
    /// A server that somebody might use instead.
    Peer,
    /// A bare loop that shows what the kernel and a parser cost; not a server.
    Floor,
}

impl Role {
    /// Tells the role by the name, as names are given: `squall`, `squall-epoll`, `floor-epoll`, anything else.
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
