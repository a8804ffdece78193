//! Measures writing a response head, and a whole exchange: head in, response out, next exchange.
//!
//! `cargo bench -p squall-benches --bench http1_encode`

use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use squall::http1::{BodyLength, Connection, Event, Limits, Next};
use squall::message::{HeaderValue, HttpDate, RequestHead, ResponseHead, StatusCode, header};

const REQUEST: &str = "GET /plaintext HTTP/1.1\r\nHost: tfb-server\r\nAccept: text/plain,text/html;q=0.9,*/*;q=0.1\r\n\
    Connection: keep-alive\r\nUser-Agent: wrk/4.2.0\r\n\r\n";
const CONTENT: &[u8] = b"Hello, World!";

fn plaintext() -> ResponseHead {
    let mut head = ResponseHead::new(StatusCode::OK);
    head.headers
        .set(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    head.headers.set(header::SERVER, HeaderValue::from_static("squall"));
    head
}

fn respond(connection: &mut Connection, head: &ResponseHead, date: &HttpDate, out: &mut Vec<u8>) {
    let length = BodyLength::Known(CONTENT.len() as u64);
    assert_eq!(connection.send_head(head, length, date, out), Ok(()));
    assert_eq!(connection.send_data(CONTENT, out), Ok(()));
    assert_eq!(connection.send_end(None, out), Ok(()));
}

fn exchanges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http1_encode");
    let now = start();
    let date = HttpDate::from(SystemTime::UNIX_EPOCH);
    let head = plaintext();
    let limits = Rc::new(Limits::default());

    group.bench_function("plaintext_exchange", |bencher| {
        let mut connection = Connection::new(Rc::clone(&limits), now);
        let mut request = RequestHead::new();
        let mut out = Vec::with_capacity(4096);
        bencher.iter(|| {
            out.clear();
            let mut input = black_box(REQUEST.as_bytes());
            let event = connection.receive(&mut input, &mut request, now);
            assert_eq!(event, Ok(Event::Request));
            respond(&mut connection, &head, &date, &mut out);
            assert_eq!(connection.next_exchange(now), Next::KeepAlive);
            out.len()
        });
    });

    group.bench_function("plaintext_response", |bencher| {
        let mut request = RequestHead::new();
        let mut out = Vec::with_capacity(4096);
        let mut requested = || {
            let mut connection = Connection::new(Rc::clone(&limits), now);
            let event = connection.receive(&mut REQUEST.as_bytes(), &mut request, now);
            assert_eq!(event, Ok(Event::Request));
            connection
        };
        bencher.iter_batched_ref(
            &mut requested,
            |connection| {
                out.clear();
                respond(connection, black_box(&head), &date, &mut out);
                out.len()
            },
            BatchSize::SmallInput,
        );
    });
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
    targets = exchanges
}
criterion_main!(benches);
