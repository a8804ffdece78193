//! The turn: the loop of a shard, the same for both drivers.
//!
//! Run every woken task → take messages → let the driver submit what the tasks asked for → wake the tasks concerned. If
//! no task is runnable, the driver sleeps until an event. All sleeping happens in the driver, without a time limit: a
//! peer, a deadline and another thread each end it as an event.

use std::rc::Rc;
use std::time::Duration;

use super::context::ShardContext;

/// How many times the runnable tasks are polled before the sockets are looked at. 8: tasks that keep waking one another
/// must not starve the sockets.
const TASK_PASSES_MAX: usize = 8;

/// How long an ending shard waits for its sockets to close.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(2);

/// Drives a shard until `finished` returns true, then until its sockets are closed.
pub(crate) async fn drive(shard: &Rc<ShardContext>, finished: &dyn Fn() -> bool) {
    let (tasks, timers, reactor) = (shard.tasks(), shard.timers(), shard.reactor());
    let mut closing_until = None;
    loop {
        run_tasks(shard);
        if shard.inbox().wake_flag().take_messages() {
            shard.begin_work();
            shard.deliver_messages();
            shard.end_work();
        }
        if finished() {
            let Some(until) = closing_until else {
                closing_until = Some(shard.now() + CLOSING_TIME_MAX);
                // One more round of the loop lets each task drop its future at its next poll.
                tasks.end();
                continue;
            };
            if (tasks.len() == 0 && reactor.is_quiet()) || shard.now() >= until {
                return;
            }
            reactor.wake_at(until);
        }
        // Armed before the driver sleeps; a deadline that is already past makes it return at once.
        let deadline = timers.next_deadline();
        if let Some(deadline) = deadline {
            reactor.wake_at(deadline);
        }
        // A message that arrives from here on sets the wake flag, which the driver checks before it sleeps.
        let may_sleep = tasks.runnable() == 0 && !timers.more_due();
        shard.count_turn(may_sleep);
        reactor.turn(shard.core(), may_sleep).await;
        if timers.more_due() || deadline.is_some_and(|deadline| deadline <= shard.now()) {
            // Bytes before deadlines. After a pause of the whole process (SIGSTOP, a busy host) the kernel may report
            // the timer first, though the peer's bytes arrived in time. Such a peer must not be timed out.
            reactor.catch_up(shard.core()).await;
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
        tasks.run(shard.id(), shard.heartbeat());
        if tasks.runnable() == 0 {
            break;
        }
    }
    shard.end_work();
}
