//! What a signed cookie and an XSRF token cost a request.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use squall::security::{CookieSecret, XsrfToken};

const MONTH: Duration = Duration::from_secs(31 * 24 * 60 * 60);

fn signed_values(criterion: &mut Criterion) {
    let secret = CookieSecret::new("the secret of a benchmark, of 40 bytes..");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_000_000);
    let text = secret.sign("user", b"ada@example.com", now).unwrap();
    assert!(secret.verify("user", &text, now, MONTH).is_some());
    let forged = format!("{}0", &text[..text.len() - 1]);
    criterion.bench_function("sign a cookie", |bencher| {
        bencher.iter(|| {
            secret
                .sign(black_box("user"), black_box(b"ada@example.com"), now)
                .unwrap()
        });
    });
    criterion.bench_function("verify a signed cookie", |bencher| {
        bencher.iter(|| secret.verify("user", black_box(&text), now, MONTH));
    });
    criterion.bench_function("refuse a forged cookie", |bencher| {
        bencher.iter(|| secret.verify("user", black_box(&forged), now, MONTH));
    });
}

fn xsrf_tokens(criterion: &mut Criterion) {
    let token = XsrfToken::new([7; 16]);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_000_000);
    let (cookie, field) = (token.masked([1; 4], now), token.masked([2; 4], now));
    assert!(XsrfToken::read(&cookie) == XsrfToken::read(&field));
    criterion.bench_function("compare XSRF tokens", |bencher| {
        bencher.iter(|| XsrfToken::read(black_box(&cookie)) == XsrfToken::read(black_box(&field)));
    });
}

criterion_group!(benches, signed_values, xsrf_tokens);
criterion_main!(benches);
