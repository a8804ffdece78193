//! The bell between a shard and everybody else: "there is mail for you" without a lost wake-up and without a system call while
//! the shard is awake.
//!
//! Invariant: after [`Bell::notify`] has returned, either the shard sees mail before it next sleeps, or `notify` answered `true`
//! and the caller rings the doorbell that ends the sleep. Both sides write their own flag, pass a sequentially consistent fence
//! and then read the other's flag (Dekker's pattern), so at least one of them sees the other. `tests::` runs it under loom
//! (see [`sync`](crate::sync)).

use crate::sync::{AtomicBool, Ordering, fence};

/// Two flags: whether mail waits, and whether the shard sleeps.
#[derive(Debug)]
pub(crate) struct Bell {
    mail: AtomicBool,
    asleep: AtomicBool,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self {
            mail: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
        }
    }

    /// Called by anybody after putting mail somewhere the shard will look. `true` asks the caller to ring the doorbell; of many
    /// callers during one sleep only the first is asked.
    #[must_use]
    pub(crate) fn notify(&self) -> bool {
        // A swap and not a store: the shard takes the mail of all notifiers at once, and by C11 it need not see what one of them
        // has put down if a plain store of another covers its flag.
        self.mail.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel)
    }

    /// Called by the shard: whether mail has come since it last asked.
    pub(crate) fn take_mail(&self) -> bool {
        self.mail.load(Ordering::Relaxed) && self.mail.swap(false, Ordering::Acquire)
    }

    /// Called by the shard: whether mail waits to be taken.
    pub(crate) fn has_mail(&self) -> bool {
        self.mail.load(Ordering::Relaxed)
    }

    /// Called by the shard before it blocks. `false` means that mail is waiting and it must not block.
    #[must_use]
    pub(crate) fn fall_asleep(&self) -> bool {
        // A swap, so that it comes after the swap of a notifier that was late for the sleep before.
        self.asleep.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        if self.mail.load(Ordering::Relaxed) {
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
    use super::Bell;

    #[test]
    fn only_the_first_notifier_of_a_sleep_is_asked_to_ring() {
        let bell = Bell::new();
        assert!(!bell.notify(), "the shard is awake: no doorbell");
        assert!(bell.take_mail());
        assert!(!bell.take_mail(), "mail is taken once");
        assert!(bell.fall_asleep());
        assert!(bell.notify());
        assert!(!bell.notify());
        bell.wake_up();
        assert!(bell.take_mail());
    }

    #[test]
    fn a_shard_with_mail_does_not_fall_asleep() {
        let bell = Bell::new();
        assert!(!bell.notify());
        assert!(!bell.fall_asleep());
        assert!(bell.take_mail());
        assert!(bell.fall_asleep());
    }
}

#[cfg(all(test, squall_loom))]
mod tests {
    use super::Bell;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};

    /// Two senders post one letter each; the shard must have read both, or have been rung after it fell asleep.
    #[test]
    fn loom_no_letter_is_left_behind_in_front_of_a_sleeping_shard() {
        // Every order with up to three switches of a thread that could have gone on; without a bound it takes hours.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let bell = Arc::new(Bell::new());
            let letters = Arc::new(AtomicUsize::new(0));
            let rings = Arc::new(AtomicUsize::new(0));
            let senders: Vec<_> = (0..2)
                .map(|_| {
                    let (bell, letters, rings) = (bell.clone(), letters.clone(), rings.clone());
                    loom::thread::spawn(move || {
                        letters.fetch_add(1, Ordering::Relaxed);
                        if bell.notify() {
                            rings.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            let mut read = 0;
            let mut asleep = false;
            let mut attempts = 0;
            while attempts < 2 {
                if bell.take_mail() {
                    read = letters.load(Ordering::Relaxed);
                }
                attempts += 1;
                if bell.fall_asleep() {
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
                assert_eq!(read, 2, "asleep, not rung, and a letter unread");
            }
        });
    }
}
