//! What it costs a request to know its visitor, over sockets: a session on another shard, and logins that hash.
//!
//! It prints the figures that its doc comments name and needs no arguments. Both parts compare in one run.
//!
//! - A request that loads its session from the other shard, against one that invokes an empty closure there.
//! - A plain route of one shard while 10,000 logins a minute arrive, against the same route before.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a benchmark")]
#![expect(clippy::disallowed_methods, reason = "its threads run outside the shards")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use squall::prelude::*;
use squall::security::{LoginThrottle, PasswordSettings, Sessions};
use squall::shards::{Shard, ShardId, Stop, invoke_on};

/// Requests of one sample of the comparison of shards.
const HOP_REQUESTS: usize = 2_000;

/// Pairs of samples.
const HOP_PAIRS: usize = 15;

/// Logins a second: 10,000 a minute.
const LOGINS_A_SECOND: u32 = 167;

/// How long the plain route is asked, quiet and loaded.
const LOAD_TIME: Duration = Duration::from_secs(10);

/// The pause between two plain requests: 1,000 a second.
const PLAIN_PAUSE: Duration = Duration::from_millis(1);

fn application() -> Application {
    // Each attempt to log in has an address of its own, so that many are hashed and few refused.
    let proxies = "127.0.0.1".parse().unwrap();
    Application::new()
        .trusted_proxies(proxies)
        .sessions(Sessions::in_memory())
        .passwords(PasswordSettings::new())
        .throttle_logins(LoginThrottle::new())
        .get("/plain", async |_: &mut Context| "plain")
        .get("/shard", async |_: &mut Context| {
            Shard::current().id().index().to_string()
        })
        .get("/enter", async |cx: &mut Context| -> Result {
            cx.session().await?.log_in("ada");
            Ok(())
        })
        .get("/session", async |cx: &mut Context| -> Result<String> {
            Ok(cx.session().await?.user().unwrap_or_default())
        })
        .get("/invoke", async |_: &mut Context| -> Result<&'static str> {
            invoke_on(ShardId::new(1), async || ()).await?;
            Ok("ada")
        })
        .post("/login", async |cx: &mut Context| -> Result<&'static str> {
            let account: String = cx.query_param("account")?;
            cx.admit_login(&account).await?;
            let is_right = cx.verify_password("a wrong password", None).await?.is_right();
            Ok(if is_right { "in" } else { "out" })
        })
}

/// A server in this process, stopped at its end.
struct Running {
    address: SocketAddr,
    stopper: squall::shards::Stopper,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start(shards: usize) -> Self {
        let server = Server::new(application)
            .shards(shards)
            .listen("127.0.0.1:0")
            .stop_on_signals(false);
        let server = server.bind().unwrap();
        Self {
            address: server.local_addr().unwrap(),
            stopper: server.stopper(),
            thread: Some(std::thread::spawn(move || server.run().unwrap())),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop(Stop::Now);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// A connection that is used for one request after another.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: vec![0; 4096],
        }
    }

    /// Sends a request, and returns the response. Each is small enough to arrive at once.
    fn ask(&mut self, request: &str) -> &str {
        self.stream.write_all(request.as_bytes()).unwrap();
        let count = self.stream.read(&mut self.buffer).unwrap();
        str::from_utf8(self.buffer.get(..count).unwrap_or_default()).unwrap()
    }
}

fn get(target: &str, cookie: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n")
}

/// A connection that the first of two shards serves.
fn on_first_shard(server: &Running) -> Connection {
    loop {
        let mut connection = Connection::open(server.address);
        if connection.ask(&get("/shard", "a=b")).ends_with("\r\n\r\n0") {
            return connection;
        }
    }
}

/// The cookie of a session that the second of two shards owns: the second byte of its id is odd.
fn cookie_of_second_shard(connection: &mut Connection) -> String {
    loop {
        let response = connection.ask(&get("/enter", "a=b")).to_ascii_lowercase();
        let original = connection.buffer.clone();
        let place = response.find("set-cookie: ").unwrap() + "set-cookie: ".len();
        let text = String::from_utf8_lossy(original.get(place..).unwrap_or_default()).into_owned();
        let cookie = text.split(';').next().unwrap_or_default().to_owned();
        // 24 bytes in base64: the third character has the last four bits of the second byte and two of the third.
        let digit = cookie
            .trim_start_matches("session=")
            .as_bytes()
            .get(2)
            .copied()
            .unwrap_or_default();
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            _ => 63,
        };
        if (value >> 2) & 1 == 1 {
            return cookie;
        }
    }
}

