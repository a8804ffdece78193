//! What a driver needs of its shard: the inbox, the tasks and the time.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crate::clock;
use crate::message::inbox::Inbox;
use crate::task::Tasks;

/// The part of a shard below its driver.
pub(crate) struct Core {
    inbox: Arc<Inbox>,
    tasks: Rc<Tasks>,
    now: Cell<Instant>,
}

impl Core {
    /// Creates the core of the shard with this inbox, on the shard's thread.
    pub(crate) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            tasks: Rc::new(Tasks::new(&inbox)),
            inbox,
            now: Cell::new(clock::now()),
        }
    }

    pub(crate) fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    pub(crate) fn tasks(&self) -> &Rc<Tasks> {
        &self.tasks
    }

    /// Returns the time read at the start of this turn.
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Reads the clock; called once per turn.
    pub(crate) fn refresh_now(&self) -> Instant {
        let now = clock::now();
        self.now.set(now);
        now
    }
}
