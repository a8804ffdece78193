//! The wake flag of a shard: wakes a sleeping shard without a lost wake-up, and without a system call while it is awake.
//!
//! Invariant: once [`WakeFlag::notify`] has returned `false`, the shard sees the message before it next sleeps. Once it
//! has returned `true`, the caller writes the eventfd that ends the sleep. Each side writes its own flag, passes a
//! sequentially consistent fence, then reads the other's flag (Dekker's pattern). So at least one side sees the other.
//! `tests` checks this under loom (see [`sync`](crate::sync)).

use crate::sync::{AtomicBool, Ordering, fence};

/// Two flags: whether messages are waiting, and whether the shard sleeps.
#[derive(Debug)]
pub(crate) struct WakeFlag {
    messages: AtomicBool,
    asleep: AtomicBool,
}

impl WakeFlag {
    pub(crate) fn new() -> Self {
        Self {
            messages: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
        }
    }

    /// Announces a message that the caller has already put where the shard will look.
    ///
    /// `true` requires the caller to write the eventfd. Of all callers during one sleep exactly one gets `true`.
    #[must_use]
    pub(crate) fn notify(&self) -> bool {
        // A swap, not a store: the shard takes the messages of all notifiers at once. Under C11 a plain store of one
        // notifier may hide another's flag, and with it that notifier's message.
        self.messages.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel)
    }

    /// Clears the flag and returns whether messages have arrived since the last call; called by the shard.
    pub(crate) fn take_messages(&self) -> bool {
        self.messages.load(Ordering::Relaxed) && self.messages.swap(false, Ordering::Acquire)
    }

    /// Returns whether messages are waiting; called by the shard.
    pub(crate) fn has_messages(&self) -> bool {
        self.messages.load(Ordering::Relaxed)
    }

    /// Announces a sleep; called by the shard before it blocks. `false`: messages are waiting, and the shard must not
    /// block.
    #[must_use]
    pub(crate) fn fall_asleep(&self) -> bool {
        // A swap, so that it is ordered after the swap of a notifier that was late for the previous sleep.
        self.asleep.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        if self.messages.load(Ordering::Relaxed) {
            self.wake_up();
            return false;
        }
        true
    }

    /// Ends the announced sleep; called by the shard after it has blocked.
    pub(crate) fn wake_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(squall_loom)))]
mod tests {
    use super::WakeFlag;

    #[test]
    fn only_the_first_notifier_of_a_sleep_must_write_the_eventfd() {
        let wake_flag = WakeFlag::new();
        assert!(!wake_flag.notify(), "the shard is awake");
        assert!(wake_flag.take_messages());
        assert!(!wake_flag.take_messages(), "messages are taken once");
        assert!(wake_flag.fall_asleep());
        assert!(wake_flag.notify());
        assert!(!wake_flag.notify());
        wake_flag.wake_up();
        assert!(wake_flag.take_messages());
    }

    #[test]
    fn a_shard_with_messages_does_not_fall_asleep() {
        let wake_flag = WakeFlag::new();
        assert!(!wake_flag.notify());
        assert!(!wake_flag.fall_asleep());
        assert!(wake_flag.take_messages());
        assert!(wake_flag.fall_asleep());
    }
}

#[cfg(all(test, squall_loom))]
mod tests {
    use super::WakeFlag;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};

    /// Two senders post one message each; the shard has read both, or was woken after it fell asleep.
    #[test]
    fn loom_no_message_is_left_behind_in_front_of_a_sleeping_shard() {
        // Every interleaving with at most three preemptions; without a bound the model takes hours.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let wake_flag = Arc::new(WakeFlag::new());
            let messages = Arc::new(AtomicUsize::new(0));
            let rings = Arc::new(AtomicUsize::new(0));
            let senders: Vec<_> = (0..2)
                .map(|_| {
                    let (wake_flag, messages, rings) = (wake_flag.clone(), messages.clone(), rings.clone());
                    loom::thread::spawn(move || {
                        messages.fetch_add(1, Ordering::Relaxed);
                        if wake_flag.notify() {
                            rings.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            let mut read = 0;
            let mut asleep = false;
            let mut attempts = 0;
            while attempts < 2 {
                if wake_flag.take_messages() {
                    read = messages.load(Ordering::Relaxed);
                }
                attempts += 1;
                if wake_flag.fall_asleep() {
                    asleep = true;
                    break;
                }
            }
            for sender in senders {
                sender.join().unwrap();
            }
            let rung = rings.load(Ordering::Relaxed);
            assert!(rung <= attempts, "at most one wake per attempt to sleep");
            // A wake meant for an earlier attempt ends this sleep too: the eventfd keeps its count.
            if asleep && rung == 0 {
                assert_eq!(read, 2, "asleep, not woken, and a message unread");
            }
        });
    }
}