/// The mean time of a request.
fn mean(connection: &mut Connection, request: &str, ends: &str) -> Duration {
    let began = Instant::now();
    for _ in 0..HOP_REQUESTS {
        assert!(connection.ask(request).ends_with(ends));
    }
    began.elapsed() / u32::try_from(HOP_REQUESTS).unwrap()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The ratio of a session on another shard to a bare invocation there, both with their request and without.
fn sessions() {
    let server = Running::start(2);
    let mut connection = on_first_shard(&server);
    let cookie = cookie_of_second_shard(&mut connection);
    let (plain, invoke, session) = (
        get("/plain", &cookie),
        get("/invoke", &cookie),
        get("/session", &cookie),
    );
    let (mut ratios, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..HOP_PAIRS {
        let plain = mean(&mut connection, &plain, "plain").as_secs_f64();
        let invoke = mean(&mut connection, &invoke, "ada").as_secs_f64();
        let session = mean(&mut connection, &session, "ada").as_secs_f64();
        println!(
            "plain {:.1} µs, invoke_on {:.1} µs, session on the other shard {:.1} µs",
            plain * 1e6,
            invoke * 1e6,
            session * 1e6
        );
        ratios.push(session / invoke);
        bare.push((session - plain) / (invoke - plain));
    }
    println!(
        "session on another shard against a bare invoke_on, medians of {HOP_PAIRS} pairs: {:.3} with the request, {:.3} without",
        median(ratios),
        median(bare)
    );
}

/// The times of plain requests, at a fixed rate.
fn latencies(address: SocketAddr) -> Vec<Duration> {
    let mut connection = Connection::open(address);
    let request = get("/plain", "a=b");
    let (began, mut times) = (Instant::now(), Vec::new());
    let mut due = began;
    while began.elapsed() < LOAD_TIME {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        assert!(connection.ask(&request).ends_with("plain"));
        // From when it was due, so that a delay counts for the requests behind it too.
        times.push(due.elapsed());
        due += PLAIN_PAUSE;
    }
    times.sort();
    times
}

fn percentile(times: &[Duration], share: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list"
    )]
    let place = (times.len() as f64 * share) as usize;
    times.get(place).copied().unwrap_or_default()
}

/// The p99 of a plain route beside 10,000 attempts to log in a minute, each to another account.
fn logins() {
    let server = Running::start(1);
    let quiet = latencies(server.address);
    let (stops, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let counts = Arc::new([const { AtomicU64::new(0) }; 4]);
    let workers: Vec<_> = (0..8_u32)
        .map(|worker| {
            let (stops, sent, counts, address) = (stops.clone(), sent.clone(), counts.clone(), server.address);
            std::thread::spawn(move || {
                let pause = Duration::from_secs(8) / LOGINS_A_SECOND;
                let mut due = Instant::now() + pause * worker / 8;
                let mut connection = Connection::open(address);
                while !stops.load(Ordering::Relaxed) {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    due += pause;
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    let client = format!("10.{}.{}.{}", number >> 16, (number >> 8) & 255, number & 255);
                    let request = format!(
                        "POST /login?account=user-{number} HTTP/1.1\r\nHost: a\r\nX-Real-Ip: {client}\r\nContent-Length: 0\r\n\r\n"
                    );
                    let answer = connection.ask(&request);
                    let place = match answer.get(9..12) {
                        Some("200") => 0,
                        Some("429") => 1,
                        Some("503") => 2,
                        _ => 3,
                    };
                    if let Some(count) = counts.get(place) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let loaded = latencies(server.address);
    stops.store(true, Ordering::Relaxed);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let [hashed, refused, busy, other] =
        [0, 1, 2, 3].map(|place: usize| counts.get(place).map_or(0, |count| count.load(Ordering::Relaxed)));
    println!("logins: {hashed} hashed, {refused} refused with 429, {busy} with 503, {other} others");
    for share in [0.5, 0.99, 0.999] {
        let (before, beside) = (percentile(&quiet, share), percentile(&loaded, share));
        println!(
            "plain route, p{}: quiet {before:?}, beside logins {beside:?}, ratio {:.2}",
            share * 100.0,
            beside.as_secs_f64() / before.as_secs_f64()
        );
    }
}

fn main() {
    sessions();
    logins();
}
