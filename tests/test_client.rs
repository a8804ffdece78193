//! `squall::testing::TestClient`: an application on shards of its own behaves as in production.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream;
use serde::{Deserialize, Serialize};
use squall::Event;
use squall::app::{InvalidProxy, Peer};
use squall::prelude::*;
use squall::pubsub::Start;
use squall::shards::{Builder, Driver, Shard, ShardId, invoke_on, sleep, spawn_blocking};
use squall::testing::TestClient;
use squall::websocket::Message;

/// A short timeout, for calls that must meet it.
const SHORT: Duration = Duration::from_millis(50);

async fn shard(_cx: &mut Context) -> String {
    Shard::current().id().index().to_string()
}

/// Uses a timer, the blocking pool, another shard and a topic.
async fn everything(cx: &mut Context) -> Result<String> {
    sleep(Duration::from_millis(1)).await;
    let blocking = spawn_blocking(|| 20).await?;
    let other = Shard::current().count() - 1;
    let number = invoke_on(ShardId::new(other), || async { Shard::current().id().index() }).await?;
    cx.publish("news", "hello").await?;
    Ok(format!("{blocking} {number}"))
}

struct Echo;

impl WebSocketHandler for Echo {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        if message.as_str() == Some("bye") {
            return Ok(ws.close(4000, "as you like")?);
        }
        Ok(ws.send(message).await?)
    }
}

struct Reader;

impl WebSocketHandler for Reader {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        ws.subscribe("news")?;
        Ok(ws.send(Shard::current().id().index().to_string()).await?)
    }

    async fn on_message(&mut self, _ws: &WebSocket, _message: Message) -> Result {
        Ok(())
    }
}

async fn events(cx: &mut Context) -> Result {
    let mut events = cx.event_stream()?;
    events.subscribe("news")?;
    events.send(Event::new("one\ntwo").name("tick").id("7")).await?;
    events.run().await
}

/// Sends what the topic's history has.
async fn kept(cx: &mut Context) -> Result {
    let mut events = cx.event_stream()?;
    events.subscribe_from("kept", Start::Last(1))?;
    events.run().await
}

fn application() -> Application {
    Application::new()
        .get("/shard", shard)
        .get("/kept", kept)
        .get("/everything", everything)
        .get("/events", events)
        .websocket("/echo", async |_: &mut Context| Ok(Echo))
        .websocket("/news", async |_: &mut Context| Ok(Reader))
        .get("/never", async |_: &mut Context| pending::<String>().await)
}

#[test]
fn timers_blocking_work_other_shards_and_topics_work_in_a_handler() {
    let client = TestClient::new(application).unwrap();
    assert_eq!(client.get("/everything").send().unwrap().text(), "20 0");
    let client = TestClient::with_shards(2, application).unwrap();
    assert_eq!(client.get("/everything").send().unwrap().text(), "20 1");
}

#[test]
fn a_websocket_echoes_and_either_end_closes_it() {
    let client = TestClient::new(application).unwrap();
    let mut echo = client.websocket("/echo").unwrap();
    for message in ["hello", ""] {
        echo.send(message).unwrap();
        assert_eq!(echo.receive().unwrap(), message.into());
    }
    let large = vec![7; 1_000_000];
    echo.send(large.clone()).unwrap();
    assert_eq!(echo.receive().unwrap(), large.into());
    let closed = echo.close(1000, "done").unwrap().unwrap();
    assert_eq!(closed.code.number(), 1000);
    assert!(echo.send("more").is_err());

    let mut echo = client.websocket("/echo").unwrap();
    echo.send("bye").unwrap();
    let closed = echo.receive_close().unwrap().unwrap();
    assert_eq!((closed.code.number(), &*closed.reason), (4000, "as you like"));
    assert!(echo.receive().is_err());

    let mut echo = client.websocket("/echo").unwrap();
    echo.send("bye").unwrap();
    let error = echo.receive().unwrap_err().to_string();
    assert!(error.contains("4000: as you like"), "{error}");
}

