//! Shared by these tests: servers on threads that read requests and answer with literal bytes.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use squall::client::{FetchError, Response};

pub(crate) use crate::support::running::Running;
pub(crate) use crate::support::shard::{TIME_LIMIT, eventually_here, on_shard};

/// A request as a server has read it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The line and the fields, without the empty line.
    pub(crate) head: String,
    pub(crate) content: Vec<u8>,
    /// The number of the connection, from 0.
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn path(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// A server on a thread, and its connections on others. Dropping it joins them, so that their failures fail the test.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    /// Runs `serve` on each connection, with its number.
    pub(crate) fn start(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, stops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&connections), Arc::clone(&stops));
        let serve = Arc::new(serve);
        let thread = thread::spawn(move || {
            let mut running = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                let (stream, serve) = (stream.unwrap(), Arc::clone(&serve));
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
                let number = counted.fetch_add(1, Ordering::AcqRel);
                running.push(thread::spawn(move || serve(stream, number)));
            }
            drop(listener);
            for connection in running {
                connection.join().unwrap();
            }
        });
        Self {
            address,
            connections,
            stops,
            thread: Some(thread),
        }
    }

    /// Answers every request of every connection, until the client closes it. An answer is the bytes to send, and whether
    /// the connection stays open.
    pub(crate) fn answering(answer: impl Fn(&Seen) -> (Vec<u8>, bool) + Send + Sync + 'static) -> Self {
        Self::start(move |mut stream, number| {
            while let Some(mut seen) = read_request(&mut stream) {
                seen.connection = number;
                let (bytes, stays) = answer(&seen);
                // The client may have gone.
                if stream.write_all(&bytes).is_err() || !stays {
                    return;
                }
            }
        })
    }

    /// Answers every request with the same bytes, and keeps the connection.
    pub(crate) fn repeating(bytes: &'static [u8]) -> Self {
        Self::answering(move |_| (bytes.to_vec(), true))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Release);
        // Ends the wait for a connection.
        drop(TcpStream::connect(self.address));
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// Reads one request with its content; `None` at the end of the connection.
pub(crate) fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut seen = read_head(stream)?;
    if seen.field("transfer-encoding") == Some("chunked") {
        seen.content = read_chunks(stream)?;
    } else if let Some(length) = seen.field("content-length") {
        let mut content = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut content).ok()?;
        seen.content = content;
    }
    Some(seen)
}

/// Reads the head of a request; `None` at the end of the connection.
pub(crate) fn read_head(stream: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(read_byte(stream)?);
    }
    head.truncate(head.len() - 4);
    Some(Seen {
        head: String::from_utf8(head).unwrap(),
        ..Seen::default()
    })
}

fn read_byte(stream: &mut TcpStream) -> Option<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    Some(byte[0])
}

fn read_line(stream: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(read_byte(stream)?);
    }
    line.truncate(line.len() - 2);
    Some(String::from_utf8(line).unwrap())
}

fn read_chunks(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let size = usize::from_str_radix(&read_line(stream)?, 16).unwrap();
        let mut chunk = vec![0; size];
        stream.read_exact(&mut chunk).ok()?;
        assert_eq!(read_line(stream)?, "");
        if size == 0 {
            return Some(content);
        }
        content.extend_from_slice(&chunk);
    }
}

/// A response with a length.
pub(crate) fn ok(content: &[u8]) -> Vec<u8> {
    with_fields("", content)
}

/// A response with a length and other fields, each with its line end.
pub(crate) fn with_fields(fields: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", content.len());
    [head.as_bytes(), content].concat()
}

/// Sends bytes in pieces.
pub(crate) fn send_in_pieces(stream: &mut TcpStream, bytes: &[u8], piece: usize) -> io::Result<()> {
    bytes.chunks(piece).try_for_each(|piece| stream.write_all(piece))
}

/// The text of a successful fetch.
pub(crate) async fn text(fetched: impl Future<Output = Result<Response, FetchError>>) -> String {
    fetched.await.unwrap().text().await.unwrap()
}

/// The error of a fetch, or of reading its response.
pub(crate) async fn error(fetched: impl Future<Output = Result<Response, FetchError>>) -> FetchError {
    match fetched.await {
        Ok(response) => response.bytes().await.expect_err("the fetch fails"),
        Err(error) => error,
    }
}

/// Waits until this shard has no open stream.
pub(crate) async fn all_closed() {
    streams_left(0).await;
}

/// Waits until this shard has a number of open streams.
pub(crate) async fn streams_left(count: usize) {
    eventually_here("the streams are closed", || {
        squall::shards::Shard::current().statistics().streams == count
    })
    .await;
}

/// A short time for a timeout under test.
pub(crate) const SOON: Duration = Duration::from_millis(50);
