//! The ticker: prices move and the chart is drawn, over both transports.

use super::relay::Relay;
use super::support::browser::{Browser, Page};
use super::support::server::Server;
use super::{SHARDS, expect_to_look_well};

/// Waits until the price of the first symbol changes.
fn expect_movement(page: &Page<'_>) {
    page.wait_until("rows[0].quote && rows[0].price.textContent");
    page.evaluate("globalThis.before = rows.map(({ name, price }) => name.textContent + price.textContent); 0");
    page.wait_until(
        "rows.some(({ name, price }, at) => name.textContent && before[at].startsWith(name.textContent)
            && before[at] !== name.textContent + price.textContent)",
    );
}

/// Waits until the chart shows a rising or falling line across its whole size.
fn expect_chart(page: &Page<'_>) {
    page.wait_until(
        "(() => {
            const box = document.querySelector('#chart .line')?.getBoundingClientRect();
            const chart = find('chart').getBoundingClientRect();
            return box && box.width > chart.width / 2 && box.height > chart.height / 4
                && document.querySelector('#chart .line').getAttribute('d').split('L').length > 10;
        })()",
    );
}

#[test]
fn every_symbol_appears_prices_move_and_the_chart_is_drawn() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("ticker", SHARDS, &[]);
    let page = browser.open(&format!("http://{}/", server.address()));
    page.resize(1200, 800);
    page.wait_until("find('count').textContent == '3,000'");
    page.wait_until("Number(find('rate').textContent.replace(',', '')) > 100");
    expect_movement(&page);
    expect_chart(&page);
    expect_to_look_well(&page);
    page.evaluate("find('search').focus()");
    page.type_text("ba");
    page.wait_until("rows[0].name.textContent.includes('BA')");
    page.evaluate("rows[0].name.click()");
    page.wait_until("find('symbol').textContent === rows[0].name.textContent");
}

#[test]
fn a_page_may_watch_one_sector() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("ticker", SHARDS, &[]);
    let page = browser.open(&format!("http://{}/", server.address()));
    page.wait_until("find('count').textContent == '3,000'");
    page.evaluate("find('sectors').value = 'health'; find('sectors').dispatchEvent(new Event('change'))");
    page.wait_until("find('count').textContent == '500'");
    assert_eq!(
        page.evaluate("[...quotes.values()].every(({ sector }) => sector == 'health')"),
        true
    );
    expect_movement(&page);
}

#[test]
fn prices_arrive_by_websocket_and_event_stream_and_resume_after_a_broken_connection() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("ticker", SHARDS, &[]);
    let relay = Relay::to(server.address());
    let page = browser.open(&format!("http://{}/", relay.address()));
    for (transport, kind) in [("socket", "WebSocket"), ("events", "EventSource")] {
        page.evaluate(&format!("document.querySelector('[value={transport}]').click()"));
        page.wait_until("find('status').dataset.state == 'open'");
        assert_eq!(page.evaluate("connection.constructor.name"), kind);
        expect_movement(&page);
        relay.cut();
        page.wait_until("find('status').dataset.state == 'waiting'");
        relay.restore();
        page.wait_until("find('status').dataset.state == 'open'");
        expect_movement(&page);
    }
    assert_eq!(page.exceptions(), Vec::<String>::new());
}