#[test]
fn a_rejected_websocket_is_an_error_with_the_status() {
    let application = || {
        application().websocket("/private", async |cx: &mut Context| {
            cx.header("x-user").or_status(401)?;
            Ok(Echo)
        })
    };
    let client = TestClient::new(application).unwrap();
    assert_eq!(client.websocket("/private").unwrap_err().status(), 401);
    let mut echo = client.get("/private").header("x-user", "Ada").websocket().unwrap();
    echo.send("hello").unwrap();
    assert_eq!(echo.receive().unwrap(), "hello".into());
    let plain = client.websocket("/shard").unwrap_err();
    assert_eq!(plain.status(), 200);
    assert_eq!(
        plain.to_string(),
        "200 OK: could not open the WebSocket: the route answered 200 instead of switching protocols; add the route with \
         Application::websocket"
    );
    let unknown = client.websocket("/none").unwrap_err().to_string();
    assert!(
        unknown.ends_with("answered 404 instead of switching protocols; no route has this path"),
        "{unknown}"
    );
}

#[test]
fn an_event_stream_yields_events_until_its_end() {
    let client = TestClient::new(application).unwrap();
    let mut events = client.event_stream("/events").unwrap();
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    let first = events.next().unwrap().unwrap();
    assert_eq!(
        (first.name(), first.data(), first.id()),
        (Some("tick"), "one\ntwo", Some("7"))
    );
    client.publisher().publish("news", "hello").blocking().unwrap();
    assert_eq!(events.next().unwrap().unwrap().data(), "hello");
    assert_eq!(client.event_stream("/nowhere").unwrap_err().status(), 404);
    let unfit = client.event_stream("/shard").unwrap_err().to_string();
    assert!(unfit.contains("cx.event_stream()"), "{unfit}");

    let finite = || {
        Application::new().get("/", async |cx: &mut Context| -> Result {
            cx.event_stream()?.send(Event::new("only")).await
        })
    };
    let client = TestClient::new(finite).unwrap();
    let events: Result<Vec<_>> = client.event_stream("/").unwrap().collect();
    assert_eq!(events.unwrap().len(), 1);
}

#[test]
fn connections_go_to_the_shards_in_turn_and_topics_join_them() {
    let client = TestClient::with_shards(2, application).unwrap();
    let shards = [0, 1, 2].map(|_| client.get("/shard").send().unwrap().text());
    assert_eq!(shards, ["0", "1", "0"]);
    let last = client.get("/shard").shard(ShardId::new(1)).send().unwrap();
    assert_eq!(last.text(), "1");
    let mut readers = [0, 1].map(|index| client.get("/news").shard(ShardId::new(index)).websocket().unwrap());
    for (reader, shard) in readers.iter_mut().zip(["0", "1"]) {
        assert_eq!(reader.receive().unwrap(), shard.into());
    }
    client.get("/everything").send().unwrap();
    for reader in &mut readers {
        assert_eq!(reader.receive().unwrap(), "hello".into());
    }
    let missing = client.get("/shard").shard(ShardId::new(2)).send().unwrap_err();
    assert!(missing.to_string().contains("does not exist"), "{missing}");
}

#[test]
fn a_server_keeps_its_own_settings_on_either_driver() {
    for driver in [Driver::Auto, Driver::Epoll] {
        let topics = TopicOptions::default().history(HistoryLimits::default());
        let server = Server::new(application).shards(2).topic("kept", topics);
        let server = server.driver(driver);
        let client = TestClient::from_server(server).unwrap();
        client.publisher().publish("kept", "from before").blocking().unwrap();
        let mut events = client.event_stream("/kept").unwrap();
        assert_eq!(events.next().unwrap().unwrap().data(), "from before");
        assert_eq!(client.get("/everything").send().unwrap().text(), "20 1");
    }
}

#[test]
fn a_test_reads_the_state_of_a_shard() {
    let application = || {
        Application::new()
            .state(Cell::new(0_u32))
            .get("/", async |State(hits): State<Cell<u32>>| hits.set(hits.get() + 1))
    };
    let client = TestClient::with_shards(2, application).unwrap();
    for _ in 0..3 {
        assert!(client.get("/").send().unwrap().status().is_success());
    }
    let hits = [0, 1].map(|index| client.on_shard(ShardId::new(index), |hits: &Cell<u32>| hits.get()));
    assert_eq!(hits.map(Result::unwrap), [2, 1]);
}

