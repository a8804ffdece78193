//! Measures reading a request head through [`Connection::receive`] into a pooled head.
//!
//! `cargo bench -p squall-benches --bench http1_head`

use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use squall::http1::{Connection, Event, Limits};
use squall::message::RequestHead;

/// The request of wrk.
const WRK: &str = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8888\r\n\r\n";

/// The request of the TechEmpower toolset for /plaintext.
const FOUR_FIELDS: &str = "GET /plaintext HTTP/1.1\r\nHost: tfb-server\r\nAccept: text/plain,text/html;q=0.9,*/*;q=0.1\r\n\
    Connection: keep-alive\r\nUser-Agent: wrk/4.2.0\r\n\r\n";

/// The request of a browser.
const TEN_FIELDS: &str = "GET /articles/2026/storms?page=2&sort=new HTTP/1.1\r\nHost: www.example.org\r\nConnection: keep-alive\r\n\
    Cache-Control: max-age=0\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=9f2d6c1b7a5e4f3d8c0b; theme=dark\r\nIf-None-Match: \"5e2f-17a\"\r\n\r\n";

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http1_head");
    for (name, text) in [("wrk", WRK), ("four_fields", FOUR_FIELDS), ("ten_fields", TEN_FIELDS)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| {
            let limits = Rc::new(Limits::default());
            let now = start();
            let mut head = RequestHead::new();
            bencher.iter(|| {
                let mut connection = Connection::new(Rc::clone(&limits), now);
                let mut input = black_box(text.as_bytes());
                let event = connection.receive(&mut input, &mut head, now);
                assert_eq!(event, Ok(Event::Request));
                head.fields().len()
            });
        });
    }
    group.finish();
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
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = heads
}
criterion_main!(benches);
