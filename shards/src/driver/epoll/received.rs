//! Bytes received by recv(2), in a buffer that returns to the shard's pool when dropped.

use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::Epoll;

/// A buffer of the receive pool, given back when this is dropped.
pub(crate) struct Pooled {
    bytes: Vec<u8>,
    epoll: Rc<Epoll>,
}

impl Pooled {
    pub(super) fn new(epoll: &Rc<Epoll>, bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            epoll: Rc::clone(epoll),
        }
    }
}

impl Deref for Pooled {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.epoll.receive_pool.give_back(std::mem::take(&mut self.bytes));
    }
}
