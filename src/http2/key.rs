//! The name of a stream between the machine and its caller.

/// A stream: its place among the streams of its connection, and its id.
///
/// A place is used again once the stream was released; the id never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamKey {
    place: u32,
    id: u32,
}

impl StreamKey {
    pub(super) fn new(place: usize, id: u32) -> Self {
        Self {
            place: u32::try_from(place).unwrap_or(u32::MAX),
            id,
        }
    }

    /// Returns the place: a small number that no other held stream of the connection has.
    #[must_use]
    pub fn place(self) -> usize {
        self.place as usize
    }

    /// Returns the id on the wire.
    #[must_use]
    pub fn id(self) -> u32 {
        self.id
    }
}
