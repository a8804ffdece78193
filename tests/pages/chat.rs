//! The chat: messages of one page appear on the others, also on those that open later or reconnect.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::relay::Relay;
use super::support::browser::{Browser, Page};
use super::support::server::Server;
use super::{SHARDS, expect_to_look_well, keep_picture};

/// How many messages a room keeps.
const KEPT: usize = 50;

/// All messages, as a page shows them.
const SAID: &str = "[...document.querySelectorAll('.message .text')].map((text) => text.textContent)";

/// Opens a room and enters it under this name.
fn come_in<'b>(browser: &'b Browser, server: SocketAddr, name: &str) -> Page<'b> {
    let page = browser.open(&format!("http://{server}/"));
    page.wait_until("document.activeElement.id == 'name'");
    page.type_text(name);
    page.press_enter();
    page.wait_until("status.dataset.state == 'open'");
    page
}

/// Types a message and sends it.
fn say(page: &Page<'_>, text: &str) {
    page.evaluate("text.focus()");
    page.type_text(text);
    page.press_enter();
}

/// Waits until a page shows these messages, in this order and no others.
#[track_caller]
fn expect_said(page: &Page<'_>, messages: &[String]) {
    let last = json!(messages.last());
    page.wait_until(&format!("{SAID}.at(-1) === {last}"));
    assert_eq!(page.evaluate(SAID), json!(messages));
}

/// Lets connections through again and tells the page, as when a phone leaves a tunnel.
fn restore(relay: &Relay, page: &Page<'_>) {
    relay.restore();
    page.evaluate("dispatchEvent(new Event('online'))");
    page.wait_until("status.dataset.state == 'open'");
}

#[test]
fn messages_appear_on_other_pages_and_on_later_ones() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("chat", SHARDS, &[]);
    let ada = come_in(&browser, server.address(), "Ada");
    assert_eq!(ada.evaluate("location.pathname"), "/rooms/lobby");
    let grace = come_in(&browser, server.address(), "Grace");
    say(&ada, "Is anybody here?");
    let mut said = vec!["Is anybody here?".to_owned()];
    expect_said(&grace, &said);
    say(&grace, "I am. 🌀");
    said.push("I am. 🌀".to_owned());
    expect_said(&ada, &said);
    let names = "[...document.querySelectorAll('.message .name')].map((name) => name.textContent)";
    assert_eq!(ada.evaluate(names), json!(["Ada", "Grace"]));

    let edsger = come_in(&browser, server.address(), "Edsger");
    expect_said(&edsger, &said);
    for page in [&ada, &grace, &edsger] {
        page.wait_until("[...document.querySelectorAll('.person')].map((person) => person.textContent.replace(' (you)', '')).join() == 'Ada,Edsger,Grace'");
        page.wait_until("document.querySelector('[aria-current] .count').textContent == '3'");
    }
    expect_to_look_well(&ada);

    edsger.load("about:blank");
    ada.wait_until("[...document.querySelectorAll('.note')].some((note) => note.textContent == 'Edsger left')");
    ada.wait_until("document.querySelectorAll('.person').length == 2");
}

#[test]
fn rooms_are_separate() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("chat", SHARDS, &[]);
    let ada = come_in(&browser, server.address(), "Ada");
    let grace = come_in(&browser, server.address(), "Grace");
    grace.load(&format!("http://{}/rooms/weather", server.address()));
    grace.wait_until("status.dataset.state == 'open'");
    say(&ada, "in the lobby");
    expect_said(&ada, &["in the lobby".to_owned()]);
    say(&grace, "in the weather room");
    expect_said(&grace, &["in the weather room".to_owned()]);
    let other = browser.open(&format!("http://{}/rooms/cellar", server.address()));
    assert!(
        other
            .evaluate("document.body.innerText")
            .to_string()
            .contains("no such room")
    );
}

#[test]
fn markup_in_names_and_messages_is_shown_and_does_nothing() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("chat", SHARDS, &[]);
    let ada = come_in(&browser, server.address(), "Ada");
    let mallory = come_in(&browser, server.address(), "<script>name = ''</script>");
    let attacks = [
        "<script>document.title = 'taken'</script>",
        "<img src=x onerror=\"document.title = 'taken'\">",
        "\"}, {\"from\": \"Ada\", \"text\": \"forged\"}",
    ];
    for attack in attacks {
        say(&mallory, attack);
    }
    for page in [&ada, &mallory] {
        expect_said(page, &attacks.map(str::to_owned));
        assert_eq!(page.evaluate("document.title"), "lobby · Squall chat");
        assert_eq!(
            page.evaluate("document.querySelectorAll('main :is(script, img)').length"),
            0
        );
        assert_eq!(
            page.evaluate("document.querySelector('.name').textContent"),
            "<script>name = ''</script>"
        );
    }
    ada.wait_until("[...document.querySelectorAll('.person')].some((person) => person.textContent == \"<script>name = ''</script>\")");
}

