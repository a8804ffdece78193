//! The layers: imports in `src/` point down only.

use crate::source::{Finding, Source, closing_brace, has_word, lines, top_level};

/// The imports that are allowed, by the first name after `crate::` in `src/`: each folder or file, and the layers below it.
const LAYERS: [(&str, &[&str]); 14] = [
    ("settings", &[]),
    ("memory", &[]),
    ("message", &["memory"]),
    ("error", &["memory", "message"]),
    ("http1", &["memory", "message", "settings", "error"]),
    ("http2", &["memory", "message", "settings"]),
    ("websocket", &["memory", "message", "settings", "error"]),
    ("pubsub", &["memory", "message", "settings", "error"]),
    ("proxy_protocol", &["message"]),
    // Applications run on every version of HTTP, so they name none.
    (
        "app",
        &["memory", "message", "settings", "error", "websocket", "pubsub"],
    ),
    ("transport", &["memory", "message", "settings", "error", "websocket"]),
    (
        "client",
        &[
            "memory",
            "message",
            "settings",
            "error",
            "http1",
            "http2",
            "websocket",
            "pubsub",
            "app",
            "transport",
        ],
    ),
    (
        "server",
        &[
            "memory",
            "message",
            "settings",
            "error",
            "http1",
            "http2",
            "websocket",
            "pubsub",
            "proxy_protocol",
            "app",
            "transport",
        ],
    ),
    (
        "testing",
        &[
            "memory",
            "message",
            "error",
            "http1",
            "http2",
            "websocket",
            "app",
            "server",
        ],
    ),
];

/// The folders that may name `squall_shards`.
const SHARDS: [&str; 4] = ["transport", "client", "server", "testing"];

pub(crate) fn layers(source: &Source) -> Vec<Finding> {
    let Some(inside) = source.path.strip_prefix("src/").filter(|inside| *inside != "lib.rs") else {
        return Vec::new();
    };
    let own = inside.split(['/', '.']).next().unwrap_or_default();
    let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == own) else {
        return vec![(
            1,
            format!("`{own}` has no layer; add it to LAYERS in tests/tidy/layers.rs"),
        )];
    };
    let mut found = Vec::new();
    for (line, name) in imported(&source.code) {
        if name != own && !below.contains(&name.as_str()) {
            found.push((
                line,
                format!("`{own}` may not use `crate::{name}`: imports point down the layers"),
            ));
        }
    }
    // A module's own file, or mod.rs, stands one level above the files beside it.
    let depth = inside.split('/').count() - usize::from(inside.ends_with("/mod.rs"));
    for (number, line) in lines(&source.code) {
        if line.contains(&"super::".repeat(depth)) && !source.path.contains("/tests/") && depth > 1 {
            found.push((
                number,
                "a path that climbs out of its folder; write `crate::`".to_owned(),
            ));
        }
        if !SHARDS.contains(&own) && has_word(line, "squall_shards") {
            found.push((number, format!("only {SHARDS:?} name squall_shards")));
        }
    }
    found
}

/// The first names after `crate::`, including those in `crate::{…}`, each with its line.
fn imported(code: &str) -> Vec<(usize, String)> {
    let name = |text: &str| -> String {
        text.chars()
            .take_while(|next| next.is_alphanumeric() || *next == '_')
            .collect()
    };
    let mut found = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        if code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let rest = &code[at + path.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.push((line, name(rest)));
            continue;
        };
        let inside = &list[..closing_brace(list).unwrap_or(list.len())];
        let items = top_level(inside).map(str::trim).filter(|item| !item.is_empty());
        found.extend(items.map(|item| (line, name(item))));
    }
    found
}
