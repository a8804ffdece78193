//! A market of three thousand symbols, live in a page: a thread outside the shards publishes prices, topics carry them to every shard, and who
//! does not keep up is sent only the latest price of each symbol.
//!
//! ```text
//! cargo run --release --example ticker -- --listen 127.0.0.1:8888
//! ```
//!
//! Open <http://127.0.0.1:8888/>, or look at the feed itself:
//!
//! ```text
//! curl -N http://127.0.0.1:8888/sectors/energy/events
//! ```

mod market;

use std::thread;
use std::time::Duration;

use squall::prelude::*;
use squall::{Publisher, shards::clock};

use market::{Market, SECTORS};

/// Where the walk of the prices begins: every run shows the same market.
const SEED: u64 = 1913;

/// How often prices move.
const TICK: Duration = Duration::from_millis(50);

/// What the page may load and connect to: this server, and nothing else.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Somebody who watches over a WebSocket.
struct Watcher {
    topics: String,
}

impl WebSocketHandler for Watcher {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        ws.subscribe_pattern(&self.topics)?;
        Ok(())
    }

    /// Has nothing to do: watchers have nothing to say.
    async fn on_message(&mut self, _: &WebSocket, _: Message) -> Result {
        Ok(())
    }
}

/// The pattern of the topics a request is about: one sector's, or with `all` every one's. What the client says is compared with the names
/// there are, never put into the pattern.
fn topics(cx: &Context) -> Result<String> {
    let sector: String = cx.param("sector")?;
    match sector.as_str() {
        "all" => Ok(topic("*")),
        known if SECTORS.contains(&known) => Ok(topic(known)),
        _ => Err(HttpError::new(404).with_message("there is no such sector").into()),
    }
}

fn topic(sector: &str) -> String {
    format!("prices/{sector}")
}

async fn socket(cx: &mut Context) -> Result<Watcher> {
    Ok(Watcher { topics: topics(cx)? })
}

async fn events(cx: &mut Context) -> Result {
    let topics = topics(cx)?;
    let mut events = cx.event_stream()?;
    events.subscribe_pattern(&topics)?;
    events.run().await
}

/// Answers with a file that is part of this program.
fn file(content_type: &'static str, text: &'static str) -> impl AsyncFn(&mut Context) -> Result<&'static str> {
    async move |cx: &mut Context| {
        cx.set_header("Content-Type", content_type)?;
        Ok(text)
    }
}

async fn secured(cx: &mut Context, next: Next<'_>) -> Result {
    cx.set_header("Content-Security-Policy", POLICY)?;
    cx.set_header("X-Content-Type-Options", "nosniff")?;
    next.run(cx).await;
    Ok(())
}

fn application() -> Application {
    Application::new()
        .middleware(secured)
        .get("/", async |_: &mut Context| Html(include_str!("page.html")))
        .get("/page.css", file("text/css; charset=utf-8", include_str!("page.css")))
        .get(
            "/page.js",
            file("text/javascript; charset=utf-8", include_str!("page.js")),
        )
        .get(
            "/chart.js",
            file("text/javascript; charset=utf-8", include_str!("chart.js")),
        )
        .get("/icon.svg", file("image/svg+xml", include_str!("icon.svg")))
        .get("/sectors", async |_: &mut Context| Json(SECTORS))
        .get("/sectors/{sector}/events", events)
        .websocket("/sectors/{sector}/socket", socket)
}

/// Publishes what moves, tick after tick, until the server has ended.
fn feed(mut market: Market, publisher: &Publisher) -> Result {
    let mut next = clock::now();
    loop {
        for quote in market.tick() {
            publisher.publish_keyed_blocking(&topic(quote.sector), &quote.symbol, serde_json::to_string(quote)?)?;
        }
        next += TICK;
        thread::park_timeout(next.saturating_duration_since(clock::now()));
    }
}

fn main() -> Result {
    let prices = TopicOptions::new()
        .slow_consumer(SlowConsumer::Conflate)
        .tell_missed()
        .envelope(Envelope::Json);
    let server = Server::from_args(application).topic(&topic("*"), prices).bind()?;
    let publisher = server.publisher();
    thread::spawn(move || {
        // When the server has stopped there is nobody left to publish to.
        if let Err(error) = feed(Market::new(SEED), &publisher) {
            tracing::debug!(%error, "the market closes");
        }
    });
    server.run()
}
