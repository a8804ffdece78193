//! The streams of a connection, by place and by id.
//!
//! Ids only grow, so the list of open streams is sorted by itself. Of closed streams the machine remembers the highest
//! id, and the last ids it reset. Their frames may still be on the way (RFC 9113 §5.1).
//!
//! Invariant: a stream is in the list of ids exactly while it is not closed.

use std::collections::VecDeque;

use slab::Slab;

use super::key::StreamKey;
use super::stream::{State, Stream};

/// Reset streams that are remembered. 64: frames that cross a reset come within a round trip.
const RESETS_REMEMBERED_MAX: usize = 64;

/// Places that a connection without streams keeps. 4: about 1 KiB.
const PLACES_KEPT_MAX: usize = 4;

/// The streams of a connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    places: Slab<Stream>,
    /// Ids of open streams and their places, sorted.
    open: Vec<(u32, usize)>,
    /// The highest id that the peer has opened.
    pub(super) highest_of_peer: u32,
    /// The highest id that this end has opened.
    pub(super) highest_of_own: u32,
    recently_reset: VecDeque<u32>,
}

impl Streams {
    /// Returns how many streams are held: open ones, and closed ones that the caller has not released.
    pub(super) fn held(&self) -> usize {
        self.places.len()
    }

    pub(super) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Adds a stream whose id is higher than that of every open one.
    pub(super) fn insert(&mut self, stream: Stream) -> StreamKey {
        let id = stream.id;
        let place = self.places.insert(stream);
        self.open.push((id, place));
        StreamKey::new(place, id)
    }

    /// Returns the open stream of an id.
    pub(super) fn find(&self, id: u32) -> Option<StreamKey> {
        // The stream of the last request is asked for most often.
        if let Some(&(last, place)) = self.open.last()
            && last == id
        {
            return Some(StreamKey::new(place, id));
        }
        let index = self.open.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        self.open.get(index).map(|&(id, place)| StreamKey::new(place, id))
    }

    pub(super) fn get(&self, key: StreamKey) -> Option<&Stream> {
        self.places.get(key.place()).filter(|stream| stream.id == key.id())
    }

    pub(super) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.places.get_mut(key.place()).filter(|stream| stream.id == key.id())
    }

    /// Returns all held streams.
    pub(super) fn iter(&self) -> impl Iterator<Item = (StreamKey, &Stream)> {
        let streams = self.places.iter();
        streams.map(|(place, stream)| (StreamKey::new(place, stream.id), stream))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.places.iter_mut().map(|(_, stream)| stream)
    }

    /// Returns all open streams.
    pub(super) fn open(&self) -> impl Iterator<Item = StreamKey> {
        self.open.iter().map(|&(id, place)| StreamKey::new(place, id))
    }

    /// Removes the id of a stream that is closed.
    pub(super) fn close(&mut self, key: StreamKey, is_reset: bool) {
        if let Ok(index) = self.open.binary_search_by_key(&key.id(), |&(id, _)| id) {
            self.open.remove(index);
        }
        if is_reset {
            self.remember_reset(key.id());
        }
    }

    /// Remembers an id whose frames are ignored from now on.
    pub(super) fn remember_reset(&mut self, id: u32) {
        if self.recently_reset.len() >= RESETS_REMEMBERED_MAX {
            self.recently_reset.pop_front();
        }
        self.recently_reset.push_back(id);
    }

    pub(super) fn was_reset(&self, id: u32) -> bool {
        self.recently_reset.contains(&id)
    }

    /// Frees the place of a closed stream.
    pub(super) fn release(&mut self, key: StreamKey) {
        if self.get(key).is_some_and(|stream| stream.state == State::Closed) {
            self.places.remove(key.place());
        }
        if self.places.is_empty() && self.places.capacity() > PLACES_KEPT_MAX {
            self.places = Slab::new();
            self.open = Vec::new();
            self.recently_reset.shrink_to_fit();
        }
    }
}