#[derive(Debug, Deserialize, Serialize, PartialEq)]
struct Order {
    item: String,
    count: Vec<u32>,
}

#[test]
fn json_forms_and_cookies_arrive() {
    let application = || {
        Application::new()
            .put("/json", async |Json(order): Json<Order>| Json(order))
            .put("/form", async |Form(order): Form<Order>| Json(order))
            .get("/cookies", async |cx: &mut Context| -> Result<String> {
                let all = cx.cookies().iter()?.map(|(name, value)| format!("{name}:{value}"));
                Ok(all.collect::<Vec<_>>().join(" "))
            })
    };
    let client = TestClient::new(application).unwrap();
    let order = Order {
        item: "a&b=c \u{e9}".to_owned(),
        count: vec![1, 2],
    };
    for request in [client.put("/json").json(&order), client.put("/form").form(&order)] {
        assert_eq!(request.send().unwrap().json::<Order>().unwrap(), order);
    }
    let request = client.get("/cookies").cookie("a", "1").cookie("b", "\"2\"");
    assert_eq!(request.send().unwrap().text(), "a:1 b:2");
    assert_eq!(
        client.get("/cookies").send().unwrap().text(),
        "",
        "cookies are not kept"
    );
    let unwritable = BTreeMap::from([(vec![1], 2)]);
    let unsent = client.put("/json").json(&unwritable).send().unwrap_err();
    assert!(unsent.to_string().contains("key must be a string"), "{unsent}");
    assert!(client.put("/form").form(&[("a", &order)]).send().is_err());
}

#[test]
fn content_arrives_whole_in_chunks_and_with_trailers() {
    let application = || {
        Application::new()
            .max_body_bytes(4_000_000)
            .post("/", async |cx: &mut Context| -> Result<String> {
                let length = cx.body().await?.len();
                let sum = cx.trailers().get(&HeaderName::from_static("x-sum")).cloned();
                Ok(format!("{length} {:?} {sum:?}", cx.content_length()))
            })
    };
    let client = TestClient::new(application).unwrap();
    let sum = || (HeaderName::from_static("x-sum"), HeaderValue::from_static("7"));
    let large = vec![b'x'; 3_000_000];
    for (request, expected) in [
        (client.post("/"), "0 Some(0) None"),
        (client.post("/").body("abc"), "3 Some(3) None"),
        (
            client.post("/").body("abc").header("expect", "100-continue"),
            "3 Some(3) None",
        ),
        (client.post("/").chunks(["a", "", "bc"]), "3 None None"),
        (
            client.post("/").chunks(["a"]).trailer(sum().0, sum().1),
            "1 None Some(\"7\")",
        ),
        (client.post("/").body(large.clone()), "3000000 Some(3000000) None"),
        (client.post("/").chunks([large.clone(), large]), ""),
    ] {
        let response = request.send().unwrap();
        match expected {
            "" => assert_eq!(response.status(), 413),
            text => assert_eq!(response.text(), text),
        }
    }
}

#[test]
fn a_large_request_and_a_large_response_pass_each_other() {
    let application = || {
        Application::new().post("/", async |cx: &mut Context| -> Result {
            cx.set_body_limit(4_000_000);
            while let Some(piece) = cx.next_chunk().await? {
                cx.write(piece);
                cx.flush().await?;
            }
            Ok(())
        })
    };
    let client = TestClient::new(application).unwrap();
    let large: Vec<u8> = (0..3_000_000_u32).map(|index| index.to_le_bytes()[1]).collect();
    let response = client.post("/").body(large.clone()).send().unwrap();
    assert!(response.body() == large, "{} bytes", response.body().len());
}

