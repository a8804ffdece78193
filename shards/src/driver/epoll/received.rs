//! Bytes received by recv(2), in a buffer that returns to the shard's pool when dropped.

use std::ops::Deref;
use std::rc::Rc;

use super::Epoll;

/// Received bytes.
pub(crate) struct Received {
    bytes: Vec<u8>,
    epoll: Rc<Epoll>,
}

impl Received {
    pub(super) fn new(epoll: &Rc<Epoll>, bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            epoll: Rc::clone(epoll),
        }
    }
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.epoll.receive_pool.give_back(std::mem::take(&mut self.bytes));
    }
}
