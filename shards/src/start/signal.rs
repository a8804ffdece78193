//! SIGTERM and SIGINT stop the process: the first signal gracefully, every later one immediately. SIGHUP reloads, if
//! there is something to reload.
//!
//! Why a thread: a signal handler may call almost nothing. So signal-hook's handler only stores the number; a thread
//! reads it and calls back.
//!
//! Invariant: while no [`StopSignals`] is alive, the signals have their default effect and end the process. So a
//! server that has finished, or failed while stopping, can always be killed.
//!
//! SIGPIPE needs no handling here: Rust's runtime ignores it before `main`. Every send also sets `MSG_NOSIGNAL`, for
//! programs whose `main` is not Rust.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// How firmly a shard is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stop {
    /// Take no new work and finish what was taken; the first signal.
    Graceful,
    /// Drop everything; every later signal.
    Now,
}

/// Listens to SIGTERM and SIGINT, and to SIGHUP if it has an effect, until it is dropped.
///
/// [`Builder::stop_on_signals`](crate::Builder::stop_on_signals) has one for shards. A process without shards, such as one
/// that starts others, has one of its own.
#[derive(Debug)]
#[must_use = "the signals have their default effect again once it is dropped"]
pub struct StopSignals {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Whether a [`StopSignals`] is alive.
static LISTENING: AtomicBool = AtomicBool::new(false);

/// Whether the signals that stop have their default effect; read inside the signal handler.
///
/// signal-hook cannot return a handled signal to the kernel. Without this flag both signals would be ignored from the
/// end of the first listener to the end of the process.
static DEFAULT_APPLIES: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// The same of SIGHUP, which the first listener with something to reload handles.
static HANGUP_DEFAULT_APPLIES: OnceLock<Arc<AtomicBool>> = OnceLock::new();

impl StopSignals {
    /// Starts listening; `on_stop` runs on a thread of its own, once per signal, and so does `on_hangup` for SIGHUP.
    ///
    /// Call it before the calling thread is pinned: the new thread inherits the affinity. Two signals of one kind within
    /// microseconds may count as one, because the kernel does not queue them.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if another listener is alive in this process; otherwise the kernel refused a handler, a socket
    /// pair or a thread.
    pub fn listen(
        on_stop: impl Fn(Stop) + Send + 'static,
        on_hangup: Option<impl Fn() + Send + 'static>,
    ) -> io::Result<Self> {
        // Two listeners would each get every signal and stop the process twice.
        if LISTENING.swap(true, Ordering::AcqRel) {
            let reason = "this process already handles SIGTERM and SIGINT";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
        }
        let listening = Listening;
        let default_applies = default_actions(&DEFAULT_APPLIES, &[SIGTERM, SIGINT])?;
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let handle = signals.handle();
        // Only now that the handler is installed, so that no signal is lost in between.
        default_applies.store(false, Ordering::SeqCst);
        if on_hangup.is_some() {
            let default_applies = default_actions(&HANGUP_DEFAULT_APPLIES, &[SIGHUP])?;
            signals.add_signal(SIGHUP)?;
            default_applies.store(false, Ordering::SeqCst);
        }
        let thread = thread::Builder::new()
            .name("squall-signals".to_owned())
            .spawn(move || {
                let _until_the_thread_ends = listening;
                let mut stop = Stop::Graceful;
                for signal in signals.forever() {
                    match &on_hangup {
                        Some(on_hangup) if signal == SIGHUP => on_hangup(),
                        _ => {
                            on_stop(stop);
                            stop = Stop::Now;
                        }
                    }
                }
            })?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }
}

impl Drop for StopSignals {
    /// Waits for a running callback, unless the callback itself drops the listener.
    fn drop(&mut self) {
        let_the_default_apply();
        self.handle.close();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the callback of a stop signal panicked");
        }
    }
}

/// The claim to be the only listener, released when the thread ends, also by a panic of the callback.
struct Listening;

impl Drop for Listening {
    fn drop(&mut self) {
        let_the_default_apply();
        LISTENING.store(false, Ordering::Release);
    }
}

fn let_the_default_apply() {
    for default_applies in [&DEFAULT_APPLIES, &HANGUP_DEFAULT_APPLIES] {
        if let Some(default_applies) = default_applies.get() {
            default_applies.store(true, Ordering::SeqCst);
        }
    }
}

