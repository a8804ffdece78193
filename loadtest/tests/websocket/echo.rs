//! WebSocket echo: correct answers are counted exactly, and wrong ones are detected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tungstenite::Message;

use crate::server::echoing;
use crate::support::command::run;

/// The arguments that all tests share.
const QUICK: [&str; 7] = ["--duration", "300ms", "--warmup", "0", "--timeout", "2s", "--json"];

fn echo(address: std::net::SocketAddr, arguments: &[&str]) -> crate::support::command::Ended {
    let url = format!("ws://{address}/ws/echo");
    run(&[&[url.as_str()], arguments, QUICK.as_slice()].concat())
}

#[test]
fn echoes_of_all_lengths_are_counted_once() {
    for message_bytes in ["0", "7", "125", "126", "70000"] {
        let echoed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&echoed);
        let address = echoing(move |_, message| {
            count.fetch_add(1, Ordering::SeqCst);
            Some(vec![message])
        });
        let ended = echo(address, &["-c", "3", "-p", "2", "--message-bytes", message_bytes]);
        assert!(ended.status.success(), "{message_bytes} bytes: {ended:?}");
        let outcome = ended.outcome();
        let counted = ["requests", "late_requests", "unanswered"].map(|name| outcome[name].as_u64().unwrap());
        // Plus the echo of the check before the load.
        assert_eq!(
            counted.iter().sum::<u64>() + 1,
            echoed.load(Ordering::SeqCst),
            "{message_bytes} bytes: {counted:?}"
        );
        assert!(outcome["requests"].as_u64() > Some(0), "{outcome}");
    }
}

#[test]
fn rate_is_kept() {
    let address = echoing(|_, message| Some(vec![message]));
    let outcome = echo(address, &["-c", "2", "--rate", "200"]).outcome();
    let due = ["requests", "late_requests", "unanswered", "unsent"].map(|name| outcome[name].as_u64().unwrap());
    assert_eq!(due.iter().sum::<u64>(), 60, "{outcome}");
}

#[test]
fn idle_connections_stay_silent() {
    let echoed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&echoed);
    let address = echoing(move |_, message| {
        count.fetch_add(1, Ordering::SeqCst);
        Some(vec![message])
    });
    let ended = echo(address, &["-c", "5", "--hold"]);
    assert!(ended.status.success(), "{ended:?}");
    let outcome = ended.outcome();
    assert_eq!(
        (&outcome["still_open"], &outcome["connections_opened"]),
        (&5.into(), &5.into()),
        "{ended:?}"
    );
    assert_eq!(
        echoed.load(Ordering::SeqCst),
        1,
        "only the check before the load sends a message"
    );
}

#[test]
fn pings_and_unsolicited_pongs_do_not_count_as_echoes() {
    let address = echoing(|_, message| {
        Some(vec![
            Message::Ping(b"there?".as_slice().into()),
            Message::Pong(b"".as_slice().into()),
            message,
        ])
    });
    let ended = echo(address, &["-c", "1"]);
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn wrong_echo_in_the_check_is_named() {
    let changed = echoing(|_, message| {
        let mut bytes = message.into_data().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        Some(vec![Message::Binary(bytes.into())])
    });
    echo(changed, &[]).assert_failed_because("came back changed");
    let silent = echoing(|_, _| Some(Vec::new()));
    echo(silent, &[]).assert_failed_because("no echo within 2s");
    let longer = echoing(|_, message| {
        Some(vec![Message::Binary(
            [message.into_data().to_vec(), vec![0]].concat().into(),
        )])
    });
    echo(longer, &[]).assert_failed_because("longer than the 64 bytes");
    let closing = echoing(|_, _| None);
    echo(closing, &[]).assert_failed_because("closed");
}

#[test]
fn wrong_echoes_under_load_are_counted_by_kind() {
    for (kind, answer) in [
        (
            "wrong_body",
            (|number, message| match number {
                5 => Some(vec![Message::Binary(vec![0; 64].into())]),
                _ => Some(vec![message]),
            }) as fn(u64, Message) -> Option<Vec<Message>>,
        ),
        ("wrong_body", |number, message| match number {
            5 => Some(vec![message.clone(), message]),
            _ => Some(vec![message]),
        }),
        ("closed_early", |number, message| match number {
            5 => None,
            _ => Some(vec![message]),
        }),
    ] {
        let ended = echo(echoing(answer), &["-c", "1"]);
        ended.assert_failed_because("failed");
        assert!(ended.outcome()["errors"][kind].as_u64() > Some(0), "{kind}: {ended:?}");
    }
}
