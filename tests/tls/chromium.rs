//! Debian's Chromium as a client over TLS: pages, WebSockets, and the protocol it has chosen.

use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};
use squall::prelude::*;
use squall::websocket::Message;

use crate::authority::{Authority, Issued};
use crate::support::browser::Browser;
use crate::support::running::Running;

const PAGE: &str = "<!doctype html><title>secure</title><p id=said>";

struct Echo;

impl WebSocketHandler for Echo {
    async fn on_message(&mut self, ws: &WebSocket, message: Message) -> Result {
        ws.send(message).await?;
        Ok(())
    }
}

async fn large(cx: &mut Context) -> Result {
    cx.write(vec![b'x'; 3_000_000]);
    Ok(())
}

async fn echo(cx: &mut Context) -> Result {
    let content = cx.body().await?;
    cx.write(&content);
    Ok(())
}

fn application() -> Application {
    Application::new()
        .get("/", async |_: &mut Context| Html(PAGE))
        .get("/large", large)
        .post("/echo", echo)
        .websocket("/live", async |_: &mut Context| Ok(Echo))
}

/// The flag that accepts the certificates of a key, by its fingerprint.
fn accepting(own: &Issued) -> String {
    let fingerprint = BASE64.encode(&Sha256::digest(&own.public));
    format!("--ignore-certificate-errors-spki-list={fingerprint}")
}

#[test]
fn chromium_loads_pages_sends_content_and_opens_websockets() {
    let authority = Authority::new();
    let own = authority.issue(&["localhost"]);
    let Some(browser) = Browser::start_with(&[&accepting(&own)]) else {
        return;
    };
    for (no_http2, protocol) in [(false, "h2"), (true, "http/1.1")] {
        let server = Server::new(application).shards(2).no_http2(no_http2);
        let running = Running::serve(server.tls(own.tls()));
        let page = browser.open(&format!("https://localhost:{}/", running.address.port()));
        assert_eq!(page.evaluate("isSecureContext && document.title"), "secure");
        let chosen = page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol");
        assert_eq!(chosen, protocol);
        let bytes = page.evaluate("fetch('/large').then(answer => answer.text()).then(text => text.length)");
        assert_eq!(bytes, 3_000_000);
        let echoed = page.evaluate(
            "fetch('/echo', {method: 'POST', body: 'x'.repeat(300000)}).then(answer => answer.text()).then(text => text.length)",
        );
        assert_eq!(echoed, 300_000);
        page.evaluate(
            "window.said = '';
            const socket = new WebSocket('wss://' + location.host + '/live');
            socket.onopen = () => socket.send('over TLS');
            socket.onmessage = event => { window.said = event.data; };",
        );
        page.wait_until("window.said === 'over TLS'");
        assert_eq!(page.exceptions(), [""; 0]);
    }
}
