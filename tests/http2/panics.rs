//! Handlers that panic, at their first poll and later (C26). Each costs its own stream.

use squall::prelude::*;
use squall::shards::yield_now;

use crate::support::running::Running;
use crate::wire::*;

async fn at_once(_: &mut Context) -> Result {
    panic!("a test panics at the first poll")
}

async fn later(_: &mut Context) -> Result {
    yield_now().await;
    panic!("a test panics at a later poll")
}

async fn behind_a_flush(cx: &mut Context) -> Result {
    cx.write("part");
    cx.flush().await?;
    panic!("a test panics behind a flush")
}

fn application() -> Application {
    Application::new()
        .get("/", async |_: &mut Context| "ok")
        .get("/at-once", at_once)
        .get("/later", later)
        .get("/behind-a-flush", behind_a_flush)
}

/// A panic before the head is answered 500. One behind it resets the stream, and the connection lives.
#[test]
fn c26_a_panic_ends_its_own_stream() {
    let server = Running::start(1, application);
    let mut connection = Http2::open_to(server.address);
    let mut id = 1;
    for _ in 0..20 {
        for path in ["/at-once", "/later"] {
            assert_eq!(connection.get(id, path).status, 500, "{path}");
            id += 2;
        }
        connection.send(&get(id, "/behind-a-flush"));
        let reset = connection.frame_of(RST_STREAM);
        assert_eq!((reset.stream, reset.number(0)), (id, 2), "INTERNAL_ERROR");
        assert_eq!(connection.get(id + 2, "/").content, b"ok");
        id += 4;
    }
}
