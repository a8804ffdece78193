//! A browser that speaks HTTP/2: a page with many images, events, and WebSockets on the page's own connection (RFC 8441).

use squall::message::Version;
use squall::prelude::*;
use squall::websocket::Message;

use crate::authority::Authority;
use crate::support::browser::{Browser, Page};
use crate::support::running::Running;

/// How many images the page has: as many as it may request at a time.
const IMAGES: u32 = 100;

/// How often a page opens a WebSocket, and closes it.
const RECONNECTS: u32 = 100;

/// Opens and closes one WebSocket after another; returns how many came over HTTP/2.
const RECONNECT: &str = r"(async () => {
    let over_http2 = 0;
    for (let round = 0; round < COUNT; round++) {
        const ws = new WebSocket(`wss://${location.host}/ws`);
        const heard = [];
        const wanted = [];
        ws.onmessage = ({ data }) => (wanted.length ? wanted.shift()(data) : heard.push(data));
        const next = () => (heard.length ? heard.shift() : new Promise((resolve) => wanted.push(resolve)));
        const closed = new Promise((resolve) => (ws.onclose = resolve));
        await new Promise((resolve, reject) => {
            ws.onopen = resolve;
            ws.onerror = () => reject(new Error(`round ${round} did not open`));
        });
        over_http2 += (await next()) === 'HTTP/2';
        const message = `${round} `.repeat(round * 100);
        ws.send(message);
        if ((await next()) !== message) throw new Error(`round ${round} heard another message`);
        ws.close(3000 + round, 'enough');
        const { code, wasClean } = await closed;
        if (!wasClean || code !== 3000 + round) throw new Error(`round ${round} ended with ${code}`);
    }
    return over_http2;
})()";

/// Says which version opened it, and sends every message back.
struct Echo {
    version: Version,
}

impl WebSocketHandler for Echo {
    async fn open(&mut self, ws: &WebSocket) -> Result {
        let version = if self.version == Version::Http2 {
            "HTTP/2"
        } else {
            "HTTP/1"
        };
        ws.send(version).await?;
        Ok(())
    }

    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        ws.send(message).await?;
        Ok(())
    }
}

async fn page(_: &mut Context) -> Html<String> {
    let images = (0..IMAGES).map(|number| format!("<img src=/image/{number} alt=''>"));
    Html(format!("<title>images</title><p>{}</p>", images.collect::<String>()))
}

/// An image of one pixel in height, and as wide as its number.
async fn image(cx: &mut Context, Path(number): Path<u32>) -> Result {
    cx.set_header("content-type", "image/svg+xml")?;
    let width = number + 1;
    cx.write(format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='1'><rect width='{width}' height='1'/></svg>"
    ));
    Ok(())
}

async fn events(cx: &mut Context) -> Result {
    let mut events = cx.event_stream()?;
    events.subscribe("news")?;
    events.run().await
}

fn application() -> Application {
    Application::new()
        .get("/", page)
        .get("/image/{number}", image)
        .get("/events", events)
        .websocket("/ws", async |cx: &mut Context| Ok(Echo { version: cx.version() }))
}

fn serve(websockets: bool) -> Running {
    let authority = Authority::new();
    let own = authority.issue(&["localhost", "127.0.0.1"]);
    let server = Server::new(application).shards(2).tls(own.tls());
    Running::serve(server.http2_websockets(websockets))
}

/// Opens the page over TLS; `None`, and the test is skipped, if no browser is installed.
fn with_page(server: &Running, look: impl FnOnce(&Page<'_>)) {
    // The browser does not know the authority of the test.
    if let Some(browser) = Browser::start_with(&["--ignore-certificate-errors"]) {
        let page = browser.open(&format!("https://{}/", server.address));
        look(&page);
        assert_eq!(page.exceptions(), Vec::<String>::new());
    }
}

#[test]
fn a_page_with_a_hundred_images_comes_over_one_connection() {
    let server = serve(false);
    with_page(&server, |page| {
        let widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)");
        let widths: Vec<_> = widths
            .as_array()
            .unwrap()
            .iter()
            .map(|width| width.as_u64().unwrap())
            .collect();
        assert_eq!(widths, (1..=u64::from(IMAGES)).collect::<Vec<_>>());
        let loaded = page.evaluate(
            "performance.getEntriesByType('resource').map(({nextHopProtocol, connectStart, connectEnd}) => \
             [nextHopProtocol, connectEnd - connectStart])",
        );
        let loaded = loaded.as_array().unwrap();
        assert_eq!(loaded.len(), IMAGES as usize);
        for resource in loaded {
            // An image that opened no connection has no time for one.
            assert_eq!(resource, &serde_json::json!(["h2", 0]));
        }
    });
}

#[test]
fn an_event_stream_comes_beside_requests_over_http_2() {
    let server = serve(false);
    with_page(&server, |page| {
        page.evaluate(
            "window.heard = []; window.source = new EventSource('/events'); \
             source.onmessage = ({data}) => heard.push(data); \
             new Promise((resolve) => (source.onopen = () => resolve(true)))",
        );
        for number in 0..20 {
            server
                .publisher
                .publish("news", format!("news {number}"))
                .blocking()
                .unwrap();
            assert_eq!(page.evaluate("fetch('/image/7').then(({status}) => status)"), 200);
        }
        page.wait_until("heard.length === 20");
        let heard = page.evaluate("heard.join()");
        let expected: Vec<_> = (0..20).map(|number| format!("news {number}")).collect();
        assert_eq!(heard, expected.join(","));
    });
}

#[test]
fn a_hundred_websockets_after_each_other_share_the_connection_of_the_page() {
    for (websockets, over_http2) in [(true, RECONNECTS), (false, 0)] {
        let server = serve(websockets);
        with_page(&server, |page| {
            let reconnect = RECONNECT.replace("COUNT", &RECONNECTS.to_string());
            assert_eq!(page.evaluate(&reconnect), over_http2, "with the flag: {websockets}");
        });
    }
}
