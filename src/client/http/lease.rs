//! A place for one connection, within the limits of its pool; dropping it frees the place for a fetch that waits.

use std::fmt;
use std::rc::{Rc, Weak};

use super::address::Endpoint;

/// What a lease gives its place back to.
pub(super) trait Places {
    /// Frees a place for a connection to this endpoint.
    fn free(&self, endpoint: &Rc<Endpoint>);
}

/// A place for one connection to an endpoint.
pub(super) struct Lease {
    endpoint: Rc<Endpoint>,
    /// Weak, because the pool owns unused connections.
    places: Weak<dyn Places>,
}

impl Lease {
    pub(super) fn new(endpoint: Rc<Endpoint>, places: Weak<dyn Places>) -> Self {
        Self { endpoint, places }
    }

    pub(super) fn endpoint(&self) -> &Rc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(places) = self.places.upgrade() {
            places.free(&self.endpoint);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Lease({}:{})", self.endpoint.host, self.endpoint.port)
    }
}
