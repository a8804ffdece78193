//! A graceful stop answers what is under way, tells clients that it was the last, and waits for nothing that has left.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use futures_util::StreamExt as _;
use squall::prelude::*;
use squall::shards::{Shard, Stop, clock, sleep, yield_now};

use crate::harness::*;

/// Far beyond what any stop here may take, and what each would take that waits for the wrong thing.
const FAR: Duration = Duration::from_secs(60);

/// The server ends by itself within the patience of a test.
fn ends(server: TestServer) {
    let began = clock::now();
    server.running.wait();
    let took = clock::now() - began;
    assert!(took < PATIENCE, "the stop took {took:?}");
}

/// Makes nothing but the protocol itself end a wait.
fn patiently(config: &mut squall::ServerConfig) {
    config.linger_timeout = FAR;
    config.shutdown_timeout = FAR;
}

/// An application that says hello, and then nothing more.
fn silent_stream() -> Application {
    Application::new().get("/", async |cx: &mut Context| {
        let first = futures_util::stream::iter([Ok::<_, Error>(Bytes::from_static(b"hello"))]);
        cx.stream(first.chain(futures_util::stream::pending()));
    })
}

/// Waits in a handler until the stop has begun on its shard.
async fn until_stopping() {
    Shard::current().stopping(Stop::Graceful).await;
    // The accept loops, which are woken too, have their turn.
    for _ in 0..3 {
        yield_now().await;
    }
}

/// Faults 3: a request in flight when the stop begins is answered with `Connection: close`.
#[test]
fn a_response_that_a_stop_overtakes_says_that_it_is_the_last() {
    for shards in [1, 2] {
        let (runs, told) = events();
        let server = TestServer::configured(
            shards,
            move || {
                let runs = runs.clone();
                let slow = async move |cx: &mut Context| -> Result {
                    cx.body().await?;
                    runs.send(()).ok();
                    until_stopping().await;
                    cx.write("slow");
                    Ok(())
                };
                let streamed = slow.clone();
                let stream = async move |cx: &mut Context| -> Result {
                    streamed(cx).await?;
                    cx.stream(futures_util::stream::empty::<Result<Bytes>>());
                    Ok(())
                };
                Application::new()
                    .get("/slow", slow.clone())
                    .post("/slow", slow)
                    .get("/stream", stream)
            },
            patiently,
        );
        let post = "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab";
        let mut peers = Vec::new();
        for transport in TRANSPORTS {
            for request in [get("/slow"), get("/stream"), post.into()] {
                peers.push(server.ask(transport, request));
                told.next("the handler runs");
            }
        }
        server.running.stopper.stop(Stop::Graceful);
        for peer in peers {
            let response = String::from_utf8(peer.read_all().unwrap()).unwrap();
            assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
            assert!(response.contains("slow"), "{response}");
        }
        ends(server);
    }
}

/// Faults 3: a connection whose response had begun before the stop, so that it could not say `Connection: close`, answers one request more
/// after it, and that one says it.
#[test]
fn a_connection_that_could_not_be_told_of_the_stop_answers_its_next_request() {
    let (runs, told) = events();
    let server = TestServer::configured(
        1,
        move || {
            let runs = runs.clone();
            Application::new().get("/", async |_: &mut Context| "again").get(
                "/begun",
                async move |cx: &mut Context| -> Result {
                    cx.flush().await?;
                    runs.send(()).ok();
                    until_stopping().await;
                    // Longer than an idle connection is listened to after the stop began.
                    sleep(Duration::from_millis(1500)).await;
                    cx.write("begun");
                    Ok(())
                },
            )
        },
        patiently,
    );
    let mut peers = TRANSPORTS.map(|transport| server.ask(transport, get("/begun")));
    for _ in &peers {
        told.next("the handler runs");
    }
    server.running.stopper.stop(Stop::Graceful);
    for peer in &mut peers {
        let response = peer.read_until("\r\n0\r\n\r\n");
        assert!(!response.contains("Connection: close"), "{response}");
        peer.write_all(&get("/")).unwrap();
        let response = peer.read_until("again");
        assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
    }
    drop(peers);
    ends(server);
}

