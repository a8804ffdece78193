//! How many threads a pool has, how many of them wait for work, and whether another is needed.
//!
//! Invariant: work in the queue waits only while as many threads as may be alive do something else, and not at all once the pool stops. Who puts
//! work down, and who changes what that one reads here, each write, pass a sequentially consistent fence and then read what the other has written
//! (Dekker's pattern, as in [`wake_flag`](crate::message::wake_flag)): one of the two sees to the work. `tests::` runs it under loom (see [`sync`](crate::sync)).

use crate::sync::{AtomicBool, AtomicUsize, Ordering, fence};

/// The numbers of a pool's threads.
#[derive(Debug)]
pub(super) struct ThreadCount {
    threads_max: usize,
    threads: AtomicUsize,
    /// Threads that wait for work, or have just taken some.
    idle: AtomicUsize,
    stopping: AtomicBool,
}

/// What is to be done about work just put into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// A thread will take it.
    Nothing,
    /// A thread is to be started; it is counted already.
    Thread,
    /// The pool stops: it is to be dropped.
    Drop,
}

/// Why a thread has nothing to do.
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

    /// How many threads are alive.
    pub(super) fn threads(&self) -> usize {
        self.threads.load(Ordering::Acquire)
    }

    /// Called by who has put work into the queue.
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

    /// Called by who stops the pool, before dropping what is in the queue.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Called by a thread of the pool: has it wait for work. Without any, it is not counted any more and must end.
    ///
    /// `start` starts a thread that is counted already: one waiting thread may have been taken for two, by work that came while it had taken
    /// other work.
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
                    if self.need(&queued) == Need::Thread {
                        start();
                    }
                    return Some(work);
                }
                Err(reason) => reason,
            };
            self.leave();
            // Work may have been put down for this thread while it gave up waiting.
            fence(Ordering::SeqCst);
            if reason == Idle::Stopped || queued() == 0 || !self.reserve() {
                return None;
            }
        }
    }

    /// Counts one thread less.
    pub(super) fn leave(&self) {
        self.threads.fetch_sub(1, Ordering::AcqRel);
    }

    /// Counts one more thread, unless that would be one too many.
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

    /// A pool whose threads lose patience at once, and whose work never ends.
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

    /// Two pieces of work, two threads: each is taken though the other never ends.
    #[test]
    fn loom_no_work_waits_for_a_thread_that_may_be_started() {
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

    /// Work put down while the pool stops is taken or dropped.
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
