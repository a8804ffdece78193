//! The requests of a feed's clients. Any text is read or refused, and what was read can be written and read again. The
//! fuzzer libFuzzer calls this function through `fuzz_targets/feed.rs`, and `tests/fuzz_smoke.rs` on stable Rust.

use serde_json::{Map, Value};
use squall::app::{FeedRequest, Verb};
use squall::pubsub::Start;

/// Each line is a request.
pub(crate) fn requests(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines().take(64) {
        let Ok(request) = FeedRequest::parse(line) else {
            continue;
        };
        let written = written(&request);
        let again = FeedRequest::parse(&written).unwrap();
        assert_eq!(again.id, request.id, "{line}");
        match (&again.verb, &request.verb) {
            // JSON may be written in several ways.
            (Verb::Publish { topic, .. }, Verb::Publish { topic: known, .. }) => assert_eq!(topic, known, "{line}"),
            (again, known) => assert_eq!(again, known, "{line}"),
        }
    }
}

fn written(request: &FeedRequest<'_>) -> String {
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    if let Some(id) = request.id {
        set("id", id.into());
    }
    match &request.verb {
        Verb::Subscribe { topic, start } => {
            set("subscribe", (**topic).into());
            match start {
                None => {}
                Some(Start::After(position)) => set("after", position.to_string().into()),
                Some(Start::Last(count)) => set("last", (*count).into()),
            }
        }
        Verb::Unsubscribe { topic } => set("unsubscribe", (**topic).into()),
        Verb::Presence { topic } => set("presence", (**topic).into()),
        Verb::Publish { topic, data } => {
            set("publish", (**topic).into());
            // Numbers beyond those of serde_json are valid JSON, and no value of its own.
            set("data", serde_json::from_str(data).unwrap_or_default());
        }
        Verb::Refresh { token } => set("refresh", (**token).into()),
    }
    Value::Object(members).to_string()
}
