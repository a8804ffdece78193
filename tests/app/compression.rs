//! Compression of responses: which ones, with which coding, and what their heads say.

use std::cell::Cell;
use std::io::Read as _;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use crate::app_client::{AppClient, AppResponse};
use flate2::read::MultiGzDecoder;
use futures_util::stream::{iter, poll_fn};
use proptest::prelude::*;
use squall::middleware::{Compression, etag};
use squall::prelude::*;
use squall::routing::get;

/// The codings of this build, in the order of preference.
const CODINGS: &[&str] = if cfg!(feature = "compression") {
    &["zstd", "br", "gzip"]
} else {
    &["gzip"]
};

/// Text that compresses, and whose every part differs.
fn text(bytes: usize) -> String {
    let lines = (0_usize..).map(|line| format!("line {line} of a page that compresses well\n"));
    let mut text: String = lines.take(bytes / 32 + 1).collect();
    text.truncate(bytes);
    text
}

/// Decodes the content of a response by its own field.
fn decoded(response: &AppResponse) -> Vec<u8> {
    decode(response.header("content-encoding"), response.body())
}

fn decode(coding: Option<&str>, content: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    match coding {
        None => decoded.extend_from_slice(content),
        Some("gzip") => drop(MultiGzDecoder::new(content).read_to_end(&mut decoded).unwrap()),
        #[cfg(feature = "compression")]
        Some("br") => drop(
            brotli::Decompressor::new(content, 4096)
                .read_to_end(&mut decoded)
                .unwrap(),
        ),
        #[cfg(feature = "compression")]
        Some("zstd") => decoded = zstd::stream::decode_all(content).unwrap(),
        Some(other) => panic!("unknown coding {other}"),
    }
    decoded
}

/// Polls a flush once, and drops it.
async fn drop_flush(cx: &mut Context) {
    let mut flush = pin!(cx.flush());
    core::future::poll_fn(|task| {
        let _unfinished = flush.as_mut().poll(task);
        Poll::Ready(())
    })
    .await;
}

/// A page with the middleware around it.
fn page<R: Responder + Clone + 'static>(page: R) -> Application {
    let page = async move |_: &mut Context| page.clone();
    Application::new().middleware(Compression::new()).get("/", page)
}

