//! The turn: the loop a shard spends its life in, whichever driver moves its bytes.
//!
//! Run every woken task → take in mail → tell the driver what the tasks asked for and, when nothing is runnable, sleep in it until
//! something happens → wake whom it concerns. All sleeping happens in the driver, without a time limit: what must wake the shard
//! (a peer, a deadline, another thread) is an event there.

use std::rc::Rc;
use std::time::Duration;

use super::shard::ShardContext;

/// How often all runnable tasks are polled before the sockets are looked at again: tasks that keep waking one another must not
/// keep the shard from them.
const TASK_PASSES_MAX: usize = 8;

/// How long the end of a shard waits for its sockets to be closed.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(2);

/// Drives a shard until `finished` says that its main task is done, then until its sockets are closed.
pub(crate) async fn drive(shard: &Rc<ShardContext>, finished: &dyn Fn() -> bool) {
    let (tasks, timers, reactor) = (shard.tasks(), shard.timers(), shard.reactor());
    let mut closing_until = None;
    loop {
        run_tasks(shard);
        if shard.inbox().wake_flag().take_messages() {
            shard.deliver_messages();
        }
        if finished() {
            let Some(until) = closing_until else {
                closing_until = Some(shard.now() + CLOSING_TIME_MAX);
                tasks.end();
                continue;
            };
            if (tasks.len() == 0 && reactor.is_quiet()) || shard.now() >= until {
                return;
            }
            reactor.wake_at(until);
        }
        let deadline = timers.next_deadline();
        if let Some(deadline) = deadline {
            reactor.wake_at(deadline);
        }
        let may_sleep = tasks.runnable() == 0 && !timers.more_due();
        shard.count_turn(may_sleep);
        reactor.turn(shard, may_sleep).await;
        if timers.more_due() || deadline.is_some_and(|deadline| deadline <= shard.now()) {
            // A peer whose bytes are here has not been slow, even if this process was stopped for longer than the deadline and the
            // kernel tells of the time first (row H16).
            reactor.catch_up(shard).await;
            timers.expire(shard.now());
        }
    }
}

fn run_tasks(shard: &ShardContext) {
    let tasks = shard.tasks();
    if tasks.runnable() == 0 {
        return;
    }
    shard.begin_work();
    for _ in 0..TASK_PASSES_MAX {
        tasks.run(shard.id());
        if tasks.runnable() == 0 {
            break;
        }
    }
    shard.end_work();
}