/// Faults 3: clients that ask again as soon as they are answered lose no answer through stop after stop.
#[test]
fn clients_in_closed_loops_lose_no_answer_through_stops() {
    const CLIENTS: usize = 16;
    const STOPS: usize = 3;
    for _ in 0..STOPS {
        let (runs, told) = events();
        let server = TestServer::start(2, move || {
            let runs = runs.clone();
            Application::new().post("/", async move |cx: &mut Context| -> Result {
                let content = cx.body().await?;
                runs.send(()).ok();
                sleep(Duration::from_millis(200)).await;
                cx.write(content);
                Ok(())
            })
        });
        let address = server.running.address;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| std::thread::spawn(move || ask_until_told_to_close(address)))
            .collect();
        for _ in 0..2 * CLIENTS {
            told.next("the clients ask");
        }
        server.running.stopper.stop(Stop::Graceful);
        for client in clients {
            client.join().unwrap();
        }
        ends(server);
    }
}

/// Posts again and again on one connection, as long as it may; each request is answered whole.
fn ask_until_told_to_close(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    loop {
        let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd";
        stream.write_all(request).unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\nabcd") {
            let mut piece = [0; 1024];
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "no answer but {}", String::from_utf8_lossy(&response));
            response.extend_from_slice(&piece[..count]);
        }
        if String::from_utf8_lossy(&response).contains("Connection: close") {
            return;
        }
    }
}

/// Faults 8: idle clients that do not close their half hold a stop up by the second in which they could have sent a request.
#[test]
fn an_idle_client_that_does_not_close_holds_no_stop_up() {
    let server = TestServer::configured(
        2,
        || Application::new().get("/", async |_: &mut Context| "ok"),
        patiently,
    );
    let mut peers = TRANSPORTS.map(|transport| server.ask(transport, get("/")));
    for peer in &mut peers {
        peer.read_until("ok");
    }
    let silent = TRANSPORTS.map(|transport| server.connect(transport));
    server.running.stopper.stop(Stop::Graceful);
    ends(server);
    drop((peers, silent));
}

/// A stop waits for an `on_finish` that is under way, and its client has the response meanwhile.
#[test]
fn a_stop_waits_for_on_finish() {
    struct Finishing(std::sync::mpsc::Sender<&'static str>);
    impl RequestHandler for Finishing {
        async fn get(&self, cx: &mut Context) -> Result {
            cx.write("ok");
            Ok(())
        }
        async fn on_finish(&self, _: &mut Context) {
            let _given_up = OnDrop(self.0.clone(), "dropped");
            until_stopping().await;
            sleep(Duration::from_millis(1500)).await;
            self.0.send("finished").ok();
        }
    }
    let (finished, told) = events();
    let server = TestServer::configured(
        1,
        move || Application::new().route("/", Finishing(finished.clone())),
        patiently,
    );
    let peers = TRANSPORTS.map(|transport| {
        let mut peer = server.ask(transport, get("/"));
        peer.read_until("ok");
        peer
    });
    server.running.stopper.stop(Stop::Graceful);
    ends(server);
    for _ in &peers {
        assert_eq!(told.next("on_finish ends"), "finished");
        assert_eq!(told.next("on_finish ends"), "dropped");
    }
}

/// Faults 2 (a): a stream that is silent, and whose client has closed, holds no stop up.
#[test]
fn a_silent_stream_whose_client_has_gone_holds_no_stop_up() {
    let server = TestServer::configured(1, silent_stream, patiently);
    for transport in TRANSPORTS {
        server.ask(transport, get("/")).read_until("hello");
    }
    server.running.stopper.stop(Stop::Graceful);
    ends(server);
}

/// The same, where the client had closed its half before and was asked whether it still reads: it is asked once more.
#[test]
fn a_silent_stream_whose_client_half_closed_and_then_closed_holds_no_stop_up() {
    let server = TestServer::configured(1, silent_stream, patiently);
    for transport in TRANSPORTS {
        let mut peer = server.ask(transport, get("/"));
        peer.read_until("hello\r\n");
        peer.half_close();
        peer.read_until("0");
    }
    server.running.stopper.stop(Stop::Graceful);
    ends(server);
}

/// Faults 8: a client that has read its last response and does not close its half holds no stop up.
#[test]
fn a_client_that_does_not_close_after_its_last_response_holds_no_stop_up() {
    let server = TestServer::configured(
        1,
        || Application::new().get("/", async |_: &mut Context| "ok"),
        patiently,
    );
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let peers = TRANSPORTS.map(|transport| {
        let mut peer = server.ask(transport, request);
        peer.read_until("ok");
        peer
    });
    server.running.stopper.stop(Stop::Graceful);
    ends(server);
    drop(peers);
}
