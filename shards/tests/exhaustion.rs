//! Exhaustion of descriptors, receive buffers and the completion queue, and interrupted system calls. No connection
//! stalls, nothing is lost or mixed up, and everything recovers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests and their clients, on threads and in processes outside the shards"
)]

mod common;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::pin::pin;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};
use squall_shards::{Builder, Driver, Listener, Listeners, Received, Shard, Stream, sleep, spawn_detached};

use common::{
    PATIENCE, RunningShards, builder, child, child_role, cpu_time, echo, eventually, eventually_here, in_child,
    or_stopped, pattern, poll_once, skips_without_ring, time_limit,
};

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Starts one shard that passes each connection to `handle`.
fn server<F>(builder: Builder, handle: fn(Stream) -> F) -> (RunningShards, SocketAddr)
where
    F: Future<Output = ()> + 'static,
{
    let listeners = Listeners::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
    let address = listeners.tcp_address().unwrap();
    (
        RunningShards::serving(builder.build().unwrap(), listeners, handle),
        address,
    )
}

/// Sends a byte and waits for it to come back.
fn ping(client: &mut TcpStream) {
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
}

const OVERLOAD_RESPONSE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\r\n";
/// How many files the server with few descriptors may open: enough for some forty connections.
const FILES: u64 = 64;
const CLIENTS: usize = 200;

/// What that server reports about itself.
#[derive(Debug)]
struct Fares {
    pauses: u64,
    shed: u64,
}

/// A server in a child process, which says its address and serves until its standard input ends.
struct ChildServer {
    process: Child,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl ChildServer {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut lines = output.by_ref().lines().map(Result::unwrap);
        let address = lines
            .find_map(|line| line.strip_prefix("serving ")?.parse().ok())
            .unwrap();
        Self {
            process,
            output,
            address,
        }
    }

    /// Ends the server and checks that it ended without an error.
    fn end(mut self) {
        drop(self.process.stdin.take());
        let mut printed = String::new();
        self.output.read_to_string(&mut printed).unwrap();
        assert!(self.process.wait().unwrap().success(), "{printed}");
    }
}

/// A server in a process that may open few files, and a connection made early to ask for its report.
struct PoorServer {
    server: ChildServer,
    control: BufReader<TcpStream>,
}

impl PoorServer {
    fn start(test: &str, role: &str) -> Self {
        let server = ChildServer::start(child(test, role));
        let control = BufReader::new(connect(server.address));
        let mut server = Self { server, control };
        assert_eq!(server.fares().pauses, 0);
        server
    }

    fn fares(&mut self) -> Fares {
        self.control.get_mut().write_all(b"?").unwrap();
        let mut line = String::new();
        self.control.read_line(&mut line).unwrap();
        let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap()).collect();
        Fares {
            pauses: numbers[0],
            shed: numbers[1],
        }
    }

    /// The CPU time the server uses while clients only wait in its backlog.
    fn cpu_time_of_a_second(&self) -> Duration {
        let before = cpu_time(self.server.process.id());
        // A use of CPU time is measured over a time.
        thread::sleep(Duration::from_secs(1));
        cpu_time(self.server.process.id()) - before
    }

    /// Ends the server and checks that it ended without an error.
    fn end(self) {
        drop(self.control);
        self.server.end();
    }

    /// The server's side: echoes, and answers `?` with its report, until its standard input ends.
    fn serve(sheds: bool) {
        let (current, maximum) = (Some(FILES), Some(FILES));
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
        let listeners = Listeners::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
        println!("\nserving {}", listeners.tcp_address().unwrap());
        let running = RunningShards::start(builder(1).build().unwrap(), move |shard| {
            let listeners = listeners.clone();
            async move {
                let listener = Rc::new(listeners.open().unwrap());
                if sheds {
                    listener.shed_with(OVERLOAD_RESPONSE);
                }
                while let Some(stream) = or_stopped(&shard, listener.accept()).await {
                    spawn_detached(Self::answer(stream?, Rc::clone(&listener)));
                }
                Ok(())
            }
        });
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        running.stop().unwrap();
    }

    async fn answer(stream: Stream, listener: Rc<Listener>) {
        while let Ok(Some(received)) = stream.receive().await {
            let mut answer = received.to_vec();
            drop(received);
            if answer == b"?" {
                let (pauses, shed) = (Shard::current().statistics().accept_pauses, listener.shed_count());
                answer = format!("{pauses} {shed}\n").into_bytes();
            }
            if stream.send(answer).await.is_err() {
                return;
            }
        }
    }
}

