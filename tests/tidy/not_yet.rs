//! The files that do not follow the rules of prose yet. Remove a file when it is clean; never add one.

/// Files that refer to rows of a table that is not in the repository.
pub(crate) const DEAD_ROWS: [&str; 1] = ["loadtest/record/2026-11-26/README.md"];

/// Files with tell-tale words.
pub(crate) const TELL_TALES: [&str; 14] = [
    "loadtest/BIAS.md",
    "loadtest/METHODOLOGY.md",
    "loadtest/contenders/axum-ws/src/main.rs",
    "loadtest/contenders/floor-epoll/src/epoll.rs",
    "loadtest/contenders/floor-epoll/src/main.rs",
    "loadtest/contenders/floor-fanout/src/connection.rs",
    "loadtest/contenders/floor-fanout/src/topic.rs",
    "loadtest/contenders/floor-io-uring/src/buffers.rs",
    "loadtest/contenders/hyper/src/main.rs",
    "loadtest/contenders/tokio-tungstenite/src/main.rs",
    "loadtest/record/2026-11-25/README.md",
    "loadtest/record/2026-11-26/slow-heads/README.md",
    "loadtest/src/record/statement.rs",
    "loadtest/tests/websocket/server.rs",
];

/// Files with tell-tale words in the names of tests.
pub(crate) const TEST_NAMES: [&str; 4] = [
    "loadtest/src/load/websocket/fan_out/continuity.rs",
    "loadtest/src/measurement/tests.rs",
    "loadtest/tests/websocket/echo.rs",
    "loadtest/tests/websocket/fan_out.rs",
];

/// Files with public doc summaries of more than one sentence.
pub(crate) const SUMMARIES: [&str; 7] = [
    "loadtest/contenders/floor-fanout/src/connection.rs",
    "loadtest/contenders/floor-io-uring/src/buffers.rs",
    "loadtest/contenders/floor-io-uring/src/connection.rs",
    "loadtest/contenders/floor-io-uring/src/socket.rs",
    "src/app/body_channel/mod.rs",
    "src/app/response/sse/event.rs",
    "src/app/response/sse/stream.rs",
];
