//! What it costs to receive a masked message and to send one: the whole way through [`Connection`].
//!
//! `cargo bench -p squall --no-default-features --bench ws_frame`

use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use squall::websocket::{Connection, Deflaters, Encoding, Event, Limits, Message, Payload, encode};

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

/// A client's frame; the payload is `x`s once it is unmasked.
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
    targets = receive, send, encode_once
}
criterion_main!(benches);
