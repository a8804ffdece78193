//! A peer's end is known when the kernel knows it: behind unread bytes, while a receive is paused, and without any
//! receive.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests and their clients, which never block"
)]

mod common;

use std::future::{Future, poll_fn};
use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use socket2::SockRef;
use squall_shards::{
    BoxError, Driver, Listeners, PeerEnd, Shard, Stream, clock, spawn_detached, timeout_at, yield_now,
};

use common::{RunningShards, SocketPath, builder, eventually, eventually_here, pattern, poll_once, serve, time_limit};

/// More than one connection may hold in received buffers (16 of 4,096 bytes), and with the rest less than a socket
/// buffers.
const PAUSING_BYTES: usize = 100_000;

/// The other end of a stream.
enum Client {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Client {
    fn write(&mut self, bytes: &[u8]) {
        match self {
            Self::Tcp(socket) => socket.write_all(bytes).unwrap(),
            Self::Unix(socket) => socket.write_all(bytes).unwrap(),
        }
    }

    fn finish(&self) {
        match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write).unwrap(),
            Self::Unix(socket) => socket.shutdown(Shutdown::Write).unwrap(),
        }
    }

    /// Resets a TCP connection, or closes a Unix socket, which has the same effect.
    fn go(self) {
        if let Self::Tcp(socket) = &self {
            SockRef::from(socket).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

fn tcp() -> (Stream, Client) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (Stream::from_socket(OwnedFd::from(server)), Client::Tcp(client))
}

fn unix() -> (Stream, Client) {
    let (server, client) = UnixStream::pair().unwrap();
    (Stream::from_socket(OwnedFd::from(server)), Client::Unix(client))
}

/// Runs a scenario on a shard, over each kind of socket.
fn over_both<F>(scenario: fn(Stream, Client) -> F)
where
    F: Future<Output = Result<(), BoxError>> + 'static,
{
    let _limit = time_limit();
    for connect in [tcp, unix] {
        let running = RunningShards::start(builder(1).build().unwrap(), move |_| async move {
            let (stream, client) = connect();
            scenario(stream, client).await?;
            eventually_here("closed", || Shard::current().statistics().streams == 0).await;
            Ok(())
        });
        running.join().unwrap();
    }
}

async fn end_of(stream: &Stream) -> PeerEnd {
    poll_fn(|cx| stream.poll_peer_end(cx)).await
}

/// Returns what is reported now, after some turns in which more could have arrived.
async fn reported_now(stream: &Stream) -> Option<PeerEnd> {
    let mut told = poll_once(&mut pin!(end_of(stream))).await;
    for _ in 0..20 {
        yield_now().await;
        told = told.or(poll_once(&mut pin!(end_of(stream))).await);
    }
    told
}

/// Receives everything, and returns whether it ended without an error.
async fn receive_all(stream: &Stream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        match stream.receive().await {
            Ok(Some(received)) => bytes.extend_from_slice(&received),
            Ok(None) => return (bytes, true),
            Err(_) => return (bytes, false),
        }
    }
}

/// Lets a receive pause, with as much before it as one connection may hold.
async fn pause(stream: &Stream, client: &mut Client) -> usize {
    let before = Shard::current().statistics().receives_over_quota;
    let first = poll_once(&mut pin!(stream.receive())).await;
    assert!(first.is_none(), "nothing has arrived yet");
    client.write(&pattern(PAUSING_BYTES));
    let paused = || {
        let now = Shard::current().statistics();
        now.receives_over_quota > before || now.driver == Driver::Epoll
    };
    eventually_here("paused", paused).await;
    PAUSING_BYTES
}

#[test]
fn a_peer_that_finishes_is_reported_once_and_may_still_read() {
    over_both(|stream, client| async move {
        assert_eq!(reported_now(&stream).await, None);
        client.finish();
        assert_eq!(end_of(&stream).await, PeerEnd::Finished);
        assert_eq!(reported_now(&stream).await, None);
        assert!(stream.receive().await?.is_none());
        stream.send(b"still read".to_vec()).await?;
        stream.flush().await?;
        assert_eq!(reported_now(&stream).await, None);
        Ok(())
    });
}