#[test]
fn responses_end_as_their_framing_says() {
    let application = || {
        Application::new()
            .get("/text", async |_: &mut Context| "text")
            .delete("/text", async |_: &mut Context| StatusCode::NO_CONTENT)
            .get("/stream", async |cx: &mut Context| {
                cx.stream(stream::iter(["a", "b"].map(|text| Ok::<_, Error>(Bytes::from(text)))));
            })
            .get("/broken", async |cx: &mut Context| -> Result {
                cx.write("a");
                cx.flush().await?;
                Err(Error::new("broken"))
            })
            .get("/cut", async |cx: &mut Context| {
                cx.stream(stream::iter([Err::<Bytes, _>(Error::new("broken"))]));
            })
    };
    let client = TestClient::new(application).unwrap();
    let read = |request: squall::testing::TestRequest<'_>| {
        let response = request.send().unwrap();
        (response.status().as_u16(), response.text(), response.is_aborted())
    };
    assert_eq!(read(client.get("/text")), (200, "text".to_owned(), false));
    assert_eq!(read(client.head("/text")), (200, String::new(), false));
    assert_eq!(client.head("/text").send().unwrap().header("content-length"), Some("4"));
    assert_eq!(read(client.delete("/text")), (204, String::new(), false));
    assert_eq!(read(client.get("/stream")), (200, "ab".to_owned(), false));
    assert_eq!(read(client.get("/broken")), (200, "a".to_owned(), true));
    assert!(client.get("/cut").send().is_err(), "the head was not sent");
    assert_eq!(
        read(client.get("/text").header("connection", "close")),
        (200, "text".to_owned(), false)
    );
}

#[test]
fn the_application_sees_the_peer_that_the_test_names() -> Result<(), InvalidProxy> {
    let proxies: squall::TrustedProxies = "10.0.0.1".parse()?;
    let application = move || {
        Application::new()
            .trusted_proxies(proxies.clone())
            .get("/", async |cx: &mut Context| {
                format!("{:?} {}", cx.remote_ip(), cx.protocol())
            })
    };
    let client = TestClient::new(application).unwrap();
    let peer = |address: &str, is_secure| Peer {
        address: Some(address.parse().unwrap()),
        is_secure,
    };
    let seen = |request: squall::testing::TestRequest<'_>| request.send().unwrap().text();
    assert_eq!(seen(client.get("/")), "Some(127.0.0.1) http");
    assert_eq!(
        seen(client.get("/").peer(peer("192.0.2.7:80", true))),
        "Some(192.0.2.7) https"
    );
    let forwarded = client.get("/").header("x-forwarded-for", "192.0.2.9");
    assert_eq!(seen(forwarded.peer(peer("10.0.0.1:80", false))), "Some(192.0.2.9) http");
    Ok(())
}

#[test]
fn a_call_that_the_application_does_not_answer_ends_with_the_timeout() {
    let client = TestClient::new(application).unwrap().timeout(SHORT);
    let errors = [
        client.get("/never").send().unwrap_err(),
        // On a slow machine the handshake meets the timeout, with the same error.
        client
            .websocket("/echo")
            .and_then(|mut echo| echo.receive())
            .unwrap_err(),
        client
            .event_stream("/events")
            .and_then(|mut events| events.nth(1).unwrap())
            .unwrap_err(),
    ];
    for error in errors {
        assert!(error.to_string().contains("took longer than 50ms"), "{error}");
    }
    let client = client.timeout(Duration::from_secs(10));
    assert_eq!(client.get("/shard").send().unwrap().text(), "0");
}

#[test]
fn a_request_that_cannot_be_sent_is_an_error() {
    let client = TestClient::new(application).unwrap();
    for (request, why) in [
        (client.get("/with a space"), "percent-encode it"),
        (client.get(""), "does not begin with a slash; write `/`"),
        (client.get("shard"), "does not begin with a slash; write `/shard`"),
        (client.get("shard?a=http:"), "does not begin with a slash"),
        (client.get("shard").http2(), "does not begin with a slash"),
        (
            client.get("/shard").header("x-a", "b\r\nx-c: d"),
            "a byte that HTTP forbids",
        ),
        (client.get("/shard").header("a b", "c"), "a byte that HTTP forbids"),
        (
            client.post("/shard").form_file("a", "b", "c\r\nd", "e"),
            "the media type \"c\\r\\nd\"",
        ),
    ] {
        let error = request.send().unwrap_err().to_string();
        assert!(
            error.starts_with("could not send the request: ") && error.contains(why),
            "{error}"
        );
    }
    let error = client.websocket("shard").unwrap_err().to_string();
    assert!(error.contains("write `/shard`"), "{error}");
}

