//! The ticker: prices move and the chart is drawn, over both transports.

use super::relay::Relay;
use super::support::browser::{Browser, Page};
use super::support::server::Server;
use super::{SHARDS, expect_to_look_well, keep_picture};

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
fn an_outage_is_a_gap_in_the_chart() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("ticker", SHARDS, &[]);
    let relay = Relay::to(server.address());
    let page = browser.open(&format!("http://{}/", relay.address()));
    page.resize(1200, 800);
    expect_movement(&page);
    expect_chart(&page);
    assert_eq!(page.evaluate("document.querySelectorAll('#chart .gap').length"), 0);
    relay.cut();
    // The line ends where the gap begins, and the gap reaches to now.
    page.wait_until(
        "(() => {
            const [line, gap] = ['line', 'gap'].map((name) => document.querySelector(`#chart .${name}`)?.getBoundingClientRect());
            return gap && gap.width > 50 && Math.abs(line.right - gap.left) < 4 && !document.querySelector('#chart .dot');
        })()",
    );
    assert_eq!(page.evaluate("find('market').dataset.state"), "lost");
    keep_picture(&page, "ticker-outage");
    relay.restore();
    page.wait_until("find('market').dataset.state == 'live'");
    // Two pieces without a line between them.
    page.wait_until("document.querySelector('#chart .line').getAttribute('d').split('M').length === 3");
    page.wait_until(
        "document.querySelector('#chart .line').getAttribute('d').split('M').at(-1).split('L').length > 10",
    );
    assert_eq!(page.evaluate("document.querySelectorAll('#chart .gap').length"), 1);
    keep_picture(&page, "ticker-after-outage");
    expect_to_look_well(&page);
    assert_eq!(page.exceptions(), Vec::<String>::new());
}

/// A line that rises is green, even if the symbol has fallen since its opening.
#[test]
fn the_colour_of_a_course_is_its_own_direction() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("ticker", SHARDS, &[]);
    let page = browser.open(&format!("http://{}/", server.address()));
    page.wait_until("rows.filter(({ quote }) => quote?.points.length > 10).length > 20");
    let wrong = "rows.filter(({ quote, course, line }) => {
        const heights = [...line.getAttribute('d').matchAll(/ ([0-9.]+)/g)].map(([, y]) => Number(y));
        if (heights.length < 2 || heights[0] === heights.at(-1)) return false;
        return course.getAttribute('class') !== (heights.at(-1) < heights[0] ? 'up' : 'down');
    }).length";
    assert_eq!(page.evaluate(wrong), 0);
    keep_picture(&page, "ticker");
    let mixed = "rows.some(({ quote, course }) => quote && course.getAttribute('class') === 'up' && quote.change < 0)";
    page.wait_until(mixed);
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