/// Far more than an idle server needs, far less than a spinning one uses: a whole second.
const CPU_TIME_OF_A_WAIT: Duration = Duration::from_millis(250);

#[test]
fn without_descriptors_clients_get_503_and_connections_continue() {
    let test = "without_descriptors_clients_get_503_and_connections_continue";
    if child_role().is_some() {
        return PoorServer::serve(true);
    }
    let _limit = time_limit();
    let mut server = PoorServer::start(test, "sheds");
    let clients: Vec<_> = (0..CLIENTS).map(|_| connect(server.server.address)).collect();
    for mut client in &clients {
        // A client turned away before its first byte must not fail here.
        let _gone = client.write(b"x");
    }
    let mut served = Vec::new();
    for mut client in clients {
        let mut answer = Vec::new();
        let mut first = [0];
        client.read_exact(&mut first).unwrap();
        if first == *b"x" {
            served.push(client);
            continue;
        }
        // After the overload response the connection ends, with a reset if the client's bytes were not read.
        let _reset = client.read_to_end(&mut answer);
        assert_eq!([&first, &answer[..]].concat(), OVERLOAD_RESPONSE);
    }
    let fares = server.fares();
    assert!((20..64).contains(&served.len()), "{} were served", served.len());
    assert_eq!(fares.shed, (CLIENTS - served.len()) as u64);
    assert!(fares.pauses > 0);

    served.iter_mut().for_each(ping);
    let more: Vec<_> = (0..CLIENTS).map(|_| connect(server.server.address)).collect();
    let cpu = server.cpu_time_of_a_second();
    assert!(cpu < CPU_TIME_OF_A_WAIT, "{cpu:?}");
    served.iter_mut().for_each(ping);

    // Every client leaves, and there is room again.
    drop((served, more));
    let serves = || {
        let mut client = connect(server.server.address);
        let answered = client.write_all(b"x").and_then(|()| client.read_exact(&mut [0; 1]));
        answered.is_ok()
    };
    eventually(serves, || "a client is served".to_owned());
    let mut clients: Vec<_> = (0..20).map(|_| connect(server.server.address)).collect();
    clients.iter_mut().for_each(ping);
    drop(clients);
    server.end();
}

/// Without an overload response clients wait in the backlog, and each connection that ends makes room for one at once.
#[test]
fn without_descriptors_clients_wait_for_those_that_leave() {
    let test = "without_descriptors_clients_wait_for_those_that_leave";
    if child_role().is_some() {
        return PoorServer::serve(false);
    }
    let _limit = time_limit();
    let mut server = PoorServer::start(test, "waits");
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| connect(server.server.address)).collect();
    for client in &mut clients {
        client.write_all(b"x").unwrap();
    }
    let before = server.fares();
    assert!(before.pauses > 0);
    let cpu = server.cpu_time_of_a_second();
    assert!(cpu < CPU_TIME_OF_A_WAIT, "{cpu:?}");
    // The pauses are long by now; if freed descriptors did not end them early, the rest would take minutes.
    let start = Instant::now();
    for mut client in clients {
        client.read_exact(&mut [0]).unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(server.fares().shed, 0);
    server.end();
}

