//! The style class of each contender, the same in all charts and tables of a report.

use crate::record::{Record, Role};

/// Squall on io_uring, its default.
pub(super) const SUBJECT: &str = "squall";

/// The same binary on epoll.
pub(super) const RIVAL: &str = "squall-epoll";

/// Number of peer colours in the style sheet; further peers reuse them.
const PEER_COLOURS: usize = 9;

/// Returns the classes of a contender: its role, and a peer's colour.
pub(super) fn class(record: &Record, name: &str) -> String {
    match (name, Role::of(name)) {
        (SUBJECT, _) => "subject".to_owned(),
        (RIVAL, _) => "rival".to_owned(),
        (_, Role::Subject) => "variant".to_owned(),
        (_, Role::Floor) => "floor".to_owned(),
        (_, Role::Peer) => {
            let mut peers = record
                .contenders
                .iter()
                .filter(|contender| Role::of(&contender.name) == Role::Peer);
            let index = peers.position(|contender| contender.name == name).unwrap_or_default();
            format!("peer peer-{}", index % PEER_COLOURS)
        }
    }
}

/// Returns the drawing order, later on top: peers, floors, Squall's variants, Squall's default.
pub(super) fn layer(name: &str) -> usize {
    match (name, Role::of(name)) {
        (SUBJECT, _) => 4,
        (RIVAL, _) => 3,
        (_, Role::Subject) => 2,
        (_, Role::Floor) => 1,
        (_, Role::Peer) => 0,
    }
}

/// Returns the name in sentences: Squall with its driver, others unchanged.
pub(super) fn display_name(name: &str) -> String {
    match name {
        SUBJECT => "Squall on io_uring".to_owned(),
        RIVAL => "Squall on epoll".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    #[test]
    fn classes_follow_roles_and_peers_keep_their_colour() {
        let mut record = record();
        let template = record.contenders.remove(0);
        record.contenders = ["squall", "hyper", "floor-epoll", "axum"]
            .map(|name| crate::record::Participant {
                name: name.to_owned(),
                ..template.clone()
            })
            .into();
        let classes = ["squall", "squall-epoll", "squall-spin", "floor-epoll", "hyper", "axum"];
        assert_eq!(
            classes.map(|name| class(&record, name)),
            ["subject", "rival", "variant", "floor", "peer peer-0", "peer peer-1"]
        );
    }
}
