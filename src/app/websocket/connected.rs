//! The open WebSockets and event streams of a shard by their owner, a user or a session, whose end closes them.
//!
//! Both are called sockets here. Invariant: a socket is listed as long as its [`Membership`] lives, and an owner without
//! a socket is not listed.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::mem::discriminant;
use std::collections::HashMap;
use std::rc::Rc;

/// Closes a socket, and returns whether it was open.
pub(in crate::app) type Closer = Box<dyn Fn() -> bool>;

/// Whose end closes a socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SocketOwner {
    /// The user of this name.
    User(String),
    /// The session of this key.
    Session([u8; 32]),
}

/// The open WebSockets and event streams of a shard by their owner.
#[derive(Default)]
pub(in crate::app) struct Connected {
    by_owner: RefCell<HashMap<SocketOwner, Vec<(u64, Closer)>>>,
    next: Cell<u64>,
}

/// A socket's place in the list; its drop removes it.
pub(in crate::app) struct Membership {
    connected: Rc<Connected>,
    owner: SocketOwner,
    number: u64,
}

impl Membership {
    /// Whether both owners are users, or both are sessions.
    pub(in crate::app) fn is_of_kind(&self, owner: &SocketOwner) -> bool {
        discriminant(&self.owner) == discriminant(owner)
    }
}

impl Connected {
    /// Lists a socket under its owner.
    pub(in crate::app) fn join(self: &Rc<Self>, owner: &SocketOwner, closer: Closer) -> Membership {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let mut by_owner = self.by_owner.borrow_mut();
        by_owner.entry(owner.clone()).or_default().push((number, closer));
        Membership {
            connected: Rc::clone(self),
            owner: owner.clone(),
            number,
        }
    }

    /// Closes the sockets of an owner, and returns how many were open.
    pub(in crate::app) fn close(&self, owner: &SocketOwner) -> usize {
        // Taken out first, because a socket that closes may drop its membership.
        let sockets = self.by_owner.borrow_mut().remove(owner).unwrap_or_default();
        sockets.into_iter().filter(|(_, close)| close()).count()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut by_owner = self.connected.by_owner.borrow_mut();
        if let Some(sockets) = by_owner.get_mut(&self.owner) {
            sockets.retain(|(number, _)| *number != self.number);
            if sockets.is_empty() {
                by_owner.remove(&self.owner);
            }
        }
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connected")
            .field("owners", &self.by_owner.borrow().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> SocketOwner {
        SocketOwner::User(name.to_owned())
    }

    #[test]
    fn a_close_reaches_the_sockets_of_its_owner_alone() {
        let connected = Rc::new(Connected::default());
        let closed = Rc::new(Cell::new(0));
        let join = |owner| {
            let closed = Rc::clone(&closed);
            let close = move || {
                closed.set(closed.get() + 1);
                true
            };
            connected.join(&user(owner), Box::new(close))
        };
        let (first, _second, _other) = (join("ada"), join("ada"), join("bob"));
        let third = join("ada");
        drop(third);
        assert_eq!((connected.close(&user("ada")), closed.get()), (2, 2));
        assert_eq!(connected.close(&user("ada")), 0, "they left the list");
        drop(first);
        assert_eq!(connected.by_owner.borrow().len(), 1);
    }
}