/// Eight buffers of 256 bytes for 200 clients that all send at once: a receive without a buffer is retried.
#[test]
fn with_few_receive_buffers_every_client_is_served() {
    if skips_without_ring() {
        return;
    }
    const THREADS: usize = 4;
    let _limit = time_limit();
    let (running, address) = server(builder(1).receive_buffers(8, 256), echo);
    let clients: Vec<_> = (0..THREADS)
        .map(|_| {
            thread::spawn(move || {
                let mut clients: Vec<_> = (0..CLIENTS / THREADS).map(|_| connect(address)).collect();
                let burst = pattern(5_000);
                for _ in 0..4 {
                    for client in &mut clients {
                        client.write_all(&burst).unwrap();
                    }
                    for client in &mut clients {
                        let mut echoed = vec![0; burst.len()];
                        client.read_exact(&mut echoed).unwrap();
                        assert!(echoed == burst);
                    }
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|clients| clients.join().unwrap());
    let after = running.eventually(0, "everything is given back", |now| {
        now.streams == 0 && now.receive_buffers_available == 8
    });
    assert!(after.receives_parked > 0, "there were too few buffers: {after:?}");
    running.stop().unwrap();
}

/// The address space the next test's server gets beyond its use so far, in buffers of 1 MiB.
const BUFFERS_MORE: u64 = 16;
const HOLDERS: usize = 60;

/// Clients whose server holds what each has sent, in a buffer of 1 MiB, until they leave. Without memory for another
/// buffer only that client's connection fails.
#[test]
fn without_memory_for_receive_buffers_the_shard_goes_on() {
    let test = "without_memory_for_receive_buffers_the_shard_goes_on";
    if child_role().is_some() {
        return serve_holders();
    }
    let _limit = time_limit();
    let mut command = child(test, "holds");
    // One heap, whose parts are too small for a buffer of 1 MiB.
    command
        .env("MALLOC_ARENA_MAX", "1")
        .env("MALLOC_MMAP_THRESHOLD_", "131072");
    let server = ChildServer::start(command);
    let mut clients: Vec<_> = (0..HOLDERS).map(|_| connect(server.address)).collect();
    for client in &mut clients {
        client.write_all(b"x").unwrap();
    }
    let mut served = 0;
    for mut client in clients {
        served += usize::from(client.read_exact(&mut [0]).is_ok());
    }
    ping(&mut connect(server.address));
    server.end();
    assert!((1..HOLDERS).contains(&served), "{served} of {HOLDERS} were served");
}

fn serve_holders() {
    async fn hold(stream: Stream) {
        let Ok(Some(held)) = stream.receive().await else { return };
        if stream.send(held.to_vec()).await.is_ok() {
            while let Ok(Some(_)) = stream.receive().await {}
        }
        drop(held);
    }
    let (running, address) = server(builder(1).receive_buffers(8, 1 << 20), hold);
    // The first connection makes the allocations that happen only once.
    ping(&mut connect(address));
    // Gaps in the heap that no buffer fits into, because small allocations must not run out here.
    let mut heap: Vec<_> = (0..400).map(|number| (number, vec![1_u8; 60_000])).collect();
    heap.retain(|(number, _)| number % 2 == 0);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kibibytes: u64 = size.split_whitespace().next().unwrap().parse().unwrap();
    let current = Some((kibibytes << 10) + (BUFFERS_MORE << 20));
    setrlimit(
        Resource::As,
        Rlimit {
            current,
            maximum: current,
        },
    )
    .unwrap();
    println!("\nserving {address}");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    running.stop().unwrap();
    drop(heap);
}

/// A task that keeps its received buffers does not stall other connections: those receive into their own memory.
#[test]
fn a_hoarder_of_receive_buffers_does_not_stall_others() {
    if skips_without_ring() {
        return;
    }
    thread_local! {
        static HOARD: RefCell<Vec<Received>> = const { RefCell::new(Vec::new()) };
    }
    async fn hoard_or_echo(stream: Stream) {
        let Ok(Some(first)) = stream.receive().await else {
            return;
        };
        if first.starts_with(b"hoard") {
            HOARD.with_borrow_mut(|hoard| hoard.push(first));
            while let Ok(Some(received)) = stream.receive().await {
                HOARD.with_borrow_mut(|hoard| hoard.push(received));
            }
            return;
        }
        let bytes = first.to_vec();
        drop(first);
        if stream.send(bytes).await.is_ok() {
            echo(stream).await;
        }
    }
    let _limit = time_limit();
    let (running, address) = server(builder(1).receive_buffers(8, 256), hoard_or_echo);
    let mut hoarder = connect(address);
    hoarder.write_all(&b"hoard".repeat(1_000)).unwrap();
    running.eventually(0, "every buffer is hoarded", |now| now.receive_buffers_available == 0);
    let mut clients: Vec<_> = (0..50).map(|_| connect(address)).collect();
    for number in 0..4 {
        for client in &mut clients {
            client.write_all(&pattern(1_000 + number)).unwrap();
        }
        for client in &mut clients {
            let mut echoed = vec![0; 1_000 + number];
            client.read_exact(&mut echoed).unwrap();
            assert!(echoed == pattern(1_000 + number));
        }
    }
    assert!(running.statistics(0).receives_plain >= 50);
    assert_eq!(running.statistics(0).receive_buffers_available, 0);
    drop((hoarder, clients));
    running.eventually(0, "the connections are gone", |now| now.streams == 0);
    let hoarded = running.on(0, || async {
        HOARD.take().iter().map(|received| received.len()).sum::<usize>()
    });
    assert_eq!(hoarded, 5_000);
    running.eventually(0, "the buffers are back", |now| now.receive_buffers_available == 8);
    running.stop().unwrap();
}

/// A task does not read for a while. The kernel receives into shared buffers and, once those run out, into the
/// connection's own. All bytes come out in order.
#[test]
fn bytes_stay_in_order_when_the_buffers_run_out_in_between() {
    if skips_without_ring() {
        return;
    }
    async fn read_late(stream: Stream) {
        assert!(poll_once(&mut pin!(stream.receive())).await.is_none());
        let plain = || Shard::current().statistics().receives_plain;
        let before = plain();
        eventually_here("a receive into memory of its own", || plain() > before).await;
        let mut received = Vec::new();
        while let Ok(Some(bytes)) = stream.receive().await {
            received.extend_from_slice(&bytes);
            drop(bytes);
            // The kernel may use the buffer just returned. If it is slower, other bytes are in it, but in the same order.
            sleep(Duration::from_micros(200)).await;
        }
        let right = received == pattern(received.len());
        stream
            .send(format!("{} {right}", received.len()).into_bytes())
            .await
            .unwrap();
        stream.flush().await.unwrap();
    }
    let _limit = time_limit();
    let (running, address) = server(builder(1).receive_buffers(8, 64), read_late);
    let mut client = connect(address);
    client.write_all(&pattern(20_000)).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "20000 true");
    running.stop().unwrap();
}

/// A connection whose task does not read holds a bounded number of buffers and loses nothing.
#[test]
fn a_connection_that_is_not_read_holds_a_bounded_number_of_buffers() {
    if skips_without_ring() {
        return;
    }
    const QUOTA: u16 = 8;
    const BYTES: usize = 1 << 20;
    const BUFFERS: u16 = 256;
    /// What the kernel may fill before the cancellation reaches it: all published buffers, a quarter.
    const BURST: usize = BUFFERS as usize / 4;
    thread_local! {
        static READ: Cell<bool> = const { Cell::new(false) };
    }
    async fn read_when_told(stream: Stream) {
        assert!(poll_once(&mut pin!(stream.receive())).await.is_none());
        eventually_here("the word to read", || READ.get()).await;
        let mut received = Vec::new();
        while let Ok(Some(bytes)) = stream.receive().await {
            received.extend_from_slice(&bytes);
        }
        let right = received == pattern(BYTES);
        stream.send(format!("{right}").into_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
    let _limit = time_limit();
    let settings = builder(1)
        .receive_buffers(BUFFERS, 512)
        .receive_buffers_per_stream_max(QUOTA);
    let (running, address) = server(settings, read_when_told);
    let client = connect(address);
    let writer = thread::spawn({
        let mut client = client.try_clone().unwrap();
        move || {
            client.write_all(&pattern(BYTES)).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
        }
    });
    let held = |now: &squall_shards::Statistics| usize::from(BUFFERS) - now.receive_buffers_available;
    let over = running.eventually(0, "the receive is cancelled", |now| now.receives_over_quota > 0);
    assert!(held(&over) >= usize::from(QUOTA), "{over:?}");
    for _ in 0..50 {
        let now = running.statistics(0);
        assert!(held(&now) <= usize::from(QUOTA) + BURST, "{now:?}");
        // That a bound holds is seen only over a time.
        thread::sleep(Duration::from_millis(1));
    }
    running.on(0, || async { READ.set(true) });
    let mut answer = String::new();
    (&client).read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "true");
    writer.join().unwrap();
    drop(client);
    running.eventually(0, "everything is given back", |now| held(now) == 0 && now.streams == 0);
    running.stop().unwrap();
}

/// Far more completions at once than the queue holds: the kernel keeps the rest, and the driver asks for them.
#[test]
fn a_completion_queue_that_overflows_loses_nothing() {
    if skips_without_ring() {
        return;
    }
    let _limit = time_limit();
    let (running, address) = server(builder(1).submission_entries(8), echo);
    let mut clients: Vec<_> = (0..10).map(|_| connect(address)).collect();
    clients.iter_mut().for_each(ping);
    for _ in 0..5 {
        let (blocked, is_blocked) = channel();
        let (go_on, went_on) = channel::<()>();
        let remote = running.remote.clone();
        let blocking = thread::spawn(move || {
            common::block_on(remote.invoke_on(squall_shards::ShardId::FIRST, move || async move {
                blocked.send(()).unwrap();
                went_on.recv().unwrap();
            }))
            .unwrap();
        });
        is_blocked.recv().unwrap();
        // The shard is blocked while all this arrives.
        clients.extend((0..300).map(|_| connect(address)));
        for client in &mut clients {
            client.write_all(&pattern(3_000)).unwrap();
        }
        go_on.send(()).unwrap();
        blocking.join().unwrap();
        for client in &mut clients {
            let mut echoed = vec![0; 3_000];
            client.read_exact(&mut echoed).unwrap();
            assert!(echoed == pattern(3_000));
        }
        clients.truncate(10);
    }
    let after = running.eventually(0, "the others are gone", |now| now.streams == 10);
    assert_eq!(after.accepted, 10 + 5 * 300);
    assert!(after.completion_overflows > 0, "{after:?}");
    running.stop().unwrap();
}

/// A signal per millisecond to the shard's thread interrupts its system calls and nothing else.
#[test]
fn a_storm_of_signals_disturbs_no_connection() {
    let test = "a_storm_of_signals_disturbs_no_connection";
    if child_role().is_none() {
        return in_child(test, "is signalled");
    }
    let _limit = time_limit();
    // A handler with almost no effect; without one, the signal would end the process.
    let signalled = Arc::new(AtomicUsize::new(0));
    signal_hook::flag::register_usize(signal_hook::consts::SIGUSR1, Arc::clone(&signalled), 1).unwrap();
    let (running, address) = server(builder(1), echo);
    // The kernel prefers the sending thread for a process's signal, if that thread accepts signals.
    let thread = running.on(0, || async { rustix::thread::gettid().as_raw_nonzero().get() });
    let thread = Pid::from_raw(thread).unwrap();
    let calm = Arc::new(AtomicBool::new(false));
    let storm = thread::spawn({
        let calm = Arc::clone(&calm);
        move || {
            let mut signals = 0;
            while !calm.load(Ordering::Relaxed) {
                kill_process(thread, Signal::USR1).unwrap();
                signals += 1;
                // The pace of the storm.
                thread::sleep(Duration::from_millis(1));
            }
            signals
        }
    });
    let mut clients: Vec<_> = (0..20).map(|_| connect(address)).collect();
    for _ in 0..50 {
        for client in &mut clients {
            client.write_all(&pattern(3_000)).unwrap();
        }
        for client in &mut clients {
            let mut echoed = vec![0; 3_000];
            client.read_exact(&mut echoed).unwrap();
            assert!(echoed == pattern(3_000));
        }
    }
    // Each signal wakes the idle shard, which goes back to sleep; its sleeps still end on time.
    let before = running.statistics(0);
    let slept = running.on(0, || async {
        let start = Instant::now();
        // The sleep under test.
        sleep(Duration::from_millis(300)).await;
        start.elapsed()
    });
    assert!(slept >= Duration::from_millis(300), "{slept:?}");
    let interrupted = running.statistics(0).ring_enters - before.ring_enters;
    calm.store(true, Ordering::Relaxed);
    let signals: u64 = storm.join().unwrap();
    // Under epoll tokio handles the interruption and continues to wait.
    let is_ring = before.driver == Driver::IoUring;
    assert!(
        signals >= 100 && (interrupted >= 20 || !is_ring),
        "{interrupted} of {signals}"
    );
    assert_eq!(signalled.load(Ordering::Relaxed), 1, "the handler was there");
    drop(clients);
    running.eventually(0, "all are gone", |now| now.streams == 0);
    running.stop().unwrap();
}
