//! What makes real time hard, over the wire: peers that mean no good (rows D01–D15 of the attack table), many_clients, and a million deliveries.
//!
//! Each row has a test of its name here. What cannot be seen from outside, as what is allocated, or takes hours, as a keep-alive by the default
//! settings, is shown by the machines' own tests:
//!
//! | row | here | and in the machine |
//! |---|---|---|
//! | D01 declared lengths | `frames.rs` | `src/websocket/tests/limits.rs` |
//! | D02 frames that may not be | `frames.rs` | `src/websocket/tests/framing.rs` |
//! | D03 fragments without end | `frames.rs` | `src/websocket/tests/limits.rs` |
//! | D04 fragments that add up | `frames.rs` | `src/websocket/tests/limits.rs` |
//! | D05 what is no text | `frames.rs` | `src/websocket/tests/text.rs` |
//! | D06 bombs | `frames.rs` | `src/websocket/tests/compression.rs` |
//! | D07 offers of compression | `handshakes.rs` | `src/websocket/tests/handshakes.rs` |
//! | D08 requests that open nothing | `handshakes.rs` | `src/websocket/tests/handshakes.rs` |
//! | D09 foreign origins | `handshakes.rs` | `src/websocket/tests/handshakes.rs` |
//! | D10 pings nobody reads the pongs of | `peers.rs` | `src/websocket/tests/framing.rs` |
//! | D11 peers that do not close | `peers.rs` | `src/websocket/tests/deadlines.rs`, `pair.rs` |
//! | D12 subscribers that stop reading | `many_clients.rs` | `src/pubsub/tests/many_clients.rs` |
//! | D13 a million names | `many_clients.rs` | `src/pubsub/tests/many_clients.rs` |
//! | D14 peers that vanish | `peers.rs` | `src/websocket/tests/deadlines.rs`, `pair.rs` |
//! | D15 everybody at once | `many_clients.rs` | |

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod deliveries;
mod many_clients;

mod command_handler;
mod frames;
mod handshakes;
mod peers;
