//! A graceful stop answers the requests under way with `Connection: close` and waits for no client that has left.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use futures_util::StreamExt as _;
use squall::prelude::*;
use squall::shards::{Shard, Stop, clock, sleep, yield_now};

use crate::harness::*;

/// Longer than any stop here takes unless it waits for the wrong thing.
const FAR: Duration = Duration::from_secs(60);

/// Asserts that the server ends by itself in time.
fn ends(server: TestServer) {
    let began = clock::now();
    server.running.wait();
    let took = clock::now() - began;
    assert!(took < TIME_LIMIT, "the stop took {took:?}");
}

/// Sets timeouts so long that only the protocol itself can end a wait.
fn patiently(server: Server) -> Server {
    server.linger_timeout(FAR).shutdown_timeout(FAR)
}

/// An application that sends one piece and then nothing more.
fn silent_stream() -> Application {
    Application::new().get("/", async |cx: &mut Context| {
        let first = futures_util::stream::iter([Ok::<_, Error>(Bytes::from_static(b"hello"))]);
        cx.stream(first.chain(futures_util::stream::pending()));
    })
}

/// Waits in a handler until the stop has begun on its shard.
async fn until_stopping() {
    Shard::current().stopping(Stop::Graceful).await;
    // The stop also wakes the accept loops; they run next.
    for _ in 0..3 {
        yield_now().await;
    }
}

/// A request in flight when the stop begins is answered with `Connection: close`.
#[test]
fn a_response_during_a_stop_says_connection_close() {
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

/// A response that began before the stop cannot say `Connection: close`. Its connection answers one more request, and
/// that response says it.
#[test]
fn a_connection_whose_response_began_before_a_stop_answers_its_next_request() {
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
                    // Longer than the server waits for an idle connection after the stop began.
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

/// Clients that send the next request after each response lose no response through repeated stops.
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
                // Slow enough that a stop finds requests under way; their number does not matter.
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

/// Posts repeatedly on one connection until the server closes it. Every request gets a whole response.
fn ask_until_told_to_close(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIME_LIMIT)).unwrap();
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

/// Idle clients that do not close their half delay a stop by at most the second in which they could still send a
/// request.
#[test]
fn an_idle_client_does_not_delay_a_stop() {
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

/// A stop waits for a running `on_finish`, and its client already has the response.
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
            // Longer than the server waits for an idle connection after the stop began.
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

/// A silent stream whose client has closed does not delay a stop.
#[test]
fn a_silent_stream_of_a_closed_client_does_not_delay_a_stop() {
    let server = TestServer::configured(1, silent_stream, patiently);
    for transport in TRANSPORTS {
        server.ask(transport, get("/")).read_until("hello");
    }
    server.running.stopper.stop(Stop::Graceful);
    ends(server);
}

/// The same, if the client half-closed before and was probed: the server probes it once more.
#[test]
fn a_silent_stream_of_a_half_closed_then_closed_client_does_not_delay_a_stop() {
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

/// A client that has read its last response and does not close its half does not delay a stop.
#[test]
fn a_client_that_stays_open_after_its_last_response_does_not_delay_a_stop() {
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

/// Requests that a client has pipelined before the stop are all answered. The last response says `Connection: close`.
#[test]
fn a_stop_answers_pipelined_requests() {
    const PIPELINED: usize = 5;
    let (runs, told) = events();
    let server = TestServer::configured(
        1,
        move || {
            let runs = runs.clone();
            Application::new()
                .get("/slow", async move |cx: &mut Context| -> Result {
                    runs.send(()).ok();
                    until_stopping().await;
                    if cx.optional_query_param::<u8>("flush")?.is_some() {
                        cx.flush().await?;
                    }
                    cx.write("slow");
                    Ok(())
                })
                .get("/", async |_: &mut Context| "fast")
        },
        patiently,
    );
    let mut peers = Vec::new();
    for transport in TRANSPORTS {
        for first in ["/slow", "/slow?flush=1"] {
            for rest in ["/", "/slow", "/slow?flush=1"] {
                let mut requests = get(first);
                requests.extend(get(rest).repeat(PIPELINED - 1));
                peers.push(server.ask(transport, requests));
                told.next("the handler runs");
            }
        }
    }
    server.running.stopper.stop(Stop::Graceful);
    for peer in peers {
        let responses = String::from_utf8(peer.read_all().unwrap()).unwrap();
        assert_eq!(responses.matches("HTTP/1.1 200 OK").count(), PIPELINED, "{responses}");
        assert_eq!(responses.matches("Connection: close").count(), 1, "{responses}");
        let last = responses.rsplit("HTTP/1.1").next().unwrap();
        assert!(last.contains("Connection: close"), "{responses}");
    }
    ends(server);
}

/// A client that pipelines without a pause does not delay a stop, and its last response is whole.
#[test]
fn a_client_that_pipelines_without_a_pause_does_not_delay_a_stop() {
    let (runs, told) = events();
    let server = TestServer::configured(
        1,
        move || {
            let runs = runs.clone();
            Application::new().get("/", async move |_: &mut Context| {
                runs.send(()).ok();
                yield_now().await;
                "ok"
            })
        },
        patiently,
    );
    for transport in TRANSPORTS {
        let peer = server.connect(transport);
        let mut sending = peer.another();
        let client = std::thread::spawn(move || while sending.write_all(&get("/").repeat(100)).is_ok() {});
        let reading = std::thread::spawn(move || peer.read_all());
        told.next("the handler runs");
        drop((client, reading));
    }
    server.running.stopper.stop(Stop::Graceful);
    ends(server);
}