#[test]
fn a_peer_that_finished_before_the_first_poll_is_reported() {
    over_both(|stream, client| async move {
        client.finish();
        assert!(stream.receive().await?.is_none());
        assert_eq!(end_of(&stream).await, PeerEnd::Finished);
        assert_eq!(reported_now(&stream).await, None);
        Ok(())
    });
}

#[test]
fn a_peer_that_finishes_behind_unread_bytes_is_reported_and_every_byte_arrives() {
    over_both(|stream, mut client| async move {
        client.write(&pattern(3000));
        assert_eq!(reported_now(&stream).await, None);
        client.finish();
        assert_eq!(end_of(&stream).await, PeerEnd::Finished);
        assert!(receive_all(&stream).await == (pattern(3000), true));
        Ok(())
    });
}

#[test]
fn a_peer_that_finishes_while_the_receive_is_paused_is_reported_and_every_byte_arrives() {
    over_both(|stream, mut client| async move {
        let sent = pause(&stream, &mut client).await;
        assert_eq!(reported_now(&stream).await, None);
        client.finish();
        assert_eq!(end_of(&stream).await, PeerEnd::Finished);
        assert_eq!(reported_now(&stream).await, None);
        assert!(receive_all(&stream).await == (pattern(sent), true));
        Ok(())
    });
}

#[test]
fn a_peer_that_goes_is_reported_every_time() {
    over_both(|stream, client| async move {
        assert_eq!(reported_now(&stream).await, None);
        client.go();
        for _ in 0..3 {
            assert_eq!(end_of(&stream).await, PeerEnd::Gone);
        }
        assert!(receive_all(&stream).await.0.is_empty());
        assert_eq!(end_of(&stream).await, PeerEnd::Gone);
        Ok(())
    });
}

#[test]
fn a_peer_that_went_is_reported_after_the_receive_has_seen_it() {
    over_both(|stream, client| async move {
        client.go();
        assert!(receive_all(&stream).await.0.is_empty());
        assert_eq!(end_of(&stream).await, PeerEnd::Gone);
        assert_eq!(end_of(&stream).await, PeerEnd::Gone);
        Ok(())
    });
}

#[test]
fn a_peer_that_goes_behind_unread_bytes_is_reported_and_every_byte_arrives() {
    over_both(|stream, mut client| async move {
        let is_tcp = matches!(client, Client::Tcp(_));
        client.write(&pattern(3000));
        assert_eq!(reported_now(&stream).await, None);
        client.go();
        assert_eq!(end_of(&stream).await, PeerEnd::Gone);
        assert!(receive_all(&stream).await == (pattern(3000), !is_tcp));
        assert_eq!(end_of(&stream).await, PeerEnd::Gone);
        Ok(())
    });
}

#[test]
fn a_peer_that_goes_while_the_receive_is_paused_is_reported_and_every_byte_arrives() {
    over_both(|stream, mut client| async move {
        let is_tcp = matches!(client, Client::Tcp(_));
        let sent = pause(&stream, &mut client).await;
        assert_eq!(reported_now(&stream).await, None);
        client.go();
        assert_eq!(end_of(&stream).await, PeerEnd::Gone);
        assert!(receive_all(&stream).await == (pattern(sent), !is_tcp));
        Ok(())
    });
}

#[test]
fn a_peer_that_finishes_first_and_goes_then_is_reported_twice() {
    over_both(|stream, mut client| async move {
        client.write(&pattern(3000));
        client.finish();
        assert_eq!(end_of(&stream).await, PeerEnd::Finished);
        assert_eq!(reported_now(&stream).await, None);
        let is_tcp = matches!(client, Client::Tcp(_));
        drop(client);
        if is_tcp {
            // A client that closes its socket after its last byte sends no further notice; it answers later bytes with
            // a reset.
            assert_eq!(reported_now(&stream).await, None);
            stream.send(b"too late".to_vec()).await?;
        }
        assert_eq!(end_of(&stream).await, PeerEnd::Gone);
        assert_eq!(end_of(&stream).await, PeerEnd::Gone);
        assert_eq!(receive_all(&stream).await.0, pattern(3000));
        Ok(())
    });
}

