//! Starting and ending: all shards or none, returned errors, contained panics, and a process that exits with one
//! sentence when it cannot continue.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::panic,
    clippy::exit,
    reason = "tests and what they run in their children"
)]

mod common;

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use squall_shards::placement;
use squall_shards::preflight::PreflightError;
use squall_shards::{
    Builder, Driver, LaunchError, Listeners, Shard, ShardId, Source, Stop, spawn_detached, spawn_local, yield_now,
};

use common::{RunningShards, builder, child, child_role, in_child, printed, time_limit};

#[test]
fn every_shard_runs_once_on_a_thread_of_its_own_and_knows_its_place() {
    let _limit = time_limit();
    for count in [1, 2, 4] {
        let (report, reports) = channel();
        let shards = builder(count).thread_name("worker").build().unwrap();
        assert_eq!((shards.count(), shards.cpus().len()), (count, count));
        shards
            .run(move |shard| {
                let here = thread::current().id();
                // As the kernel reports it to other processes.
                let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
                report.send((shard.id().index(), shard.count(), name, here)).unwrap();
                async { Ok(()) }
            })
            .unwrap();
        let reports: Vec<_> = reports.iter().collect();
        let names: HashSet<_> = reports.iter().map(|(id, _, name, _)| (*id, name.clone())).collect();
        assert_eq!(names, (0..count).map(|id| (id, format!("worker-{id}\n"))).collect());
        let ids: HashSet<_> = reports.iter().map(|(id, ..)| *id).collect();
        let threads: HashSet<_> = reports.iter().map(|(.., thread)| *thread).collect();
        assert_eq!(reports.len(), count);
        assert_eq!(ids, (0..count).collect());
        assert_eq!(threads.len(), count);
        assert!(reports.iter().all(|(_, told, ..)| *told == count));
    }
    assert!(Shard::try_current().is_none(), "the calling thread is not a shard");
}

/// A shard that cannot be set up prevents all others from running: its descriptors run out between the check and the
/// start.
#[test]
fn no_main_runs_unless_every_shard_is_set_up() {
    let test = "no_main_runs_unless_every_shard_is_set_up";
    if child_role().is_none() {
        return in_child(test, "few descriptors");
    }
    limit(Resource::Nofile, 200);
    assert!(starts_with_descriptors(1, 100));
    // Between these two numbers some of the four shards are set up and wait for a start that never comes.
    let [one, four] = [1, 4].map(|shards| (0..100).find(|&left| starts_with_descriptors(shards, left)));
    assert!(one.unwrap() < four.unwrap(), "{one:?}, {four:?}");
}

/// Returns whether `count` shards start with `left` descriptors left; if they do not, asserts that no `main` has run.
fn starts_with_descriptors(count: usize, left: usize) -> bool {
    let shards = builder(count).build().unwrap();
    let mut occupied: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    occupied.truncate(occupied.len().saturating_sub(left));
    let started = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&started);
    let outcome = shards.run(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    });
    let started = started.load(Ordering::Relaxed);
    match outcome {
        Ok(()) => assert_eq!(started, count),
        Err(LaunchError::Start { reason, .. }) => {
            assert!(!reason.is_empty() && !reason.contains('\n'), "{reason}");
            assert_eq!(started, 0, "{count} shards with {left} descriptors: {reason}");
        }
        other => panic!("{count} shards with {left} descriptors: {other:?}"),
    }
    started == count
}

