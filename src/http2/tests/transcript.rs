//! Runs bytes through a connection, split in any way, with an application that answers each complete request.

use super::wire::*;
use super::*;

/// An event with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Request(u32, String, Vec<(String, Vec<u8>)>),
    Data(u32, Vec<u8>),
    End(u32),
    Trailers(u32, Vec<(String, Vec<u8>)>),
    Refused(u32, StatusCode),
    Reset(u32, ErrorCode),
    GoAway(u32, ErrorCode),
}

/// What a run gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) events: Vec<Seen>,
    pub(super) error: Option<ConnectionError>,
    pub(super) output: Vec<u8>,
}

/// Runs pieces of input; the last check is that nothing remains.
pub(super) fn run_pieces<'p>(pieces: impl IntoIterator<Item = &'p [u8]>, limits: &Limits) -> Outcome {
    let mut bench = Bench::with(limits.clone());
    let mut outcome = Outcome {
        events: Vec::new(),
        error: None,
        output: Vec::new(),
    };
    let mut unread = Vec::new();
    for piece in pieces {
        unread.extend_from_slice(piece);
        let mut input = unread.as_slice();
        loop {
            outcome.output.append(&mut bench.out);
            match bench.receive(&mut input) {
                Ok(Event::NeedData | Event::Blocked | Event::Closed) => break,
                Ok(event) => handle(&mut bench, event, &mut outcome.events),
                Err(error) => {
                    outcome.error = Some(error);
                    break;
                }
            }
        }
        unread = input.to_vec();
    }
    outcome.output.append(&mut bench.out);
    if outcome.error.is_none() && unread.is_empty() {
        bench.check_quiescent_between_frames();
    }
    outcome
}

impl Bench {
    /// As [`Bench::check_quiescent`], where a DATA frame or a block may have begun.
    fn check_quiescent_between_frames(&mut self) {
        for stream in self.held() {
            self.connection.release(stream, self.now, &mut self.out);
        }
        assert!(self.connection.is_idle());
        assert_eq!(self.connection.unread_bytes, 0);
        assert!(self.connection.schedule.is_empty());
    }
}

fn handle(bench: &mut Bench, event: Event<'_>, seen: &mut Vec<Seen>) {
    let fields = |head: &RequestHead| -> Vec<(String, Vec<u8>)> {
        let fields = head.fields();
        fields
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .collect()
    };
    match event {
        Event::Request { stream, length } => {
            let head = &bench.head;
            let line = format!("{} {} {length:?}", head.method(), head.target());
            seen.push(Seen::Request(stream.id(), line, fields(head)));
            if length == super::super::ContentLength::Empty {
                answer(bench, stream);
            }
        }
        Event::Data { stream, data } => match seen.last_mut() {
            Some(Seen::Data(last, content)) if *last == stream.id() => content.extend_from_slice(data),
            _ => seen.push(Seen::Data(stream.id(), data.to_vec())),
        },
        Event::End { stream } => {
            seen.push(Seen::End(stream.id()));
            bench.connection.set_unread(stream, 0, &mut bench.out);
            answer(bench, stream);
        }
        Event::Trailers { stream } => {
            seen.push(Seen::Trailers(stream.id(), fields(&bench.head)));
            bench.connection.set_unread(stream, 0, &mut bench.out);
            answer(bench, stream);
        }
        Event::Refused { stream, status, .. } => {
            seen.push(Seen::Refused(stream.id(), status));
            bench.respond(stream);
        }
        Event::Reset { stream, code } => {
            seen.push(Seen::Reset(stream.id(), code));
            bench.connection.release(stream, bench.now, &mut bench.out);
        }
        Event::GoAway { last, code } => seen.push(Seen::GoAway(last, code)),
        Event::NeedData | Event::Blocked | Event::Closed | Event::Response { .. } => {}
    }
}

/// Answers with five bytes, as far as the windows admit, and releases the stream.
fn answer(bench: &mut Bench, stream: StreamKey) {
    bench.send_head(stream, &ResponseHead::new(StatusCode::OK), Some(5), false);
    if bench.connection.fits(stream, 5) {
        bench
            .connection
            .send_last(stream, b"hello", None, &mut bench.out)
            .unwrap();
    }
    bench.connection.release(stream, bench.now, &mut bench.out);
}

/// Checks that every split gives what the whole gives, and returns that.
pub(super) fn run(bytes: &[u8]) -> Outcome {
    run_with(bytes, &Limits::default())
}

pub(super) fn run_with(bytes: &[u8], limits: &Limits) -> Outcome {
    let whole = run_pieces([bytes], limits);
    assert_eq!(run_pieces(bytes.chunks(1), limits), whole, "byte by byte");
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(run_pieces([first, second], limits), whole, "cut at {cut}");
    }
    whole
}

/// Runs frames behind the first bytes of a connection.
pub(super) fn run_frames(frames: &[Vec<u8>]) -> Outcome {
    run(&[first_bytes(), frames.concat()].concat())
}

