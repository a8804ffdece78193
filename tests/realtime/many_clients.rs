//! Many clients at once: some do not read, one subscribes to everything, or all reconnect in the same moment.

use squall::websocket::Limits;

use crate::command_handler::serve;
use crate::support::server::{PATIENT, Server};
use crate::support::websocket::{Client, frame, handshake};

/// The default queue of one subscriber.
const QUEUE_BYTES_MAX: u64 = 256 * 1024;

/// How much the server may grow besides: buffers, allocator slack and a debug build.
const GROWTH_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Waits until a client of `/ws/sub` is subscribed.
fn subscribed(mut client: Client) -> Client {
    client.send(&frame(0x89, b""));
    client.expect(0x8a, b"");
    client
}

/// RUSTSEC-2020-0043: half of the subscribers stop reading. The others get everything, and the queues bound the
/// memory of the slow ones, which get their messages in order. `src/pubsub/tests` shows that every dropped message is
/// counted.
#[test]
fn bounds_the_queues_of_subscribers_that_do_not_read() {
    /// 12 MiB for each subscriber: three times what the kernel holds for a slow one.
    const MESSAGES: u32 = 800;
    const SLOW: usize = 6;
    let server = Server::start_with_shards("conformance", 2, &PATIENT);
    let open_slow = || subscribed(Client::open_with_little_room(server.address(), "/ws/sub"));
    let mut slow: Vec<_> = (0..SLOW).map(|_| open_slow()).collect();
    let open_healthy = || subscribed(Client::open(server.address(), "/ws/sub"));
    let mut healthy: Vec<_> = (0..6).map(|_| open_healthy()).collect();
    let mut publisher = Client::open(server.address(), "/ws/pub");
    let before = server.resident_bytes();
    let mut payload = vec![b'm'; 16 * 1024];
    for number in 0..MESSAGES {
        payload[..4].copy_from_slice(&number.to_be_bytes());
        publisher.send(&frame(0x82, &payload));
        // The fast subscribers keep up, so nothing is dropped for them.
        for subscriber in &mut healthy {
            let frame = subscriber.frame();
            assert!(frame.payload == payload, "{number}");
        }
    }
    let growth = server.resident_bytes().saturating_sub(before);
    let bound = SLOW as u64 * QUEUE_BYTES_MAX + GROWTH_BYTES_MAX;
    assert!(growth < bound, "{growth} bytes for {SLOW} subscribers");
    publisher.send(&frame(0x82, b"last"));
    for subscriber in &mut slow {
        let mut numbers = Vec::new();
        loop {
            let frame = subscriber.frame();
            if frame.payload == b"last" {
                break;
            }
            numbers.push(u32::from_be_bytes(*frame.payload.first_chunk().unwrap()));
        }
        assert!(
            numbers.is_sorted_by(|first, second| first < second),
            "in order, none twice"
        );
        assert!(
            numbers.len() < MESSAGES as usize,
            "nothing was dropped, so nothing was tested"
        );
    }
}

/// Phoenix 95277e644: one socket has at most 128 subscriptions, gets an error for the next, and can subscribe again
/// after it unsubscribes.
#[test]
fn limits_one_socket_to_128_subscriptions() {
    let (server, _ends) = serve(Limits::default(), |server| server);
    let mut client = Client::open(server.address, "/");
    let mut tell = |verb: &str, number: usize| {
        client.send(&frame(0x81, format!("{verb} channels/{number}").as_bytes()));
        String::from_utf8(client.frame().payload).unwrap()
    };
    for number in 0..1000 {
        let expected = if number < 128 { "joined" } else { "refused" };
        assert_eq!(tell("join", number), expected, "{number}");
    }
    assert_eq!(tell("leave", 500), "was not there");
    assert_eq!(tell("leave", 0), "left");
    assert_eq!(tell("join", 500), "joined");
    assert_eq!(tell("join", 501), "refused");
}

/// All clients of a failed node reconnect at once. Each is accepted, subscribed again, and gets the next message.
#[test]
fn accepts_every_client_that_reconnects_at_once() {
    let server = Server::start_with_shards("conformance", 2, &PATIENT);
    let clients = clients();
    let threads = 8;
    for round in 0..3_u8 {
        let crowd: Vec<Vec<Client>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| connect_at_once(&server, clients / threads)))
                .collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        let mut publisher = Client::open(server.address(), "/ws/pub");
        publisher.send(&frame(0x82, &[round]));
        // Each disconnects after its message, without a close frame.
        for mut client in crowd.into_iter().flatten() {
            client.expect(0x82, &[round]);
        }
    }
}

/// Connects this many clients and then sends all handshakes, so that all wait before one is served.
fn connect_at_once(server: &Server, count: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..count).map(|_| Client::connect(server.address())).collect();
    for client in &mut clients {
        client.send(&[handshake("/ws/sub", ""), frame(0x89, b"")].concat());
    }
    for client in &mut clients {
        client.expect_open();
        client.expect(0x8a, b"");
    }
    clients
}

/// As many as the descriptors of this process and its server allow, at most 2000.
fn clients() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft = line.split_ascii_whitespace().nth(3).unwrap();
    soft.parse::<usize>().map_or(2000, |soft| (soft / 4).min(2000))
}