/// Fields and files arrive as from a browser, over both protocols.
#[test]
fn a_multipart_form_arrives_with_its_fields_and_files() {
    async fn upload(form: MultipartForm) -> Result<String> {
        let fields: Vec<_> = form.fields().map(|(name, value)| format!("{name}={value}")).collect();
        let file = form.file("photo").or_status(400)?;
        let (name, media_type) = (file.file_name(), file.content_type().unwrap_or_default());
        Ok(format!("{} {name} {media_type} {}", fields.join("&"), file.len()))
    }
    let client = TestClient::new(|| Application::new().post("/upload", upload)).unwrap();
    let request = || {
        let request = client.post("/upload").form_field("title", "Two \"cats\"");
        let request = request.form_field("tag", "a").form_field("tag", "b");
        request.form_file("photo", "cat \"1\".png", "image/png", vec![7; 10_000])
    };
    for request in [request(), request().http2()] {
        let response = request.send().unwrap();
        assert_eq!(
            response.text(),
            "title=Two \"cats\"&tag=a&tag=b cat \"1\".png image/png 10000"
        );
    }
    // Content that is set later replaces the form.
    assert_eq!(request().body("title=x").send().unwrap().status(), 415);
}

#[test]
fn an_application_that_cannot_be_built_is_an_error_at_once() {
    let twice = || Application::new().get("/", shard).get("/", shard);
    for shards in [1, 2] {
        let error = TestClient::with_shards(shards, twice).unwrap_err();
        assert!(
            format!("{error:?}").contains("`/` has two handlers for GET"),
            "{error:?}"
        );
    }
}

/// Records what it has been told, and a request later.
struct Finishing(Arc<AtomicUsize>);

impl RequestHandler for Finishing {
    async fn get(&self, cx: &mut Context) -> Result {
        cx.write("sent");
        Ok(())
    }

    async fn on_finish(&self, _cx: &mut Context) {
        // Longer than the client needs to read the response, so that it would be back first.
        sleep(Duration::from_millis(20)).await;
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_request_returns_after_on_finish_has_run() {
    let finished = Arc::new(AtomicUsize::new(0));
    let application = {
        let finished = Arc::clone(&finished);
        move || Application::new().route("/", Finishing(Arc::clone(&finished)))
    };
    let client = TestClient::new(application).unwrap();
    for count in 1..=3 {
        assert_eq!(client.get("/").send().unwrap().text(), "sent");
        assert_eq!(finished.load(Ordering::Relaxed), count);
    }
    drop(client);
    assert_eq!(Arc::strong_count(&finished), 1, "the shard has dropped its application");
}

#[test]
fn a_test_may_itself_run_on_a_shard() {
    let shards = Builder::new().shards(1).stop_on_signals(false).build().unwrap();
    let outcome = shards.run(|_shard| async {
        let client = TestClient::with_shards(2, application)?;
        assert_eq!(client.get("/everything").send()?.text(), "20 1");
        let mut echo = client.websocket("/echo")?;
        echo.send("hello")?;
        assert_eq!(echo.receive()?, "hello".into());
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn threads_share_a_client() {
    let client = TestClient::with_shards(2, application).unwrap();
    let texts = RefCell::new(Vec::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| client.get("/everything").send().unwrap().text()))
            .collect();
        texts
            .borrow_mut()
            .extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    });
    assert_eq!(texts.into_inner(), ["20 1"; 8]);
}

/// One test file has many clients; each starts a server.
#[test]
fn a_hundred_clients_start_one_after_the_other() {
    for _ in 0..100 {
        let client = TestClient::new(application).unwrap();
        assert_eq!(client.get("/shard").send().unwrap().text(), "0");
    }
}

/// Every shard opens the same directory, so the error names no shard.
#[test]
fn a_missing_directory_of_static_files_is_reported_without_the_number_of_a_shard() {
    let application = || Application::new().route("/{*path}", squall::StaticFiles::new("/no/such/folder"));
    let error = TestClient::new(application).map(drop).unwrap_err().to_string();
    assert!(
        error.starts_with("could not serve the files in \"/no/such/folder\": "),
        "{error}"
    );
}