#[test]
fn requests_content_and_trailers_are_read_however_they_are_cut() {
    let outcome = run_frames(&[
        get(1),
        with_fields(
            3,
            false,
            &[
                ("content-length", "8"),
                ("cookie", "a=1"),
                ("x-a", "b"),
                ("cookie", "b=2"),
            ],
        ),
        data(3, false, b"abc"),
        frame(6, 0, 0, b"12345678"),
        // Three bytes of padding behind five of content.
        frame(0, 8 | 1, 3, b"\x03defgh\0\0\0"),
        post(5),
        data(5, false, b"content"),
        headers(5, true, &[("x-checksum", "7")]),
        // An unknown frame, a priority of RFC 7540, and a HEADERS with padding and priority.
        frame(0xbb, 0xff, 9, b"unknown"),
        frame(2, 0, 7, &[0, 0, 0, 3, 16]),
        frame(
            1,
            0x20 | 8 | 4 | 1,
            7,
            &[&[2, 0, 0, 0, 0, 9], block(&GET).as_slice(), &[0, 0]].concat(),
        ),
        frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0]),
    ]);
    let host = ("host".to_owned(), b"a".to_vec());
    let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    assert_eq!(outcome.error, None);
    assert_eq!(
        outcome.events,
        [
            Seen::Request(1, "GET / Empty".to_owned(), vec![host.clone()]),
            Seen::Request(
                3,
                "POST / Known(8)".to_owned(),
                vec![
                    host.clone(),
                    field("content-length", "8"),
                    field("x-a", "b"),
                    field("cookie", "a=1; b=2")
                ]
            ),
            Seen::Data(3, b"abcdefgh".to_vec()),
            Seen::End(3),
            Seen::Request(5, "POST / Unknown".to_owned(), vec![host.clone()]),
            Seen::Data(5, b"content".to_vec()),
            Seen::Trailers(5, vec![field("x-checksum", "7")]),
            Seen::Request(7, "GET / Empty".to_owned(), vec![host]),
            Seen::GoAway(0, ErrorCode::NO_ERROR),
        ]
    );
    let kinds: Vec<_> = frames(&outcome.output)
        .iter()
        .map(|frame| (frame.kind, frame.stream))
        .collect();
    let first = [(4, 0), (8, 0), (4, 0), (1, 1), (0, 1), (6, 0)];
    let rest = [(1, 3), (0, 3), (1, 5), (0, 5), (1, 7), (0, 7)];
    assert_eq!(kinds, [first, rest].concat());
}

#[test]
fn a_block_in_many_frames_is_read_however_it_is_cut() {
    let block = block(&GET);
    let (first, rest) = block.split_at(10);
    let (second, third) = rest.split_at(1);
    let outcome = run_frames(&[frame(1, 1, 1, first), frame(9, 0, 1, second), frame(9, 4, 1, third)]);
    assert_eq!(outcome.error, None);
    assert!(
        matches!(outcome.events[..], [Seen::Request(1, ..)]),
        "{:?}",
        outcome.events
    );
}

#[test]
fn errors_are_the_same_however_the_input_is_cut() {
    for (frames, code) in [
        (vec![data(1, true, b"x")], ErrorCode::PROTOCOL_ERROR),
        (vec![get(2)], ErrorCode::PROTOCOL_ERROR),
        (vec![frame(6, 0, 0, b"1234567")], ErrorCode::FRAME_SIZE_ERROR),
        (vec![frame(1, 5, 1, &[0x80])], ErrorCode::COMPRESSION_ERROR),
        (vec![frame(1, 1, 1, b""), get(3)], ErrorCode::PROTOCOL_ERROR),
        (vec![post(1), frame(0, 8, 1, &[5, 1, 2])], ErrorCode::PROTOCOL_ERROR),
        (vec![settings(&[(5, 1)])], ErrorCode::PROTOCOL_ERROR),
    ] {
        let outcome = run_frames(&[frames.concat(), get(99)]);
        assert_eq!(outcome.error.map(|error| error.code), Some(code), "{frames:02x?}");
    }
}

#[test]
fn stream_errors_leave_the_connection_however_the_input_is_cut() {
    let outcome = run_frames(&[
        headers(1, true, &[(":method", "GET")]),
        with_fields(3, false, &[("content-length", "2")]),
        data(3, false, b"abc"),
        data(3, true, b"late"),
        post(5),
        window_update(5, 0),
        post(7),
        reset(7, 8),
        data(7, true, b"late"),
        get(9),
    ]);
    assert_eq!(outcome.error, None);
    let resets: Vec<_> = frames(&outcome.output)
        .iter()
        .filter(|frame| frame.kind == 3)
        .map(|frame| (frame.stream, frame.payload[3]))
        .collect();
    assert_eq!(resets, [(1, 1), (3, 1), (5, 1)]);
    assert!(matches!(outcome.events.last(), Some(Seen::Request(9, ..))));
}

#[test]
fn the_preface_is_checked_byte_by_byte() {
    for end in 0..24 {
        let mut wrong = first_bytes();
        wrong[end] ^= 0x20;
        let outcome = run_pieces([wrong.as_slice()], &Limits::default());
        assert_eq!(
            outcome.error.map(|error| error.code),
            Some(ErrorCode::PROTOCOL_ERROR),
            "byte {end}"
        );
    }
    let mut bench = Bench::new();
    let without_settings = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &get(1)].concat();
    assert_eq!(bench.fail(&without_settings), ErrorCode::PROTOCOL_ERROR);
    let mut bench = Bench::new();
    let acknowledged_first = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 1, 0, b"")].concat();
    assert_eq!(bench.fail(&acknowledged_first), ErrorCode::PROTOCOL_ERROR);
}
