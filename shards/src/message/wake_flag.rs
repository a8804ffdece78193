//! The bell between a shard and everybody else: "there is mail for you" without a lost wake-up and without a system call while
//! the shard is awake.
//!
//! Invariant: after [`WakeFlag::notify`] has returned, either the shard sees mail before it next sleeps, or `notify` answered `true`
//! and the caller rings the doorbell that ends the sleep. Both sides write their own flag, pass a sequentially consistent fence
//! and then read the other's flag (Dekker's pattern), so at least one of them sees the other. `tests::` runs it under loom
//! (see [`sync`](crate::sync)).

use crate::sync::{AtomicBool, Ordering, fence};

/// Two flags: whether mail waits, and whether the shard sleeps.
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

    /// Called by anybody after putting mail somewhere the shard will look. `true` asks the caller to ring the doorbell; of many
    /// callers during one sleep only the first is asked.
    #[must_use]
    pub(crate) fn notify(&self) -> bool {
        // A swap and not a store: the shard takes the mail of all notifiers at once, and by C11 it need not see what one of them
        // has put down if a plain store of another covers its flag.
        self.messages.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel)
    }

    /// Called by the shard: whether mail has come since it last asked.
    pub(crate) fn take_messages(&self) -> bool {
        self.messages.load(Ordering::Relaxed) && self.messages.swap(false, Ordering::Acquire)
    }

    /// Called by the shard: whether mail waits to be taken.
    pub(crate) fn has_messages(&self) -> bool {
        self.messages.load(Ordering::Relaxed)
    }

    /// Called by the shard before it blocks. `false` means that mail is waiting and it must not block.
    #[must_use]
    pub(crate) fn fall_asleep(&self) -> bool {
        // A swap, so that it comes after the swap of a notifier that was late for the sleep before.
        self.asleep.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        if self.messages.load(Ordering::Relaxed) {
            self.wake_up();
            return false;
        }
        true
    }

    /// Called by the shard after it has blocked.
    pub(crate) fn wake_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(squall_loom)))]
mod tests {
    use super::WakeFlag;

    #[test]
    fn only_the_first_notifier_of_a_sleep_is_asked_to_ring() {
        let wake_flag = WakeFlag::new();
        assert!(!wake_flag.notify(), "the shard is awake: no doorbell");
        assert!(wake_flag.take_messages());
        assert!(!wake_flag.take_messages(), "mail is taken once");
        assert!(wake_flag.fall_asleep());
        assert!(wake_flag.notify());
        assert!(!wake_flag.notify());
        wake_flag.wake_up();
        assert!(wake_flag.take_messages());
    }

    #[test]
    fn a_shard_with_mail_does_not_fall_asleep() {
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

    /// Two senders post one message each; the shard must have read both, or have been rung after it fell asleep.
    #[test]
    fn loom_no_message_is_left_behind_in_front_of_a_sleeping_shard() {
        // Every order with up to three switches of a thread that could have gone on; without a bound it takes hours.
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
            assert!(rung <= attempts, "one doorbell for each attempt to sleep");
            // A ring that came for an earlier attempt ends this sleep too: the doorbell keeps it.
            if asleep && rung == 0 {
                assert_eq!(read, 2, "asleep, not rung, and a message unread");
            }
        });
    }
}