#[test]
fn a_stream_that_has_closed_its_own_half_does_not_take_an_end_for_a_reset() {
    over_both(|stream, mut client| async move {
        client.write(&pattern(3000));
        assert_eq!(reported_now(&stream).await, None);
        stream.shutdown_write()?;
        assert_eq!(reported_now(&stream).await, None);
        client.finish();
        assert_eq!(end_of(&stream).await, PeerEnd::Finished);
        assert_eq!(reported_now(&stream).await, None);
        assert!(receive_all(&stream).await == (pattern(3000), true));
        assert_eq!(reported_now(&stream).await, None);
        Ok(())
    });
    // Closed before the end was watched.
    over_both(|stream, client| async move {
        stream.shutdown_write()?;
        client.finish();
        assert_eq!(end_of(&stream).await, PeerEnd::Finished);
        assert_eq!(reported_now(&stream).await, None);
        Ok(())
    });
}

#[test]
fn a_reset_is_reported_after_the_own_half_is_closed() {
    over_both(|stream, mut client| async move {
        if matches!(client, Client::Unix(_)) {
            return Ok(());
        }
        client.write(&pattern(3000));
        assert_eq!(reported_now(&stream).await, None);
        stream.shutdown_write()?;
        client.go();
        assert_eq!(end_of(&stream).await, PeerEnd::Gone);
        assert!(receive_all(&stream).await == (pattern(3000), false));
        Ok(())
    });
}

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Count {
    fn now(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

#[test]
fn bytes_wake_the_receiver_and_an_end_wakes_the_task_waiting_for_it() {
    over_both(|stream, mut client| async move {
        let (receiver, watcher) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (receiver_waker, watcher_waker) = (Waker::from(Arc::clone(&receiver)), Waker::from(Arc::clone(&watcher)));
        let mut receiving = Context::from_waker(&receiver_waker);
        let mut watching = Context::from_waker(&watcher_waker);
        for round in 1..=5 {
            assert!(stream.poll_receive(&mut receiving).is_pending());
            assert!(stream.poll_peer_end(&mut watching).is_pending());
            client.write(b"bytes");
            eventually_here("the receiver is woken", || receiver.now() == round).await;
            while let Poll::Ready(received) = stream.poll_receive(&mut receiving) {
                assert_eq!(&*received?.unwrap(), b"bytes");
            }
        }
        assert_eq!(reported_now(&stream).await, None);
        assert!(stream.poll_peer_end(&mut watching).is_pending());
        assert_eq!(watcher.now(), 0, "bytes are not an end");
        client.finish();
        eventually_here("the watcher is woken", || watcher.now() == 1).await;
        assert_eq!(stream.poll_peer_end(&mut watching), Poll::Ready(PeerEnd::Finished));
        eventually_here("the receiver is woken, too", || receiver.now() == 6).await;
        assert!(stream.poll_peer_end(&mut watching).is_pending());
        assert!(matches!(stream.poll_receive(&mut receiving), Poll::Ready(Ok(None))));
        // Only the last waker is kept.
        let last = Arc::new(Count::default());
        let last_waker = Waker::from(Arc::clone(&last));
        assert!(stream.poll_peer_end(&mut Context::from_waker(&last_waker)).is_pending());
        match client {
            Client::Tcp(_) => stream.send(b"to be reset".to_vec()).await?,
            Client::Unix(_) => {}
        }
        drop(client);
        eventually_here("the last one is woken", || {
            if last.now() == 0 && !stream.is_sending() {
                stream.start_send(b"more".to_vec()).unwrap_or_default();
            }
            last.now() == 1
        })
        .await;
        assert_eq!(watcher.now(), 1);
        Ok(())
    });
}

#[test]
fn a_reported_end_does_not_keep_the_shard_awake() {
    let _limit = time_limit();
    for connect in [tcp, unix] {
        let running = RunningShards::idle(builder(1).build().unwrap());
        let client = running.on(0, move || async move {
            let (stream, mut client) = connect();
            client.write(&pattern(3000));
            assert_eq!(reported_now(&stream).await, None);
            client.finish();
            assert_eq!(end_of(&stream).await, PeerEnd::Finished);
            // It waits for the peer to go, with bytes that stay unread and a half that stays closed.
            spawn_detached(async move {
                assert_eq!(end_of(&stream).await, PeerEnd::Gone);
            });
            client
        });
        running.eventually(0, "one stream", |now| now.streams == 1);
        // That the shard sleeps is seen only over a time.
        let before = running.statistics(0).turns;
        std::thread::sleep(Duration::from_millis(50));
        let turns = running.statistics(0).turns - before;
        assert!(turns < 10, "{turns} turns");
        client.go();
        running.eventually(0, "closed", |now| now.streams == 0);
        running.stop().unwrap();
    }
}

/// A watch is found among many, and a reused slot is not mistaken for its predecessor.
#[test]
fn each_of_many_streams_reports_its_own_peer() {
    const STREAMS: usize = 200;
    let _limit = time_limit();
    let running = RunningShards::start(builder(1).build().unwrap(), move |_| async move {
        for round in 0..5 {
            let connect = |number: usize| if number.is_multiple_of(2) { tcp() } else { unix() };
            let mut pairs: Vec<_> = (0..STREAMS).map(connect).collect();
            for (stream, _) in &pairs {
                assert_eq!(poll_once(&mut pin!(end_of(stream))).await, None);
            }
            // The others are dropped with their watch armed.
            let mut number = round;
            while !pairs.is_empty() {
                number = (number * 31 + 7) % pairs.len();
                let (stream, client) = pairs.swap_remove(number);
                if number.is_multiple_of(3) {
                    continue;
                }
                client.go();
                assert_eq!(end_of(&stream).await, PeerEnd::Gone);
                if let Some((other, _)) = pairs.first() {
                    assert_eq!(poll_once(&mut pin!(end_of(other))).await, None);
                }
            }
        }
        eventually_here("all are closed", || Shard::current().statistics().streams == 0).await;
        Ok(())
    });
    running.join().unwrap();
}

/// Bytes and an end that arrive while a receive is being armed: io_uring's own receive loses some of those ends.
#[test]
fn an_end_right_behind_bytes_is_received_promptly_however_they_meet_the_receive() {
    const CONNECTIONS: usize = 30_000;
    /// Connections end within microseconds here; one that takes this long has been lost.
    const LOST: Duration = Duration::from_secs(5);
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    static LOST_ONES: AtomicUsize = AtomicUsize::new(0);
    let _limit = time_limit();
    let path = SocketPath::new("ends");
    let tcp = Listeners::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), 1).unwrap();
    let unix = Listeners::bind_unix(path.as_path(), 0o600, 1).unwrap();
    let address = tcp.tcp_address().unwrap();
    let serve_to_its_end = |stream: Stream| async move {
        let end = timeout_at(clock::after(LOST), receive_all(&stream)).await;
        let counter = if end.is_some() { &ENDED } else { &LOST_ONES };
        counter.fetch_add(1, Ordering::AcqRel);
    };
    let running = RunningShards::start(builder(1).build().unwrap(), move |_| {
        let (tcp, unix) = (tcp.open().unwrap(), unix.open().unwrap());
        async move {
            spawn_detached(serve(tcp, serve_to_its_end));
            serve(unix, serve_to_its_end).await;
            Ok(())
        }
    });
    for number in 0..CONNECTIONS {
        let mut client = match number % 2 {
            0 => Client::Tcp(TcpStream::connect(address).unwrap()),
            _ => Client::Unix(UnixStream::connect(path.as_path()).unwrap()),
        };
        // Some clients send bytes and end together, others find the receive already armed.
        (0..number % 7).for_each(|_| std::thread::yield_now());
        client.write(b"bytes");
        client.go();
    }
    eventually(
        || ENDED.load(Ordering::Acquire) + LOST_ONES.load(Ordering::Acquire) == CONNECTIONS,
        || format!("{ENDED:?} have ended, {LOST_ONES:?} were lost"),
    );
    assert_eq!(LOST_ONES.load(Ordering::Acquire), 0);
    running.stop().unwrap();
}
