//! All 517 cases that the public Autobahn|Testsuite has for a WebSocket server, written anew from RFC 6455 and RFC
//! 7692. Each section has a file, and each case a row under its number.
//!
//! Every case runs through the machine of `squall::websocket`: whole, frame by frame, byte by byte and, if short, cut
//! in two at every place. Sections 1 to 7 also run through the client's machine. All cases run over the wire against
//! the `conformance` example in another process.
//!
//! | section | about | cases | file |
//! |---|---|---|---|
//! | 1 | framing | 16 | `framing.rs` |
//! | 2 | pings and pongs | 11 | `pings.rs` |
//! | 3 | reserved bits | 7 | `reserved_bits.rs` |
//! | 4 | opcodes | 10 | `opcodes.rs` |
//! | 5 | fragmentation | 20 | `fragmentation.rs` |
//! | 6 | UTF-8 | 145 | `utf8.rs` |
//! | 7 | closing | 37 | `closing.rs` |
//! | 9, 10 | sizes | 54 + 1 | `sizes.rs` |
//! | 12, 13 | compression | 90 + 126 | `compression.rs` |

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed test panics"
)]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod closing;
mod compression;
mod content;
mod fragmentation;
mod framing;
mod machine;
mod opcodes;
mod pings;
mod reserved_bits;
mod sizes;
mod utf8;
mod wire;

/// How many cases the suite has in each of its groups.
const COUNTS: [(&str, usize); 61] = [
    ("1.1", 8),
    ("1.2", 8),
    ("2", 11),
    ("3", 7),
    ("4.1", 5),
    ("4.2", 5),
    ("5", 20),
    ("6.1", 3),
    ("6.2", 4),
    ("6.3", 2),
    ("6.4", 4),
    ("6.5", 5),
    ("6.6", 11),
    ("6.7", 4),
    ("6.8", 2),
    ("6.9", 4),
    ("6.10", 3),
    ("6.11", 5),
    ("6.12", 8),
    ("6.13", 5),
    ("6.14", 10),
    ("6.15", 1),
    ("6.16", 3),
    ("6.17", 5),
    ("6.18", 5),
    ("6.19", 5),
    ("6.20", 7),
    ("6.21", 8),
    ("6.22", 34),
    ("6.23", 7),
    ("7.1", 6),
    ("7.3", 6),
    ("7.5", 1),
    ("7.7", 13),
    ("7.9", 9),
    ("7.13", 2),
    ("9.1", 6),
    ("9.2", 6),
    ("9.3", 9),
    ("9.4", 9),
    ("9.5", 6),
    ("9.6", 6),
    ("9.7", 6),
    ("9.8", 6),
    ("10.1", 1),
    ("12.1", 18),
    ("12.2", 18),
    ("12.3", 18),
    ("12.4", 18),
    ("12.5", 18),
    ("13.1", 18),
    ("13.2", 18),
    ("13.3", 18),
    ("13.4", 18),
    ("13.5", 18),
    ("13.6", 18),
    ("13.7", 18),
    // Numbers that the suite leaves out; a case under one of them would be a mistake.
    ("7.2", 0),
    ("7.4", 0),
    ("8", 0),
    ("11", 0),
];

/// No case is missing, none is there twice, and each stands under its number.
#[test]
fn all_517_cases_are_here() {
    let expected: Vec<String> = COUNTS
        .iter()
        .flat_map(|(group, count)| (1..=*count).map(move |number| format!("{group}.{number}")))
        .collect();
    assert_eq!(expected.len(), 517);
    let framed = [
        framing::cases(),
        pings::cases(),
        reserved_bits::cases(),
        opcodes::cases(),
        fragmentation::cases(),
        utf8::cases(),
        closing::cases(),
    ];
    let mut here: Vec<String> = framed.into_iter().flatten().map(|case| case.number).collect();
    here.extend(sizes::cases().into_iter().map(|case| case.number));
    here.extend(compression::cases().into_iter().map(|case| case.number));
    assert_eq!(here, expected);
}