#[test]
fn a_page_resumes_where_it_was_after_a_broken_connection() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("chat", SHARDS, &[]);
    let relay = Relay::to(server.address());
    let ada = come_in(&browser, relay.address(), "Ada");
    let grace = come_in(&browser, server.address(), "Grace");
    let mut said: Vec<String> = vec!["before".to_owned()];
    say(&grace, "before");
    expect_said(&ada, &said);

    relay.cut();
    ada.wait_until("status.dataset.state == 'waiting'");
    for word in ["one", "two", "three"] {
        say(&grace, word);
        said.push(word.to_owned());
    }
    expect_said(&grace, &said);
    restore(&relay, &ada);
    expect_said(&ada, &said);
    assert_eq!(ada.evaluate("document.querySelectorAll('.gap').length"), 0);

    // More than the history keeps: the page shows a gap and the kept messages.
    relay.cut();
    ada.wait_until("status.dataset.state == 'waiting'");
    let missed: Vec<String> = (0..KEPT + 5).map(|number| format!("message {number}")).collect();
    for message in &missed {
        say(&grace, message);
    }
    grace.wait_until(&format!("{SAID}.at(-1) === {}", json!(missed.last())));
    restore(&relay, &ada);
    said.extend_from_slice(&missed[5..]);
    expect_said(&ada, &said);
    let gap = ada.evaluate("[...document.querySelectorAll('.gap')].map((gap) => gap.textContent).join()");
    assert!(gap.to_string().contains("missing"), "{gap}");
}

#[test]
fn an_outage_is_a_banner_with_a_retry_and_shows_no_visitors() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("chat", SHARDS, &[]);
    let relay = Relay::to(server.address());
    let ada = come_in(&browser, relay.address(), "Ada");
    ada.wait_until("document.querySelectorAll('.person').length == 1");
    assert_eq!(ada.evaluate("find('outage').checkVisibility()"), false);
    relay.cut();
    ada.wait_until("find('outage').checkVisibility()");
    assert_eq!(ada.evaluate("document.querySelectorAll('.person, .count').length"), 0);
    ada.wait_until("find('attempt').textContent.startsWith('Trying again')");
    let picture = |scheme| {
        ada.prefer(scheme);
        keep_picture(&ada, &format!("chat-outage-{scheme}"));
    };
    ["light", "dark"].into_iter().for_each(picture);
    expect_to_look_well(&ada);
    relay.restore();
    ada.evaluate("find('again').click()");
    ada.wait_until("status.dataset.state == 'open' && !find('outage').checkVisibility()");
    ada.wait_until("document.querySelectorAll('.person').length == 1 && document.querySelector('.count')");
    assert_eq!(ada.exceptions(), Vec::<String>::new());
}

#[test]
fn a_page_reconnects_after_the_server_closed_it() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("chat", SHARDS, &[]);
    let ada = come_in(&browser, server.address(), "Ada");
    let grace = come_in(&browser, server.address(), "Grace");
    say(&grace, "before");
    expect_said(&ada, &["before".to_owned()]);
    // Longer than any message of the page's own.
    let code: Value = ada.evaluate(
        "new Promise((resolve) => {
            socket.addEventListener('close', ({ code }) => resolve(code));
            socket.send('x'.repeat(5000));
        })",
    );
    assert_eq!(code, 1009);
    say(&grace, "meanwhile");
    ada.wait_until("status.dataset.state == 'open'");
    say(&grace, "after");
    let said = ["before", "meanwhile", "after"].map(str::to_owned);
    expect_said(&ada, &said);
    assert_eq!(ada.evaluate("document.querySelectorAll('.gap').length"), 0);
}

/// The browser's own `EventSource` reconnects with the id of its last event and misses nothing.
#[test]
fn an_event_source_resumes_behind_its_last_event() {
    let Some(browser) = Browser::start() else { return };
    let server = Server::start_with_shards("chat", SHARDS, &[]);
    let relay = Relay::to(server.address());
    let grace = come_in(&browser, server.address(), "Grace");
    let listener = browser.open(&format!("http://{}/rooms", relay.address()));
    listener.evaluate(
        "globalThis.heard = [];
         globalThis.events = new EventSource('/rooms/lobby/events');
         events.onmessage = ({ data, lastEventId }) => {
            const { position, data: { text } } = JSON.parse(data);
            heard.push(position === lastEventId ? text : `${text} at ${position}, not ${lastEventId}`);
         };
         events.addEventListener('notice', ({ data }) => heard.push(data));",
    );
    listener.wait_until("events.readyState === EventSource.OPEN");
    let mut said = Vec::new();
    for round in 0..2 {
        for word in ["one", "two", "three"] {
            let text = format!("{word} of round {round}");
            say(&grace, &text);
            said.push(text);
            if word == "one" {
                listener.wait_until(&format!("heard.at(-1) === {}", json!(said.last())));
                relay.cut();
                listener.wait_until("events.readyState === EventSource.CONNECTING");
            }
        }
        relay.restore();
        listener.wait_until(&format!("heard.at(-1) === {}", json!(said.last())));
    }
    assert_eq!(listener.evaluate("heard"), json!(said));
}
