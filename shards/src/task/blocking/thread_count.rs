//! Counts a pool's threads and its idle threads, and decides whether to spawn another.
//!
//! Invariant: queued work waits only while the maximum of threads is busy, and never after the pool stops. The thread
//! that queues work and a thread that changes what it reads here each write, pass a sequentially consistent fence, then
//! read what the other wrote (Dekker's pattern, as in [`wake_flag`](crate::message::wake_flag)). So one of the two
//! handles the work. `tests` checks this under loom (see [`sync`](crate::sync)).

use crate::sync::{AtomicBool, AtomicUsize, Ordering, fence};

/// The counts of a pool's threads.
#[derive(Debug)]
pub(super) struct ThreadCount {
    threads_max: usize,
    threads: AtomicUsize,
    /// Threads waiting for work, or having just taken some.
    idle: AtomicUsize,
    stopping: AtomicBool,
}

/// What the caller must do after queueing work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: a thread will take it.
    Nothing,
    /// Spawn a thread, which is counted already.
    Thread,
    /// Drop the work, because the pool stops.
    Drop,
}

/// Why a thread found no work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    Stopped,
    TooLong,
}

impl ThreadCount {
    pub(super) fn new(threads_max: usize) -> Self {
        Self {
            threads_max: threads_max.max(1),
            threads: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// Returns the number of live threads.
    pub(super) fn threads(&self) -> usize {
        self.threads.load(Ordering::Acquire)
    }

    /// Decides what to do about work just queued; called after the push.
    pub(super) fn need(&self, queued: impl Fn() -> usize) -> Need {
        fence(Ordering::SeqCst);
        if self.stopping.load(Ordering::Relaxed) {
            Need::Drop
        } else if queued() > self.idle.load(Ordering::Relaxed) && self.reserve() {
            Need::Thread
        } else {
            Need::Nothing
        }
    }

    /// Stops the pool; called before the queued work is dropped.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Waits for work on a thread of the pool; after `None` the thread is uncounted and must exit.
    ///
    /// `start` spawns a thread that is counted already. It is needed if two pieces of work counted on the same idle
    /// thread.
    pub(super) fn next<T>(
        &self,
        wait: impl Fn() -> Result<T, Idle>,
        queued: impl Fn() -> usize,
        start: impl FnOnce(),
    ) -> Option<T> {
        loop {
            self.idle.fetch_add(1, Ordering::Relaxed);
            let found = wait();
            self.idle.fetch_sub(1, Ordering::Relaxed);
            let reason = match found {
                Ok(work) => {
                    // The thread that queued the next piece may have taken this one for still idle.
                    if self.need(&queued) == Need::Thread {
                        start();
                    }
                    return Some(work);
                }
                Err(reason) => reason,
            };
            self.exit();
            // Work may have been queued for this thread while it gave up waiting.
            fence(Ordering::SeqCst);
            if reason == Idle::Stopped || queued() == 0 || !self.reserve() {
                return None;
            }
        }
    }

    /// Counts a thread that exits.
    pub(super) fn exit(&self) {
        self.threads.fetch_sub(1, Ordering::AcqRel);
    }

    /// Counts one more thread, unless the maximum is reached.
    fn reserve(&self) -> bool {
        let more = |threads| (threads < self.threads_max).then_some(threads + 1);
        self.threads
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, more)
            .is_ok()
    }
}

#[cfg(all(test, squall_loom))]
mod tests {
    use super::{Idle, Need, ThreadCount};
    use crate::sync::SegQueue;
    use crossbeam::queue;
    use loom::thread::{JoinHandle, spawn};
    use std::sync::Arc;

    /// A pool whose threads give up waiting at once, and whose work never ends.
    struct Pool {
        thread_count: ThreadCount,
        work: SegQueue<()>,
        taken: queue::SegQueue<()>,
        threads: queue::SegQueue<JoinHandle<()>>,
    }

    impl Pool {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                thread_count: ThreadCount::new(2),
                work: SegQueue::new(),
                taken: queue::SegQueue::new(),
                threads: queue::SegQueue::new(),
            })
        }

        fn start(self: &Arc<Self>) {
            let pool = Arc::clone(self);
            self.threads.push(spawn(move || {
                let wait = || pool.work.pop().ok_or(Idle::TooLong);
                if let Some(work) = pool.thread_count.next(wait, || pool.work.len(), || pool.start()) {
                    pool.taken.push(work);
                }
            }));
        }

        fn put(self: &Arc<Self>) {
            self.work.push(());
            match self.thread_count.need(|| self.work.len()) {
                Need::Nothing => {}
                Need::Thread => self.start(),
                Need::Drop => self.drop_work(),
            }
        }

        fn drop_work(&self) {
            while self.work.pop().is_some() {}
        }

        fn join(&self) {
            while let Some(thread) = self.threads.pop() {
                thread.join().unwrap();
            }
        }
    }

    /// Two pieces of work, two threads: both are taken although neither ends.
    #[test]
    fn loom_no_work_waits_while_another_thread_may_be_spawned() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let pool = Pool::new();
            assert!(pool.thread_count.reserve());
            pool.start();
            pool.put();
            pool.put();
            pool.join();
            assert_eq!(pool.taken.len(), 2, "work is left behind");
        });
    }

    /// Work queued while the pool stops is taken or dropped.
    #[test]
    fn loom_a_pool_that_stops_leaves_no_work_behind() {
        loom::model(|| {
            let pool = Pool::new();
            for _ in 0..2 {
                assert!(pool.thread_count.reserve());
            }
            let stopping = Arc::clone(&pool);
            pool.threads.push(spawn(move || {
                stopping.thread_count.stop();
                stopping.drop_work();
            }));
            pool.put();
            pool.join();
            assert_eq!(pool.work.pop(), None, "work is left behind");
        });
    }
}
