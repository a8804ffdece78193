//! A blocking HTTP/1.1 client that checks answers: sends literal bytes and reads one response at a time (RFC 9112).
//!
//! It reads responses with `Content-Length`, in the chunked coding or without content, and rejects all others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::chunked::{ChunkedDecoder, Malformed};
use crate::tls::Stream;

/// The longest time to connect, and for each read and write.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest response head and content; the contenders' responses stay far below.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const CONTENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// A response, with field names as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) content: Vec<u8>,
}

impl Response {
    /// Returns the value of the first field `name`, ignoring case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Encodes a GET request.
pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")
}

/// A connection, and the bytes received beyond the last response.
#[derive(Debug)]
pub(crate) struct BlockingClient {
    stream: Stream,
    received: Vec<u8>,
}

impl BlockingClient {
    /// Connects to `address` within 5 s, with TLS if the server has it.
    pub(crate) fn open(address: SocketAddr, is_secure: bool) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: Stream::over(stream, is_secure)?,
            received: Vec::new(),
        })
    }

    pub(crate) fn send(&mut self, bytes: &str) -> Result<()> {
        self.send_bytes(bytes.as_bytes())
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("could not send the request")
    }

    /// Waits for one whole response.
    pub(crate) fn receive(&mut self) -> Result<Response> {
        let head_bytes = loop {
            if let Some(end) = find(&self.received, b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(
                self.received.len() < HEAD_BYTES_MAX,
                "the response head is longer than {HEAD_BYTES_MAX} bytes"
            );
            self.receive_more()?;
        };
        let head: Vec<u8> = self.received.drain(..head_bytes).collect();
        let (status, fields) = parse_head(&head)?;
        let mut response = Response {
            status,
            fields,
            content: Vec::new(),
        };
        if response.field("transfer-encoding").is_some() {
            response.content = self.receive_chunked(&response)?;
            return Ok(response);
        }
        let content_bytes = content_length(&response)?;
        while self.received.len() < content_bytes {
            self.receive_more()?;
        }
        response.content = self.received.drain(..content_bytes).collect();
        Ok(response)
    }

    /// Reads a content in the chunked coding.
    fn receive_chunked(&mut self, response: &Response) -> Result<Vec<u8>> {
        let coding = response.field("transfer-encoding").unwrap_or_default();
        ensure!(
            coding.eq_ignore_ascii_case("chunked") && response.field("content-length").is_none(),
            "the response has the Transfer-Encoding `{coding}`, or a Content-Length beside it"
        );
        let mut decoder = ChunkedDecoder::new();
        let mut content = Vec::new();
        loop {
            let taken = decoder.receive(&self.received, |part| {
                content.extend_from_slice(part);
                match content.len() <= CONTENT_BYTES_MAX {
                    true => Ok(()),
                    false => Err(Malformed),
                }
            });
            let taken =
                taken.map_err(|Malformed| anyhow!("the chunked coding is malformed, or its content too long"))?;
            self.received.drain(..taken);
            if decoder.is_at_end() {
                return Ok(content);
            }
            self.receive_more()?;
        }
    }

    /// Returns the bytes received beyond the last response.
    pub(crate) fn surplus(&self) -> &[u8] {
        &self.received
    }

    fn receive_more(&mut self) -> Result<()> {
        let mut buffer = [0; READ_BYTES];
        let count = match self.stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                bail!("no answer within {} s", PATIENCE.as_secs());
            }
            Err(error) => return Err(error).context("could not read the response"),
        };
        ensure!(
            count > 0,
            "the server closed the connection before its response was complete"
        );
        self.received.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(())
    }
}

type Head = (u16, Vec<(String, String)>);

fn parse_head(head: &[u8]) -> Result<Head> {
    let text = std::str::from_utf8(head).context("the response head is not text")?;
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let not_http = || format!("`{status_line}` is not an HTTP/1.1 status line");
    let code = status_line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.split(' ').next());
    let status = code.with_context(not_http)?.parse().with_context(not_http)?;
    let fields = lines.map(|line| {
        let (name, value) = line
            .split_once(':')
            .with_context(|| format!("`{line}` is not a field line"))?;
        Ok((name.to_owned(), value.trim().to_owned()))
    });
    Ok((status, fields.collect::<Result<_>>()?))
}

fn content_length(response: &Response) -> Result<usize> {
    if matches!(response.status, 100..=199 | 204 | 304) {
        return Ok(0);
    }
    let length = response
        .field("content-length")
        .context("the response has no Content-Length")?;
    let length: usize = length
        .parse()
        .with_context(|| format!("`{length}` is not a Content-Length"))?;
    ensure!(
        length <= CONTENT_BYTES_MAX,
        "the response content is longer than {CONTENT_BYTES_MAX} bytes"
    );
    Ok(length)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Connects to a peer that sends `bytes` unconditionally and closes.
    fn connected_to_peer_that_says(bytes: &'static str) -> BlockingClient {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = BlockingClient::open(listener.local_addr().unwrap(), false).unwrap();
        thread::spawn(move || listener.accept().unwrap().0.write_all(bytes.as_bytes()).unwrap());
        connection
    }

    #[test]
    fn responses_are_taken_one_at_a_time() {
        let mut connection = connected_to_peer_that_says(
            "HTTP/1.1 200 OK\r\nContent-LENGTH: 5\r\nX-Colon:  a:b \r\n\r\nfirst\
             HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n\
             HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\nrest",
        );
        let first = connection.receive().unwrap();
        assert_eq!((first.status, first.content.as_slice()), (200, b"first".as_slice()));
        assert_eq!(first.field("x-colon"), Some("a:b"));
        assert_eq!(connection.receive().unwrap().status, 304);
        assert_eq!(connection.receive().unwrap().status, 404);
        assert_eq!(connection.receive().unwrap().content, b"abc");
        let end = connection.receive().unwrap_err();
        assert!(end.to_string().contains("closed the connection"), "{end}");
        assert_eq!(connection.surplus(), b"rest");
    }

    #[test]
    fn unsupported_responses_are_named() {
        for (answer, mistake) in [
            ("SSH-2.0-OpenSSH\r\n\r\n", "not an HTTP/1.1 status line"),
            ("HTTP/1.1 2x0 OK\r\n\r\n", "not an HTTP/1.1 status line"),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "not a field line"),
            ("HTTP/1.1 200 OK\r\n\r\n", "no Content-Length"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                "Transfer-Encoding `gzip, chunked`",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
                "chunked coding is malformed",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                "`-1` is not a Content-Length",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", "longer than"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour",
                "before its response was complete",
            ),
        ] {
            let error = connected_to_peer_that_says(answer).receive().unwrap_err();
            assert!(format!("{error:#}").contains(mistake), "{answer:?}: {error:#}");
        }
    }
}
