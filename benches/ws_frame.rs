//! Measures receiving a masked message and sending one through [`Connection`].
//!
//! `cargo bench -p squall-benches --bench ws_frame`

use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use squall::message::{RequestHead, ResponseHead, TargetForm};
use squall::websocket::{
    ClientHandshake, Connection, Deflate, DeflateConfig, Deflaters, Encoding, Event, Limits, Message, Payload,
    ServerHandshake, encode,
};

const SIZES: [(&str, usize); 2] = [("64 B", 64), ("64 KiB", 64 * 1024)];

fn receive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ws_receive");
    for (name, size) in SIZES {
        let frame = masked_text(size);
        let mut deflaters = Deflaters::new(6, 0);
        let now = start();
        let mut connection = Connection::server(Rc::new(Limits::default()), None, now);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut input = black_box(frame.as_slice());
                let event = connection.receive(&mut input, &mut deflaters, now);
                assert!(matches!(&event, Ok(Event::Message(Message::Text(text))) if text.len() == size));
                event
            });
        });
    }
    group.finish();
}

fn send(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ws_send");
    for (name, size) in SIZES {
        let text = "x".repeat(size);
        let mut deflaters = Deflaters::new(6, 0);
        let mut connection = Connection::server(Rc::new(Limits::default()), None, start());
        let mut out = Vec::new();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let sent = connection.send(black_box(text.as_str()), &mut deflaters, &mut out);
                assert_eq!((sent, out.len() > size), (Ok(()), true));
            });
        });
    }
    group.finish();
}

fn encode_once(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ws_encode");
    let mut deflaters = Deflaters::new(6, 0);
    for (name, size) in SIZES {
        let text = "x".repeat(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| encode(Payload::Text(black_box(&text)), Encoding::Plain, &mut deflaters));
        });
    }
    group.finish();
}

/// Measures compressing a message of 1 KiB: for many peers, for one, and for one with context takeover.
///
/// It also measures that peer's decompression.
fn deflate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ws_deflate_1_KiB");
    let text: String = (0..20)
        .map(|number| format!(r#"{{"symbol":"SQL{number}","price":{}}},"#, number * 37 % 997))
        .chain([" ".repeat(340)])
        .collect();
    let now = start();
    for (name, takes_over) in [("without takeover", false), ("with takeover", true)] {
        let mut deflaters = Deflaters::new(6, 1 << 20);
        let limits = Rc::new(Limits::default());
        let [server, client] = negotiate(takes_over, &deflaters);
        let mut server = Connection::server(Rc::clone(&limits), server, now);
        let mut client = Connection::client(limits, client, Box::new(|| [0; 4]), now);
        let mut out = Vec::new();
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("send and receive {name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                let sent = server.send(black_box(text.as_str()), &mut deflaters, &mut out);
                assert_eq!((sent, out.len() < text.len()), (Ok(()), true));
                let event = client.receive(&mut out.as_slice(), &mut deflaters, now);
                assert!(matches!(event, Ok(Event::Message(_))));
            });
        });
        if let Ok(encoding) = server.share() {
            group.bench_function(format!("encode {name}"), |bencher| {
                bencher.iter(|| encode(Payload::Text(black_box(&text)), encoding, &mut deflaters));
            });
        }
    }
    group.finish();
}

/// Returns permessage-deflate as both ends have it after a handshake.
fn negotiate(takes_over: bool, deflaters: &Deflaters) -> [Option<Deflate>; 2] {
    let config = DeflateConfig::default()
        .server_context_takeover(takes_over)
        .client_context_takeover(takes_over);
    let client = ClientHandshake::new([7; 16]).deflate(config.clone());
    let mut text = String::from("/a");
    let mut places = Vec::new();
    for (name, value) in client.fields().unwrap_or_default().iter() {
        let start = text.len();
        text.push_str(name.as_str());
        text.push_str(value.to_str().unwrap_or_default());
        places.push((
            start..start + name.as_str().len(),
            start + name.as_str().len()..text.len(),
        ));
    }
    let mut head = RequestHead::new();
    let mut builder = head.rewrite();
    builder
        .bytes(text.as_bytes())
        .target(TargetForm::Origin, "/")
        .path(0..1, None)
        .authority(1..2);
    for (name, value) in places {
        builder.field(name, value);
    }
    let mut response = ResponseHead::default();
    let server = ServerHandshake::new(&head)
        .ok()
        .and_then(|handshake| handshake.respond(None, Some(&config), deflaters, &mut response).ok()?);
    let client = client
        .check(&response, deflaters)
        .ok()
        .and_then(|agreement| agreement.deflate);
    [server, client]
}

/// Returns a client's frame, whose unmasked payload is `x`s.
fn masked_text(size: usize) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![0x81];
    match u8::try_from(size) {
        Ok(size @ 0..126) => frame.push(0x80 | size),
        _ => {
            frame.push(0x80 | 127);
            frame.extend((size as u64).to_be_bytes());
        }
    }
    frame.extend(key);
    frame.extend(key.iter().cycle().take(size).map(|byte| byte ^ b'x'));
    frame
}

#[expect(
    clippy::disallowed_methods,
    reason = "the machine wants some moment to count from; a bench has no shard to ask"
)]
fn start() -> Instant {
    Instant::now()
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = receive, send, encode_once, deflate
}
criterion_main!(benches);