#[test]
fn the_preferred_coding_is_used_and_described() {
    let client = AppClient::new(page(text(20_000))).unwrap();
    for (accepted, expected) in [
        ("gzip", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("gzip, deflate, br, zstd", Some(CODINGS[0])),
        ("*", Some(CODINGS[0])),
        ("gzip;q=0", None),
        ("*;q=0", None),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("deflate", None),
        ("", None),
    ] {
        let response = client.get("/").header("accept-encoding", accepted).send().unwrap();
        assert_eq!(response.header("content-encoding"), expected, "{accepted}");
        assert_eq!(response.header("vary"), Some("Accept-Encoding"), "{accepted}");
        assert_eq!(decoded(&response), text(20_000).as_bytes(), "{accepted}");
        assert_eq!(expected.is_some(), response.body().len() < 10_000, "{accepted}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
    }
    let without = client.get("/").send().unwrap();
    assert_eq!(
        (without.header("content-encoding"), without.header("vary")),
        (None, Some("Accept-Encoding"))
    );
}

#[test]
fn every_coding_decodes_to_the_content_however_long_it_is() {
    for &coding in CODINGS {
        for bytes in [1024, 4096, 65_536, 65_537, 300_000] {
            let client = AppClient::new(page(text(bytes))).unwrap();
            // Twice, because the second response has the compressor of the first.
            for _ in 0..2 {
                let response = client.get("/").header("accept-encoding", coding).send().unwrap();
                assert_eq!(response.header("content-encoding"), Some(coding), "{bytes}");
                assert!(decoded(&response) == text(bytes).as_bytes(), "{coding} {bytes}");
            }
        }
    }
}

#[test]
fn what_gains_nothing_is_sent_as_it_is() {
    async fn set(cx: &mut Context) -> Result<String> {
        for (name, value) in [
            ("type", "content-type"),
            ("encoding", "content-encoding"),
            ("cache", "cache-control"),
        ] {
            if let Some(text) = cx.optional_query_param::<String>(name)? {
                cx.set_header(value, text.as_str())?;
            }
        }
        if let Some(status) = cx.optional_query_param::<u16>("status")? {
            cx.set_status(status);
        }
        if cx.query() == Some("skip") {
            cx.skip_compression();
        }
        let bytes = cx.optional_query_param("n")?.unwrap_or(5000);
        Ok(text(bytes))
    }
    let routes = Application::new()
        .middleware(Compression::new().min_bytes(1000))
        .get("/", set);
    let client = AppClient::new(routes).unwrap();
    for (query, is_compressed) in [
        ("", true),
        ("n=1000", true),
        ("n=999", false),
        ("n=0", false),
        ("type=image/svg%2Bxml", true),
        ("type=image/png", false),
        ("type=application/octet-stream", false),
        ("encoding=identity", false),
        ("encoding=br", false),
        ("cache=public,+no-transform", false),
        ("cache=no-cache", true),
        ("status=206", false),
        ("status=201", true),
        ("skip", false),
    ] {
        let response = client
            .get(&format!("/?{query}"))
            .header("accept-encoding", "gzip")
            .send()
            .unwrap();
        let coding = response.header("content-encoding");
        assert_eq!(coding == Some("gzip"), is_compressed, "{query}: {coding:?}");
    }
    // Random content becomes longer.
    let mut state = 1_u32;
    let noise: Vec<u8> = core::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(5000)
    .collect();
    let client = AppClient::new(page(([("content-type", "text/plain")], noise.clone()))).unwrap();
    let response = client.get("/").header("accept-encoding", "gzip").send().unwrap();
    assert_eq!((response.header("content-encoding"), response.body()), (None, &*noise));
}

#[test]
fn fields_of_the_plain_content_are_replaced() {
    let fields = [
        ("content-length", "5000"),
        ("accept-ranges", "bytes"),
        ("vary", "Cookie"),
        ("etag", "\"strong\""),
    ];
    let client = AppClient::new(page((fields, text(5000)))).unwrap();
    let plain = client.get("/").send().unwrap();
    assert_eq!(plain.header("content-length"), Some("5000"));
    assert_eq!(plain.header("etag"), Some("\"strong\""));
    let response = client.get("/").header("accept-encoding", "gzip").send().unwrap();
    assert_eq!(response.header("content-length"), None);
    assert_eq!(response.header("accept-ranges"), None);
    assert_eq!(response.header("vary"), Some("Cookie, Accept-Encoding"));
    assert_eq!(response.header("etag"), Some("W/\"strong\""));
    assert_eq!(decoded(&response), text(5000).as_bytes());
}

#[test]
fn each_flush_can_be_decoded_at_once() {
    async fn pieces(cx: &mut Context) -> Result {
        for piece in ["one ", "two ", ""] {
            cx.write(piece);
            cx.flush().await?;
        }
        cx.write(text(200_000));
        cx.flush().await?;
        cx.write("end");
        Ok(())
    }
    let client = AppClient::new(Application::new().middleware(Compression::new()).get("/", pieces)).unwrap();
    for &coding in CODINGS {
        let response = client.get("/").header("accept-encoding", coding).send().unwrap();
        assert_eq!(response.header("content-encoding"), Some(coding));
        assert_eq!(response.flushes().len(), 3);
        if coding == "gzip" {
            let mut arrived = Vec::new();
            for (flush, expected) in response.flushes().iter().zip(["one ", "one two "]) {
                arrived.extend_from_slice(flush);
                let mut decoder = flate2::read::GzDecoder::new(&*arrived);
                let mut decoded = vec![0; expected.len()];
                decoder.read_exact(&mut decoded).unwrap();
                assert_eq!(decoded, expected.as_bytes());
            }
        }
        assert!(
            decoded(&response) == format!("one two {}end", text(200_000)).as_bytes(),
            "{coding}"
        );
    }
    let plain = client.get("/").send().unwrap();
    assert_eq!(plain.flushes()[0], b"one ");
}

#[test]
fn a_stream_is_flushed_when_it_has_nothing_ready() {
    let turns = Rc::new(Cell::new(0));
    let stream = async move |cx: &mut Context| {
        cx.write("before ");
        let turns = Rc::clone(&turns);
        turns.set(0);
        cx.stream(poll_fn(move |task| {
            turns.set(turns.get() + 1);
            match turns.get() {
                1 => Poll::Ready(Some(Ok::<_, Error>(Bytes::from_static(b"one ")))),
                2 => {
                    task.waker().wake_by_ref();
                    Poll::Pending
                }
                3..=6 => Poll::Ready(Some(Ok(Bytes::from(text(100_000))))),
                _ => Poll::Ready(None),
            }
        }));
    };
    let client = AppClient::new(Application::new().middleware(Compression::new()).get("/", stream)).unwrap();
    let expected = format!("before one {}", text(100_000).repeat(4));
    for &coding in CODINGS {
        let response = client.get("/").header("accept-encoding", coding).send().unwrap();
        assert_eq!(response.header("content-encoding"), Some(coding));
        assert!(decoded(&response) == expected.as_bytes(), "{coding}");
    }
}

#[test]
fn a_typed_stream_is_compressed_and_its_failure_cuts_it() {
    let routes = Application::new()
        .middleware(Compression::new())
        .get("/", async |cx: &mut Context| -> Result {
            cx.set_header("content-type", "text/html")?;
            let chunks = (0..50).map(|_| Ok::<_, Error>(Bytes::from(text(10_000))));
            cx.stream(iter(chunks.collect::<Vec<_>>()));
            Ok(())
        })
        .get("/fails", async |cx: &mut Context| -> Result {
            cx.set_header("content-type", "text/html")?;
            cx.stream(iter([Ok(Bytes::from(text(10_000))), Err(Error::new("torn"))]));
            Ok(())
        });
    let client = AppClient::new(routes).unwrap();
    for &coding in CODINGS {
        let response = client.get("/").header("accept-encoding", coding).send().unwrap();
        assert_eq!(response.header("content-encoding"), Some(coding));
        assert!(decoded(&response) == text(10_000).repeat(50).as_bytes(), "{coding}");
        assert!(
            client
                .get("/fails")
                .header("accept-encoding", coding)
                .send()
                .unwrap()
                .is_aborted()
        );
    }
}

/// A compressed response that is cut must not look whole, also where the handler announced its length.
#[test]
fn announced_content_that_differs_is_cut() {
    async fn announced(cx: &mut Context) -> Result {
        cx.set_header("content-type", "text/plain")?;
        cx.set_header("content-length", cx.query().unwrap_or_default().to_owned())?;
        cx.write(text(3000));
        cx.flush().await?;
        cx.write(text(3000));
        Ok(())
    }
    let client = AppClient::new(Application::new().middleware(Compression::new()).get("/", announced)).unwrap();
    let get = |length: &str| {
        client
            .get(&format!("/?{length}"))
            .header("accept-encoding", "gzip")
            .send()
            .unwrap()
    };
    let whole = get("6000");
    assert!(!whole.is_aborted());
    assert_eq!(whole.header("content-length"), None);
    assert_eq!(decoded(&whole).len(), 6000);
    assert!(get("6001").is_aborted(), "too short");
    assert!(get("5999").is_aborted(), "too long");
}

#[test]
fn head_has_the_fields_of_get() {
    async fn flushed(cx: &mut Context) -> Result {
        cx.write(text(3000));
        cx.flush().await
    }
    async fn streamed(cx: &mut Context) -> Result {
        cx.set_header("content-type", "text/css")?;
        cx.stream(iter([Ok::<_, Error>(Bytes::from(text(3000)))]));
        Ok(())
    }
    let compressed = Compression::new();
    let routes = Application::new()
        .middleware(compressed)
        .middleware(etag)
        .get("/", async |_: &mut Context| text(3000))
        .get("/small", async |_: &mut Context| text(30))
        .get("/flushed", flushed)
        .get("/streamed", streamed)
        .route(
            "/own",
            get(async |_: &mut Context| text(3000)).head(async |cx: &mut Context| -> Result {
                cx.set_header("content-type", "text/plain; charset=utf-8")?;
                cx.set_header("content-length", "3000")
            }),
        );
    let client = AppClient::new(routes).unwrap();
    for target in ["/", "/small", "/flushed", "/streamed"] {
        for accepted in ["gzip", ""] {
            let get = client.get(target).header("accept-encoding", accepted).send().unwrap();
            let head = client.head(target).header("accept-encoding", accepted).send().unwrap();
            assert_eq!(get.headers(), head.headers(), "{target} {accepted}");
        }
    }
    let own = client.head("/own").header("accept-encoding", "gzip").send().unwrap();
    assert_eq!(
        (own.header("content-encoding"), own.header("content-length")),
        (Some("gzip"), None)
    );
}

#[test]
fn error_pages_are_compressed_if_they_are_long_and_vary_in_any_case() {
    let routes = Application::new()
        .middleware(Compression::new())
        .get("/", async |_: &mut Context| {
            HttpError::new(404).with_message(text(3000))
        })
        .get("/late", async |cx: &mut Context| -> Result {
            cx.write(text(3000));
            cx.flush().await?;
            Err(Error::new("late"))
        })
        .get("/dropped", async |cx: &mut Context| -> Result {
            cx.write(text(300_000));
            // The first poll compresses one piece; nothing is sent.
            drop_flush(cx).await;
            Err(HttpError::new(409).into())
        });
    let client = AppClient::new(routes).unwrap();
    let get = |target| client.get(target).header("accept-encoding", "gzip").send().unwrap();
    let page = get("/");
    assert_eq!(
        (page.status().as_u16(), page.header("content-encoding")),
        (404, Some("gzip"))
    );
    assert_eq!(page.header("vary"), Some("Accept, Accept-Encoding"));
    assert!(decoded(&page).starts_with(b"404 Not Found: line 0"));
    assert_eq!(get("/nowhere").header("vary"), Some("Accept, Accept-Encoding"));
    assert!(get("/late").is_aborted());
    let dropped = get("/dropped");
    assert_eq!((dropped.status().as_u16(), &*dropped.text()), (409, "409 Conflict\n"));
    assert_eq!(get("/").status(), 404, "the next response begins anew");
}

#[test]
fn a_dropped_flush_loses_nothing() {
    async fn drops(cx: &mut Context) -> Result {
        cx.write(text(300_000));
        drop_flush(cx).await;
        cx.write("middle");
        cx.flush().await?;
        cx.write("end");
        Ok(())
    }
    async fn never_flushes_again(cx: &mut Context) -> Result {
        cx.write(text(300_000));
        drop_flush(cx).await;
        cx.write("end");
        Ok(())
    }
    let routes = Application::new()
        .middleware(Compression::new())
        .get("/", drops)
        .get("/never", never_flushes_again);
    let client = AppClient::new(routes).unwrap();
    for &coding in CODINGS {
        let get = |target| client.get(target).header("accept-encoding", coding).send().unwrap();
        assert!(
            decoded(&get("/")) == format!("{}middleend", text(300_000)).as_bytes(),
            "{coding}"
        );
        assert!(
            decoded(&get("/never")) == format!("{}end", text(300_000)).as_bytes(),
            "{coding}"
        );
    }
}

#[test]
fn compressors_beyond_their_memory_are_not_made() {
    let application = page(text(5000)).max_compressor_bytes(1024);
    let client = AppClient::new(application).unwrap();
    let response = client.get("/").header("accept-encoding", "gzip").send().unwrap();
    assert_eq!(
        (response.header("content-encoding"), response.header("vary")),
        (None, Some("Accept-Encoding"))
    );
    assert_eq!(response.text(), text(5000));
}

#[test]
fn without_the_middleware_nothing_is_compressed() {
    let client = AppClient::new(Application::new().get("/", async |_: &mut Context| text(5000))).unwrap();
    let response = client
        .get("/")
        .header("accept-encoding", "gzip, br, zstd")
        .send()
        .unwrap();
    assert_eq!(
        (response.header("content-encoding"), response.header("vary")),
        (None, None)
    );
}

proptest! {
    /// Whatever the client sends, the response decodes to the content by a coding that the client named or allowed.
    #[test]
    fn any_accept_encoding_gets_the_content(
        names in proptest::collection::vec("(gzip|br|zstd|identity|\\*|x-gzip|deflate|[a-z;=,. ]{0,8})", 0..6),
        weights in proptest::collection::vec("(|;q=0|;q=1|;q=0\\.[0-9]{1,3}|; Q=1\\.0|;q=2|;q|;;)", 6),
        junk in proptest::collection::vec(any::<u8>().prop_filter("a field's byte", |byte| *byte >= b' ' && *byte != 0x7f), 0..20),
    ) {
        let list: Vec<_> = names.iter().zip(&weights).map(|(name, weight)| format!("{name}{weight}")).collect();
        let list = list.join(",");
        let client = AppClient::new(page(text(2000))).unwrap();
        for accepted in [list.as_bytes(), &junk] {
            let response = client.get("/").header("accept-encoding", accepted).send().unwrap();
            let coding = response.header("content-encoding");
            prop_assert!(decode(coding, response.body()) == text(2000).as_bytes());
            if let Some(coding) = coding {
                let accepted = String::from_utf8_lossy(accepted).to_ascii_lowercase();
                prop_assert!(accepted.contains(coding) || accepted.contains('*'));
            }
        }
    }
}
