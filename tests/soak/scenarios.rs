//! Random scenarios of a client on one connection. Each response must be whole, or visibly break off.
//!
//! During a stop a connection may be refused, or end before its response. But a client that sends the next request
//! right after a response without `Connection: close` gets a response.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::counts::Counts;
use crate::peer::{Address, Peer, ResponseError};
use crate::random::Random;
use crate::support::response::Response;
use crate::support::show;
use crate::support::websocket::{Frame, close, frame, handshake};
use crate::transcripts::Transcripts;

/// A client that waits longer before its next request may find its connection closed: the server closes idle ones a
/// second after its stop began.
const IDLE_MAX: Duration = Duration::from_millis(400);

/// The state shared by all clients.
pub(crate) struct SoakContext {
    pub(crate) addresses: Vec<Address>,
    pub(crate) transcripts: Transcripts,
    pub(crate) counts: Counts,
    /// The server has got, or is about to get, SIGTERM.
    pub(crate) is_stopping: AtomicBool,
}

/// One client, which runs scenarios.
pub(crate) struct SoakClient<'w> {
    pub(crate) context: &'w SoakContext,
    pub(crate) random: Random,
}

/// An error says what the server did wrong.
type Outcome = Result<(), String>;

/// One scenario: its name, its weight, and its function.
type Scenario<'w> = (&'static str, usize, fn(&mut SoakClient<'w>, Peer) -> Outcome);

impl<'w> SoakClient<'w> {
    const SCENARIOS: [Scenario<'w>; 13] = [
        ("mutated transcript", 30, Self::mutated),
        ("loop of requests", 15, Self::closed_loop),
        ("pipeline", 8, Self::pipeline),
        ("leaving early", 15, Self::leave_early),
        ("slow reader", 10, Self::read_slowly),
        ("middleware that drops its handler", 5, Self::abandoned_handler),
        ("upload", 8, Self::upload),
        ("silent stream", 5, Self::silent_stream),
        ("content that never comes", 5, Self::poll),
        ("WebSocket", 8, Self::websocket),
        ("mutated WebSocket", 6, Self::mutated_websocket),
        ("WebSocket with a busy handler", 8, Self::busy_websocket),
        ("events", 5, Self::events),
    ];

    /// Runs one scenario; false when the server refuses the connection because it stops.
    pub(crate) fn visit(&mut self) -> Result<bool, String> {
        let mut number = self
            .random
            .below(Self::SCENARIOS.iter().map(|(_, weight, _)| weight).sum());
        let (name, _, way) = Self::SCENARIOS
            .iter()
            .find(|(_, weight, _)| {
                let is_it = number < *weight;
                number = number.saturating_sub(*weight);
                is_it
            })
            .unwrap();
        let before = self.random.clone();
        let address = self.random.pick(&self.context.addresses).clone();
        let peer = match *name {
            "slow reader" | "middleware that drops its handler" => Peer::connect_with_little_room(&address),
            _ => Peer::connect(&address),
        };
        let peer = match peer {
            Ok(peer) => peer,
            Err(_) if self.is_stopping() => return Ok(false),
            Err(error) => return Err(format!("the server refuses a connection at {address:?}: {error}")),
        };
        self.context.counts.connections.add(1);
        let visited = way(self, peer);
        visited.map_err(|wrong| format!("{name}, over {address:?}, {before:?}: {wrong}"))?;
        Ok(true)
    }

    fn is_stopping(&self) -> bool {
        self.context.is_stopping.load(Ordering::Relaxed)
    }

    /// Checks the response to a whole request of a client that reads: it must be there, unless the server stops.
    fn answered(
        &self,
        response: Result<Response, ResponseError>,
        status: u16,
        body: &[u8],
    ) -> Result<Option<Response>, String> {
        match response {
            Ok(response) => {
                response.expect(status, body)?;
                self.context.counts.whole.add(1);
                Ok(Some(response))
            }
            Err(ResponseError::Nothing) if self.is_stopping() => {
                self.context.counts.unanswered.add(1);
                Ok(None)
            }
            Err(ResponseError::Broken) if self.is_stopping() => {
                self.context.counts.broken.add(1);
                Ok(None)
            }
            Err(error) => Err(format!("no whole response: {error:?}")),
        }
    }

    /// Closes, resets or half-closes the connection.
    fn leave(&mut self, peer: Peer) {
        self.context.counts.left_early.add(1);
        match self.random.below(3) {
            0 => drop(peer),
            1 => {
                self.context.counts.resets.add(1);
                peer.reset();
            }
            _ => {
                peer.half_close();
                self.pause(3);
                drop(peer);
            }
        }
    }

    /// Waits a moment, as a client may; the wait synchronizes with nothing.
    fn pause(&mut self, milliseconds_max: usize) {
        thread::sleep(Duration::from_millis(self.random.below(milliseconds_max + 1) as u64));
    }

    /// Sends bytes in up to four pieces.
    fn send_in_pieces(&mut self, peer: &mut Peer, bytes: &[u8]) {
        let mut rest = bytes;
        for _ in 0..self.random.below(4) {
            let (piece, behind) = rest.split_at(self.random.below(rest.len() + 1));
            peer.send(piece);
            self.pause(1);
            rest = behind;
        }
        peer.send(rest);
    }

    /// Mutated requests; the responses must be whole, whatever their status.
    fn mutated(&mut self, mut peer: Peer) -> Outcome {
        let bytes = self.context.transcripts.mutated(&mut self.random);
        self.send_in_pieces(&mut peer, &bytes);
        if self.random.chance(30) {
            self.leave(peer);
            return Ok(());
        }
        peer.half_close();
        // The end of a response depends on the method of its request, which only the server knows here.
        if bytes.windows(4).any(|window| window.eq_ignore_ascii_case(b"HEAD")) {
            return peer
                .until_end()
                .map(drop)
                .map_err(|error| format!("{error:?} after \"{}\"", show(&bytes)));
        }
        loop {
            match peer.response("GET") {
                Ok(response) if response.status == 101 => {
                    self.context.counts.whole.add(1);
                    return peer
                        .until_end()
                        .map(drop)
                        .map_err(|error| format!("{error:?} after \"{}\"", show(&bytes)));
                }
                Ok(_) => self.context.counts.whole.add(1),
                Err(ResponseError::Nothing) => return Ok(()),
                Err(ResponseError::Broken) if self.is_stopping() => return Ok(()),
                Err(error) => return Err(format!("{error:?} after \"{}\"", show(&bytes))),
            }
        }
    }

    /// Requests one after another, each after the previous response.
    fn closed_loop(&mut self, mut peer: Peer) -> Outcome {
        let mut answered_at: Option<Instant> = None;
        for _ in 0..1 + self.random.below(20) {
            let (method, request, status, body) = self.request();
            let is_prompt = answered_at.is_some_and(|at| at.elapsed() < IDLE_MAX);
            peer.send(&request);
            let response = peer.response(method);
            if is_prompt && matches!(response, Err(ResponseError::Nothing | ResponseError::Broken)) {
                return Err(format!(
                    "a request sent {:?} after an answer without `Connection: close` has none: {response:?}",
                    answered_at.map(|at| at.elapsed())
                ));
            }
            let Some(response) = self.answered(response, status, &body)? else {
                return Ok(());
            };
            if response.announces_close() {
                return match peer.until_end()? {
                    rest if rest.is_empty() => Ok(()),
                    rest => Err(format!("bytes behind the last response: \"{}\"", show(&rest))),
                };
            }
            answered_at = Some(Instant::now());
        }
        Ok(())
    }

    /// A request and its response.
    fn request(&mut self) -> (&'static str, Vec<u8>, u16, Vec<u8>) {
        let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
        match self.random.below(6) {
            0 => ("GET", get("/"), 200, b"ok".to_vec()),
            1 => ("HEAD", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 200, Vec::new()),
            2 => ("GET", get("/slow?milliseconds=3"), 200, b"slow".to_vec()),
            3 => ("GET", get("/stream?pieces=4"), 200, b"piecepiecepiecepiece".to_vec()),
            4 => ("GET", get("/part/4711"), 200, b"4711".to_vec()),
            _ => {
                let length = self.random.below(20_000);
                let body = self.random.bytes(length);
                let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
                ("POST", [head.as_bytes(), &body].concat(), 200, body)
            }
        }
    }

    /// Requests in one write; the responses must come in order.
    fn pipeline(&mut self, mut peer: Peer) -> Outcome {
        let count = 2 + self.random.below(30);
        let requests: String = (0..count)
            .map(|number| format!("GET /part/{number} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .collect();
        self.send_in_pieces(&mut peer, requests.as_bytes());
        for number in 0..count {
            let response = peer.response("GET");
            let Some(response) = self.answered(response, 200, number.to_string().as_bytes())? else {
                return Ok(());
            };
            if response.announces_close() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A request, or a part of one; then the client leaves before, during or after the response.
    fn leave_early(&mut self, mut peer: Peer) -> Outcome {
        let mut bytes = match self.random.below(5) {
            0 => b"GET /slow?milliseconds=20 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            1 => b"GET /stream?pieces=5000 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            2 => b"GET /stall?bytes=300000&milliseconds=5 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            3 => b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nnot all of it".to_vec(),
            _ => self.context.transcripts.whole(&mut self.random),
        };
        if self.random.chance(40) {
            bytes.truncate(self.random.below(bytes.len() + 1));
        }
        self.send_in_pieces(&mut peer, &bytes);
        self.pause(25);
        self.leave(peer);
        Ok(())
    }

    /// Reads in small pieces while the handler abandons its flushes: all bytes arrive, or the response breaks off.
    fn read_slowly(&mut self, mut peer: Peer) -> Outcome {
        let bytes = self.random.below(600_000);
        let version = if self.random.chance(30) { "1.0" } else { "1.1" };
        let milliseconds = self.random.below(15);
        let target = format!("/stall?bytes={bytes}&milliseconds={milliseconds}");
        let head = format!("GET {target} HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n");
        peer.send(head.as_bytes());
        self.context.counts.flushes_given_up.add(1);
        for _ in 0..self.random.below(30) {
            match peer.read_some(4096) {
                Ok(0) => break,
                Ok(_) => self.pause(4),
                Err(ResponseError::Nothing | ResponseError::Broken) if self.is_stopping() => return Ok(()),
                Err(error) => return Err(format!("{error:?} while it was read slowly")),
            }
        }
        if self.random.chance(20) {
            self.leave(peer);
            return Ok(());
        }
        self.whole_or_broken(peer.response("GET"), bytes)
    }

    /// Checks a response of `/stall`.
    fn whole_or_broken(&self, response: Result<Response, ResponseError>, bytes: usize) -> Outcome {
        match response {
            Ok(response) if response.status == 503 && response.body.is_empty() => {
                self.context.counts.whole.add(1);
                Ok(())
            }
            Ok(response) => {
                response.expect_status(200)?;
                let length = response.body.len();
                let is_right = length == bytes
                    && response
                        .body
                        .chunks(8)
                        .enumerate()
                        .all(|(number, line)| format!("{number:07}\n").as_bytes().starts_with(line));
                if !is_right {
                    return Err(format!("{length} bytes of {bytes} came, with a valid end"));
                }
                self.context.counts.whole.add(1);
                Ok(())
            }
            Err(ResponseError::Broken) => {
                self.context.counts.broken.add(1);
                Ok(())
            }
            Err(ResponseError::Nothing) if self.is_stopping() => {
                self.context.counts.unanswered.add(1);
                Ok(())
            }
            Err(error) => Err(format!("neither whole nor broken off: {error:?}")),
        }
    }

    /// Middleware drops the handler, before or after it has flushed.
    fn abandoned_handler(&mut self, mut peer: Peer) -> Outcome {
        let bytes = self.random.below(400_000);
        let target = format!("/impatient/stall?bytes={bytes}&milliseconds=50");
        peer.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        self.pause(10);
        let response = peer.response("GET");
        self.whole_or_broken(response, bytes)
    }

    /// Content in pieces, complete or not.
    fn upload(&mut self, mut peer: Peer) -> Outcome {
        let length = self.random.below(400_000);
        let body = self.random.bytes(length.min(5000)).repeat(80);
        let body = &body[..length.min(body.len())];
        let is_chunked = self.random.chance(50);
        let expects = if self.random.chance(30) {
            "Expect: 100-continue\r\n"
        } else {
            ""
        };
        let framing = match is_chunked {
            true => "Transfer-Encoding: chunked".to_owned(),
            false => format!("Content-Length: {}", body.len()),
        };
        peer.send(format!("POST /count HTTP/1.1\r\nHost: a\r\n{expects}{framing}\r\n\r\n").as_bytes());
        let piece_bytes = 1 + self.random.below(64 * 1024);
        let leaves_after = self.random.chance(30).then(|| self.random.below(6));
        for (number, piece) in body.chunks(piece_bytes).enumerate() {
            if leaves_after == Some(number) {
                self.leave(peer);
                return Ok(());
            }
            if is_chunked {
                peer.send(format!("{:x}\r\n", piece.len()).as_bytes());
            }
            peer.send(piece);
            if is_chunked {
                peer.send(b"\r\n");
            }
        }
        if is_chunked {
            peer.send(b"0\r\n\r\n");
        }
        self.context.counts.uploads.add(1);
        self.answered(peer.response("POST"), 200, body.len().to_string().as_bytes())
            .map(drop)
    }

    /// A stream that ends only when its client leaves.
    fn silent_stream(&mut self, mut peer: Peer) -> Outcome {
        peer.send(b"GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
        while !peer.pending().windows(4).any(|window| window == b"word") {
            match peer.read_some(4096) {
                Ok(1..) => {}
                _ if self.is_stopping() => return Ok(()),
                ended => return Err(format!("a stream ended by itself: {ended:?}")),
            }
        }
        self.pause(20);
        self.leave(peer);
        Ok(())
    }

    /// A handler that waits for its client to leave, while its content never arrives.
    fn poll(&mut self, mut peer: Peer) -> Outcome {
        let heads = [
            "GET /poll HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /poll HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
            "POST /poll HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /poll HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        ];
        peer.send(self.random.pick(&heads).as_bytes());
        self.pause(20);
        self.leave(peer);
        Ok(())
    }

    /// Opens a WebSocket; `None` while the server stops.
    fn open(&self, peer: &mut Peer) -> Result<Option<()>, String> {
        peer.send(&handshake("/ws", ""));
        match peer.response("GET") {
            Ok(response) if response.status == 101 => Ok(Some(())),
            Ok(response) if self.is_stopping() && response.status == 503 => Ok(None),
            Err(ResponseError::Nothing | ResponseError::Broken) if self.is_stopping() => Ok(None),
            other => Err(format!("no WebSocket: {other:?}")),
        }
    }

    /// The next frame; `None` at the end of the connection.
    fn frame(&self, peer: &mut Peer) -> Result<Option<Frame>, String> {
        loop {
            if let Some((frame, length)) = Frame::read(peer.pending()) {
                peer.consume(length);
                self.context.counts.messages.add(1);
                return Ok(Some(frame));
            }
            match peer.read_some(64 * 1024) {
                Ok(0) | Err(ResponseError::Nothing | ResponseError::Broken) => return Ok(None),
                Ok(_) => {}
                Err(error) => return Err(format!("{error:?} on a WebSocket")),
            }
        }
    }

    /// Echoed messages, in fragments and with pings between, and one of the ways to leave.
    fn websocket(&mut self, mut peer: Peer) -> Outcome {
        if self.open(&mut peer)?.is_none() {
            return Ok(());
        }
        for _ in 0..self.random.below(8) {
            let length = self.random.below(3000);
            let payload = self.random.bytes(length);
            let (first, second) = payload.split_at(self.random.below(length + 1));
            let mut bytes = [frame(0x02, first), frame(0x89, b"ping"), frame(0x80, second)].concat();
            if self.random.chance(30) {
                bytes.extend(frame(0x81, b"publish news"));
            }
            self.send_in_pieces(&mut peer, &bytes);
            loop {
                match self.frame(&mut peer)? {
                    Some(echo) if echo.first == 0x82 && echo.payload == payload => break,
                    // A pong, or a publication.
                    Some(other) if matches!(other.first, 0x8a | 0x89 | 0x81) => {}
                    Some(going) if going.close_code() == Some(1001) && self.is_stopping() => return Ok(()),
                    None if self.is_stopping() => return Ok(()),
                    other => return Err(format!("not the message that was sent, but {other:?}")),
                }
            }
        }
        if self.random.chance(50) {
            self.leave(peer);
            return Ok(());
        }
        peer.send(&close(1000, "done"));
        loop {
            match self.frame(&mut peer)? {
                Some(answer) if answer.first == 0x88 => return Ok(()),
                Some(_) => {}
                None if self.is_stopping() => return Ok(()),
                None => return Err("a close frame was not answered".to_owned()),
            }
        }
    }

    /// Mutated frames; the server must answer with whole frames and then the end.
    fn mutated_websocket(&mut self, mut peer: Peer) -> Outcome {
        if self.open(&mut peer)?.is_none() {
            return Ok(());
        }
        let mut bytes = [
            frame(0x81, b"hello"),
            frame(0x01, b"in "),
            frame(0x89, b"ping"),
            frame(0x80, b"parts"),
            frame(0x82, &self.random.bytes(200)),
            close(1000, "done"),
        ]
        .concat();
        for _ in 0..self.random.below(4) {
            let at = self.random.below(bytes.len());
            bytes[at] ^= 1 << self.random.below(8);
        }
        self.send_in_pieces(&mut peer, &bytes);
        if self.random.chance(30) {
            self.leave(peer);
            return Ok(());
        }
        peer.half_close();
        while self.frame(&mut peer)?.is_some() {}
        match peer.pending() {
            [] => Ok(()),
            _ if self.is_stopping() => Ok(()),
            rest => Err(format!("half a frame: \"{}\"", show(rest))),
        }
    }

    /// The client leaves while its handler waits for that, or for room in its own output.
    fn busy_websocket(&mut self, mut peer: Peer) -> Outcome {
        if self.open(&mut peer)?.is_none() {
            return Ok(());
        }
        let mut bytes = frame(0x81, self.random.pick(&["wait", "flood"]).as_bytes());
        for _ in 0..self.random.below(5) {
            bytes.extend(frame(0x82, &self.random.bytes(200)));
        }
        if self.random.chance(30) {
            bytes.extend(close(1000, "done"));
        }
        self.send_in_pieces(&mut peer, &bytes);
        self.pause(10);
        self.leave(peer);
        Ok(())
    }

    /// An event stream that the client leaves after a while.
    fn events(&mut self, mut peer: Peer) -> Outcome {
        peer.send(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
        for _ in 0..1 + self.random.below(3) {
            match peer.read_some(4096) {
                Ok(1..) => self.context.counts.events.add(1),
                Ok(0) | Err(ResponseError::Nothing | ResponseError::Broken) if self.is_stopping() => return Ok(()),
                ended => return Err(format!("a stream of events ended by itself: {ended:?}")),
            }
            if peer.pending().windows(11).any(|window| window == b"data: first") {
                break;
            }
        }
        self.leave(peer);
        Ok(())
    }
}

/// A request that is under way when the server gets SIGTERM, and takes longer than the server waits for idle
/// connections. Its response says `Connection: close`, or the next request on the connection is answered too.
pub(crate) struct PromisedResponse {
    peer: Peer,
}

impl PromisedResponse {
    pub(crate) fn ask(address: &Address) -> Result<Self, String> {
        let mut peer = Peer::connect(address)
            .map_err(|error| format!("the server refuses a connection at {address:?}: {error}"))?;
        // One response first, so that the connection has left the backlog.
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        peer.response("GET")?.expect(200, b"ok")?;
        peer.send(b"GET /slow?milliseconds=1200 HTTP/1.1\r\nHost: a\r\n\r\n");
        Ok(Self { peer })
    }

    pub(crate) fn kept(mut self) -> Outcome {
        let answer = self.peer.response("GET")?;
        answer.expect(200, b"slow")?;
        if answer.announces_close() {
            return Ok(());
        }
        self.peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let next = self.peer.response("GET");
        let next = next.map_err(|error| {
            format!("a request right behind an answer without `Connection: close` has none: {error:?}")
        })?;
        next.expect(200, b"ok")
    }
}

impl From<ResponseError> for String {
    fn from(error: ResponseError) -> Self {
        format!("{error:?}")
    }
}
