//! A market of three thousand symbols, live in a page.
//!
//! A thread outside the shards publishes prices, and topics carry them to every shard. A slow client receives only the
//! latest price of each symbol.
//!
//! ```text
//! cargo run --release --example ticker -- --listen 127.0.0.1:8888
//! ```
//!
//! Open <http://127.0.0.1:8888/>, or read the feed itself:
//!
//! ```text
//! curl -N http://127.0.0.1:8888/sectors/energy/events
//! ```

mod market;

use std::thread;
use std::time::Duration;

use squall::middleware::SecurityHeaders;
use squall::prelude::*;
use squall::pubsub::Envelope;
use squall::{Feed, FeedClient, Publisher, shards::clock};

use market::{Market, SECTORS};

/// The seed of the random prices: every run shows the same market.
const SEED: u64 = 1913;

/// The time between two price changes.
const TICK: Duration = Duration::from_millis(50);

/// Every client may watch the prices of every sector there is.
async fn may_watch(_: &FeedClient, topic: &str) -> Result<bool> {
    let sector = topic.strip_prefix("prices/");
    Ok(sector.is_some_and(|sector| SECTORS.contains(&sector)))
}

/// Returns the pattern of a request's topics: one sector, or all.
///
/// The sector is compared with the known names before it becomes part of a pattern, so a client cannot send wildcards.
fn topics(cx: &Context) -> Result<String> {
    let sector: String = cx.param("sector")?;
    match sector.as_str() {
        "all" => Ok(topic("*")),
        known if SECTORS.contains(&known) => Ok(topic(known)),
        _ => Err(HttpError::new(404).with_message("no such sector").into()),
    }
}

fn topic(sector: &str) -> String {
    format!("prices/{sector}")
}

async fn events(cx: &mut Context) -> Result {
    let topics = topics(cx)?;
    let mut events = cx.event_stream()?;
    events.subscribe_pattern(&topics)?;
    events.run().await
}

/// Returns a handler for a file that is part of this program.
fn file(content_type: &'static str, text: &'static str) -> impl AsyncFn(&mut Context) -> Result<&'static str> {
    async move |cx: &mut Context| {
        cx.set_header("Content-Type", content_type)?;
        Ok(text)
    }
}

fn application() -> Application {
    Application::new()
        .middleware(SecurityHeaders::page())
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
        .feed("/feed", Feed::new().authorize(may_watch))
}

/// Publishes the changed prices of each tick until the server has ended.
fn publish_prices(mut market: Market, publisher: &Publisher) -> Result {
    let mut next = clock::now();
    loop {
        for quote in market.tick() {
            publisher
                .publish(&topic(quote.sector), serde_json::to_string(quote)?)
                .key(&quote.symbol)
                .blocking()?;
        }
        next += TICK;
        thread::park_timeout(next.saturating_duration_since(clock::now()));
    }
}

fn main() -> Result {
    let prices = TopicOptions::default()
        .slow_consumer(SlowConsumer::Conflate)
        .tell_missed(true)
        .envelope(Envelope::Json);
    let server = Server::from_args(application).topic(&topic("*"), prices).bind()?;
    let publisher = server.publisher();
    thread::spawn(move || {
        // Publishing fails once the server has stopped; that ends this thread.
        if let Err(error) = publish_prices(Market::new(SEED), &publisher) {
            tracing::debug!(%error, "the feed ended");
        }
    });
    server.run()
}