#[test]
fn the_error_of_one_main_comes_back_and_the_others_are_stopped() {
    let _limit = time_limit();
    let shards = builder(4).build().unwrap();
    let outcome = shards.run(|shard| async move {
        if shard.id() == ShardId::new(2) {
            return Err("on purpose".into());
        }
        assert_eq!(shard.stopping(Stop::Graceful).await, Stop::Now);
        Ok(())
    });
    match outcome {
        Err(LaunchError::Main { shard, error }) => {
            assert_eq!((shard, error.to_string()), (ShardId::new(2), "on purpose".to_owned()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_panic_in_main_is_an_error_of_its_shard() {
    let _limit = time_limit();
    for at_once in [true, false] {
        let outcome = builder(2).build().unwrap().run(move |shard| {
            let first = shard.id() == ShardId::FIRST;
            assert!(!(first && at_once), "before the first await");
            async move {
                if first {
                    yield_now().await;
                    panic!("after the first await");
                }
                shard.stopping(Stop::Now).await;
                Ok(())
            }
        });
        let message = outcome.unwrap_err().to_string();
        assert!(
            message.starts_with("shard 0 ended with an error: the main function panicked: ")
                && message.contains("the first await"),
            "{message}"
        );
    }
}

#[test]
fn a_panicking_task_ends_alone_and_its_handle_tells_why() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    shards
        .run(|shard| async move {
            let baseline = shard.statistics().tasks;
            for _ in 0..100 {
                let at_once = spawn_local(async { panic!("at once") });
                let later = spawn_local(async {
                    yield_now().await;
                    panic!("number {}", 7)
                });
                let well = spawn_local(async {
                    yield_now().await;
                    42
                });
                let detached = async { panic!("without a handle") };
                spawn_detached(detached);
                let (at_once, later): (Result<(), _>, Result<(), _>) = (at_once.await, later.await);
                assert_eq!(at_once.unwrap_err().to_string(), "panicked: at once");
                assert_eq!(later.unwrap_err().to_string(), "panicked: number 7");
                assert_eq!(well.await, Ok(42));
            }
            yield_now().await;
            assert_eq!(shard.statistics().tasks, baseline, "panicked tasks are gone");
            Ok(())
        })
        .unwrap();
}

/// Each task of a long chain spawns the next one before it waits.
#[test]
fn a_chain_of_tasks_does_not_use_up_the_stack() {
    fn link(left: usize, done: squall_shards::GateGuard) {
        spawn_detached(async move {
            match left {
                0 => drop(done),
                _ => link(left - 1, done),
            }
        });
    }
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    shards
        .run(|_| async {
            let gate = squall_shards::Gate::new();
            link(100_000, gate.enter()?);
            gate.close().await;
            Ok(())
        })
        .unwrap();
}

/// A value whose destructor panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor, on purpose");
    }
}

/// A future that is ready at once or never, and whose destructor panics.
struct BombFuture {
    ready: bool,
    _bomb: Bomb,
}

impl Future for BombFuture {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.ready { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[test]
fn a_panicking_destructor_is_survived_wherever_it_runs() {
    let _limit = time_limit();
    let shards = builder(1).build().unwrap();
    shards
        .run(|shard| async move {
            let baseline = shard.statistics().tasks;
            spawn_detached(BombFuture {
                ready: true,
                _bomb: Bomb,
            });
            spawn_detached(async { drop(Bomb) });
            drop(spawn_local(async {
                yield_now().await;
                Bomb
            }));
            let held = spawn_local(async {
                let _bomb = Bomb;
                yield_now().await;
            });
            assert_eq!(
                held.await.unwrap_err().to_string(),
                "panicked: a destructor, on purpose"
            );
            while shard.statistics().tasks > baseline {
                yield_now().await;
            }
            // The end of the shard drops two more.
            spawn_detached(BombFuture {
                ready: false,
                _bomb: Bomb,
            });
            spawn_detached(async {
                let _bomb = Bomb;
                std::future::pending::<()>().await;
            });
            yield_now().await;
            Ok(())
        })
        .unwrap();
}

/// A shard's loop cannot continue after a panic of its own, and its listener would collect connections without
/// answering them.
#[test]
fn a_panic_outside_of_tasks_ends_the_process_with_a_sentence() {
    let test = "a_panic_outside_of_tasks_ends_the_process_with_a_sentence";
    if child_role().is_some() {
        let shards = builder(2).build().unwrap();
        let mesh = shards.mesh::<u32>(8);
        let outcome = shards.run(move |shard| {
            let mesh = mesh.clone();
            async move {
                if shard.id() == ShardId::FIRST {
                    mesh.receive(|_: Source, number| panic!("no room for {number}"));
                } else {
                    mesh.sender().try_send(ShardId::FIRST, 7)?;
                }
                shard.stopping(Stop::Now).await;
                Ok(())
            }
        });
        unreachable!("{outcome:?}");
    }
    // Standard error is closed, and the process exits anyway.
    let mut unheard = child(test, "panics").stderr(Stdio::piped()).spawn().unwrap();
    drop(unheard.stderr.take());
    assert_eq!(unheard.wait().unwrap().code(), Some(101));
    let output = child(test, "panics").output().unwrap();
    assert_eq!(output.status.code(), Some(101), "{}", printed(&output));
    let sentence = "squall-shards: shard 0 panicked: no room for 7; the process exits, because this shard's \
                    connections would hang\n";
    assert!(
        String::from_utf8_lossy(&output.stderr).ends_with(sentence),
        "{}",
        printed(&output)
    );
}

/// A task that computes does not see a stop request. Its shard is abandoned, and the error names its work.
#[test]
fn a_shard_that_ignores_a_stop_does_not_keep_the_process_alive() {
    let _limit = time_limit();
    for stop in [Stop::Graceful, Stop::Now] {
        let released = Arc::new(AtomicBool::new(false));
        let shards = builder(2).graceful_stop_max(Duration::ZERO).build().unwrap();
        let stopper = shards.stopper();
        let spins = Arc::clone(&released);
        let ended = shards.run(move |shard| {
            let (spins, stopper) = (Arc::clone(&spins), stopper.clone());
            async move {
                if shard.id() == ShardId::FIRST {
                    shard.name_work(["sums".to_owned()].into()).store(0, Ordering::Relaxed);
                    stopper.stop(stop);
                    while !spins.load(Ordering::Acquire) {
                        thread::yield_now();
                    }
                } else {
                    shard.stopping(Stop::Graceful).await;
                }
                Ok(())
            }
        });
        released.store(true, Ordering::Release);
        let error = ended.unwrap_err();
        assert!(matches!(error, LaunchError::Overdue { .. }), "{error:?}");
        let sentence = error.to_string();
        assert!(
            sentence.starts_with("shard 0 did not stop: still running sums"),
            "{sentence}"
        );
    }
}

#[test]
fn shards_are_pinned_to_the_chosen_cpus() {
    let last = *placement::available().cpus().last().unwrap();
    let shards = Builder::new().cpus([last]).build().unwrap();
    assert_eq!(shards.cpus(), [last]);
    let allowed = Arc::new(OnceLock::new());
    let told = Arc::clone(&allowed);
    let main = move |_| {
        told.get_or_init(|| placement::available().cpus().to_vec());
        async { Ok(()) }
    };
    shards.run(main).unwrap();
    assert_eq!(allowed.get(), Some(&vec![last]));
    for wrong in [vec![], vec![last, last], vec![usize::MAX]] {
        let error = Builder::new().cpus(wrong).build().unwrap_err();
        assert!(matches!(error, LaunchError::Settings(_)), "{error}");
    }
}

#[test]
fn the_first_signal_stops_gracefully_and_the_second_one_now() {
    let test = "the_first_signal_stops_gracefully_and_the_second_one_now";
    if let Some(role) = child_role() {
        let shards = builder(2).stop_on_signals(true).build().unwrap();
        let second_wanted = role == "both";
        let ended = shards.run(move |shard| async move {
            println!("\nready");
            println!("\n{:?}", shard.stopping(Stop::Graceful).await);
            if second_wanted {
                println!("\n{:?}", shard.stopping(Stop::Now).await);
            }
            Ok(())
        });
        println!("\nended {}", ended.is_ok());
        if !second_wanted {
            println!("\nstill here");
            loop {
                thread::park();
            }
        }
        return;
    }
    for (role, signals) in [
        ("one", &[(Signal::TERM, "Graceful")][..]),
        ("both", &[(Signal::INT, "Graceful"), (Signal::TERM, "Now")]),
    ] {
        let mut process = child(test, role).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut expect = |line: &str| {
            let found = lines.by_ref().map(Result::unwrap).find(|found| found.ends_with(line));
            assert!(found.is_some(), "{role}: the child ended without printing {line:?}");
        };
        let process_id = Pid::from_child(&process);
        expect("ready");
        expect("ready");
        for (signal, answer) in signals {
            kill_process(process_id, *signal).unwrap();
            expect(answer);
            expect(answer);
        }
        expect("ended true");
        if role == "one" {
            // The shards have ended, the process has not: a signal has its default effect again.
            expect("still here");
            kill_process(process_id, Signal::TERM).unwrap();
            assert_eq!(process.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
        } else {
            assert!(process.wait().unwrap().success());
        }
    }
}

/// A process started while shards serve inherits none of their rings, listeners and connections.
#[test]
fn a_process_started_meanwhile_inherits_no_descriptor() {
    let test = "a_process_started_meanwhile_inherits_no_descriptor";
    if child_role().is_none() {
        return in_child(test, "starts a process");
    }
    let inherited = || {
        let listed = std::process::Command::new("ls").arg("/proc/self/fd").output().unwrap();
        assert!(listed.status.success(), "{}", printed(&listed));
        String::from_utf8(listed.stdout).unwrap()
    };
    let before = inherited();
    let listeners = Listeners::bind_tcp((std::net::Ipv4Addr::LOCALHOST, 0).into(), 2).unwrap();
    let address = listeners.tcp_address().unwrap();
    let shards = builder(2).stop_on_signals(true).build().unwrap();
    let running = RunningShards::start(shards, move |_| {
        let listener = listeners.open().unwrap();
        async move {
            common::serve(listener, common::echo).await;
            Ok(())
        }
    });
    let mut clients: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    for client in &mut clients {
        client.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
    }
    assert_eq!(inherited(), before);
    running.stop().unwrap();
}

fn limit(resource: Resource, amount: u64) {
    let (current, maximum) = (Some(amount), Some(amount));
    setrlimit(resource, Rlimit { current, maximum }).unwrap();
}

/// Makes a system call fail with EPERM for this thread and those it starts.
fn forbid(system_call: i64) {
    let rules = BTreeMap::from([(system_call, Vec::new())]);
    let action = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, architecture).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    apply_filter(&program).unwrap();
}

#[test]
fn a_missing_requirement_is_one_sentence_and_an_exit_status() {
    let test = "a_missing_requirement_is_one_sentence_and_an_exit_status";
    let Some(role) = child_role() else {
        let forbidden = &["a seccomp filter forbids io_uring", "--security-opt"][..];
        // If the whole suite runs under such a filter, that is the first missing requirement, whatever the limits.
        let memlock = match builder(1).driver(Driver::IoUring).build() {
            Err(LaunchError::Preflight(PreflightError::SeccompForbids)) => forbidden,
            _ => &["the limit on locked memory is 64 KiB", "ulimit -l"],
        };
        for (role, parts) in [
            ("seccomp", forbidden),
            ("nofile", &["only 24 files may be open", "ulimit -n"]),
            ("memlock", memlock),
        ] {
            let output = child(test, role).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{role}: {}", printed(&output));
            let sentence = String::from_utf8_lossy(&output.stderr);
            assert_eq!(sentence.trim_end().lines().count(), 1, "{role}: {}", printed(&output));
            assert!(parts.iter().all(|part| sentence.contains(part)), "{role}: {sentence}");
        }
        return;
    };
    match role.as_str() {
        "seccomp" => forbid(libc::SYS_io_uring_setup),
        "nofile" => limit(Resource::Nofile, 24),
        "memlock" => {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::IPC_LOCK);
            set_capabilities(None, sets).unwrap();
            limit(Resource::Memlock, 64 * 1024);
        }
        other => panic!("unknown role: {other}"),
    }
    // As a server's own main function would.
    let shards = builder(1).driver(Driver::IoUring).build();
    if let Err(error) = shards.and_then(|shards| shards.run(|_| async { Ok(()) })) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

#[test]
fn the_auto_driver_falls_back_to_epoll_where_io_uring_is_forbidden_and_tells_why() {
    let test = "the_auto_driver_falls_back_to_epoll_where_io_uring_is_forbidden_and_tells_why";
    if child_role().is_none() {
        return in_child(test, "seccomp");
    }
    let whole = builder(2).driver(Driver::Epoll).build().unwrap();
    assert_eq!(whole.driver(), Driver::Epoll);
    assert_eq!(whole.io_uring_refusal(), None, "epoll was requested");
    forbid(libc::SYS_io_uring_setup);
    let shards = builder(2).driver(Driver::Auto).build().unwrap();
    assert_eq!(shards.driver(), Driver::Epoll);
    let refusal = shards.io_uring_refusal().unwrap().to_string();
    assert!(refusal.contains("a seccomp filter forbids io_uring"), "{refusal}");
    let running = RunningShards::idle(shards);
    assert_eq!(running.statistics(1).driver, Driver::Epoll);
    running.stop().unwrap();
}

#[test]
fn a_call_off_a_shard_panics_at_its_place_with_the_remedy() {
    // A hook is of the whole process.
    if child_role().is_none() {
        return in_child("a_call_off_a_shard_panics_at_its_place_with_the_remedy", "off a shard");
    }
    let (sender, panics) = channel();
    std::panic::set_hook(Box::new(move |panic| {
        sender.send(panic.to_string()).unwrap_or_default()
    }));
    thread::spawn(|| spawn_detached(async {})).join().unwrap_err();
    let panic = panics.recv().unwrap();
    for part in ["launch.rs:", "is not a shard's", "TestClient", "BoundServer::remote"] {
        assert!(panic.contains(part), "{panic}");
    }
}