/// Registers, once per process, the handlers that apply the default effect while the flag is set.
fn default_actions(flag: &'static OnceLock<Arc<AtomicBool>>, signals: &[i32]) -> io::Result<&'static AtomicBool> {
    if let Some(registered) = flag.get() {
        return Ok(registered);
    }
    let default_applies = Arc::new(AtomicBool::new(true));
    for signal in signals {
        signal_hook::flag::register_conditional_default(*signal, Arc::clone(&default_applies))?;
    }
    Ok(flag.get_or_init(|| default_applies))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Lines};
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Child, ChildStdout, Stdio};

    use crossbeam::channel;
    use rustix::process::{Pid, Signal, kill_process};

    use super::*;
    use crate::testing::{child, child_role};

    struct Signalled {
        process: Child,
        lines: Lines<BufReader<ChildStdout>>,
    }

    impl Signalled {
        fn start(test: &str) -> Self {
            let mut process = child(module_path!(), test, "signalled")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(process.stdout.take().unwrap()).lines();
            Self { process, lines }
        }

        fn expect(&mut self, line: &str) {
            let found = self
                .lines
                .by_ref()
                .map(Result::unwrap)
                .find(|found| found.ends_with(line));
            assert!(found.is_some(), "the child ended without printing {line:?}");
        }

        fn signal(&self, signal: Signal) {
            kill_process(Pid::from_child(&self.process), signal).unwrap();
        }

        fn ending_signal(mut self) -> Option<i32> {
            self.process.wait().unwrap().signal()
        }
    }

    #[test]
    fn the_first_signal_is_graceful_and_every_later_one_means_now() {
        if child_role().is_some() {
            let (send, stops) = channel::unbounded();
            let _signals = StopSignals::listen(move |stop| send.send(stop).unwrap(), None::<fn()>).unwrap();
            println!("\nready");
            stops.iter().take(3).for_each(|stop| println!("{stop:?}"));
            return;
        }
        let mut child = Signalled::start("the_first_signal_is_graceful_and_every_later_one_means_now");
        child.expect("ready");
        for (signal, answer) in [(Signal::TERM, "Graceful"), (Signal::INT, "Now"), (Signal::TERM, "Now")] {
            child.signal(signal);
            child.expect(answer);
        }
        assert_eq!(child.ending_signal(), None);
    }

    #[test]
    fn a_hangup_reloads_while_something_can_be_reloaded_and_ends_the_process_otherwise() {
        if child_role().is_some() {
            let (send, hangups) = channel::unbounded();
            let signals = StopSignals::listen(|_| (), Some(move || send.send(()).unwrap())).unwrap();
            println!("\nready");
            hangups.iter().take(2).for_each(|()| println!("hung up"));
            drop(signals);
            let _signals = StopSignals::listen(|_| (), None::<fn()>).unwrap();
            println!("\nnothing to reload");
            loop {
                thread::park();
            }
        }
        let mut child =
            Signalled::start("a_hangup_reloads_while_something_can_be_reloaded_and_ends_the_process_otherwise");
        child.expect("ready");
        for _ in 0..2 {
            child.signal(Signal::HUP);
            child.expect("hung up");
        }
        child.expect("nothing to reload");
        child.signal(Signal::HUP);
        assert_eq!(child.ending_signal(), Some(SIGHUP));
    }

    #[test]
    fn after_the_listener_is_dropped_a_signal_ends_the_process_again() {
        if child_role().is_some() {
            let (send, stops) = channel::unbounded();
            for _ in 0..2 {
                let send = send.clone();
                let signals = StopSignals::listen(move |stop| send.send(stop).unwrap(), None::<fn()>).unwrap();
                let second = StopSignals::listen(|_| (), None::<fn()>).unwrap_err();
                assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
                println!("\nready");
                assert_eq!(stops.recv(), Ok(Stop::Graceful));
                drop(signals);
            }
            println!("\nstopped listening");
            loop {
                thread::park();
            }
        }
        let mut child = Signalled::start("after_the_listener_is_dropped_a_signal_ends_the_process_again");
        for _ in 0..2 {
            child.expect("ready");
            child.signal(Signal::INT);
        }
        child.expect("stopped listening");
        child.signal(Signal::TERM);
        assert_eq!(child.ending_signal(), Some(SIGTERM));
    }

    #[test]
    fn a_callback_may_drop_its_listener_and_a_panic_of_it_gives_the_signals_back() {
        if child_role().is_some() {
            let (give, take) = channel::bounded::<StopSignals>(1);
            let (send, stops) = channel::unbounded();
            let on_stop = move |stop| {
                drop(take.recv().unwrap());
                send.send(stop).unwrap();
            };
            give.send(StopSignals::listen(on_stop, None::<fn()>).unwrap()).unwrap();
            println!("\nready");
            assert_eq!(stops.recv(), Ok(Stop::Graceful));
            assert!(stops.recv().is_err(), "the callback is dropped with its thread");
            let mut signals = StopSignals::listen(|_| panic!("on purpose"), None::<fn()>).unwrap();
            println!("\nready");
            assert!(signals.thread.take().unwrap().join().is_err());
            println!("\npanicked");
            loop {
                thread::park();
            }
        }
        let mut child = Signalled::start("a_callback_may_drop_its_listener_and_a_panic_of_it_gives_the_signals_back");
        for line in ["ready", "ready", "panicked"] {
            child.expect(line);
            child.signal(Signal::TERM);
        }
        assert_eq!(child.ending_signal(), Some(SIGTERM));
    }
}
