//! Properties that hold for all inputs, checked on random ones.

use flate2::{Compression, Decompress, FlushDecompress};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::frame::{Header, Opcode, Rules};
use super::super::{Deflate, DeflateConfig, Limits, Payload, WindowBits};
use super::handshakes::offer_to;
use super::pair::Pair;
use super::transcript::{Seen, run_pieces};
use super::{BINARY, CLOSE, CONTINUATION, FIN, PING, RSV1, TEXT, closing, deflaters, masked};

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let frames = vec![
        masked(FIN | TEXT, "Grüße".as_bytes()),
        masked(FIN | BINARY, &[0xfe; 130]),
        masked(TEXT, b"\xe2\x82"),
        masked(CONTINUATION, b"\xac"),
        masked(CONTINUATION, b""),
        masked(FIN | CONTINUATION, b"end"),
        masked(FIN | PING, b"ping"),
        masked(FIN | 10, b""),
        masked(FIN | RSV1 | TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        masked(FIN | RSV1 | TEXT, b"\xf2\x00\x11\x00\x00"),
        masked(FIN | CLOSE, &closing(1000, b"bye")),
    ];
    let edits = vec((any::<Index>(), any::<u8>()), 0..3);
    (vec(select(frames), 1..8), edits).prop_map(|(frames, edits)| {
        let mut bytes = frames.concat();
        for (place, byte) in edits {
            let place = place.index(bytes.len());
            bytes[place] ^= byte;
        }
        bytes
    })
}

fn takeover() -> Deflate {
    let config = DeflateConfig::default()
        .server_context_takeover(true)
        .client_context_takeover(true);
    offer_to(&config, "permessage-deflate", &deflaters()).unwrap().1
}

/// Payloads of varying compressibility.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    (vec(any::<u8>(), 1..60), 1..400_usize, any::<bool>()).prop_map(|(part, times, is_noisy)| {
        let mut bytes = part.repeat(times);
        if is_noisy {
            let mut state = 1_u32;
            for byte in bytes.iter_mut().step_by(3) {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte ^= state.to_be_bytes()[0];
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Any partition of the same bytes gives the same events, error and answers.
    #[test]
    fn the_partition_of_the_input_does_not_matter(bytes in frames(), cuts in vec(any::<Index>(), 0..6), is_tight in any::<bool>()) {
        let limits = if is_tight {
            Limits::default().max_message_bytes(131).max_fragments(3)
        } else {
            Limits::default()
        };
        let whole = run_pieces([bytes.as_slice()], &limits, Some(takeover()));
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let pieces = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        prop_assert_eq!(&run_pieces(pieces, &limits, Some(takeover())), &whole);
        prop_assert_eq!(&run_pieces(bytes.chunks(1), &limits, Some(takeover())), &whole);
        let errors_sent = whole.sent.windows(2).any(|pair| pair[0] == FIN | CLOSE);
        prop_assert!(whole.error.is_none() || errors_sent, "the close frame names the error");
    }

    /// A written header is read back, in the fewest bytes.
    #[test]
    fn headers_are_read_back(
        opcode in select(&[Opcode::Continuation, Opcode::Text, Opcode::Binary][..]),
        is_final in any::<bool>(),
        mask in any::<Option<[u8; 4]>>(),
        length in prop_oneof![0..300_u64, 65_000..66_000_u64, 0..1_u64 << 63],
    ) {
        let is_compressed = is_final && opcode != Opcode::Continuation;
        let header = Header { opcode, is_final, is_compressed, mask, payload_bytes: length };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        let extra = match length { 0..=125 => 0, 126..=0xffff => 2, _ => 8 };
        prop_assert_eq!(bytes.len(), 2 + extra + mask.map_or(0, |_| 4));
        let rules = Rules { is_masked: mask.is_some(), may_compress: true };
        for end in 0..bytes.len() {
            prop_assert_eq!(Header::parse(&bytes[..end], rules), Ok(None));
        }
        let size = bytes.len();
        prop_assert_eq!(Header::parse(&bytes, rules), Ok(Some((header, size))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Another inflater reads what a server deflates. A server reads what another compressor deflates, with another
    /// flush after each write.
    #[test]
    fn deflate_agrees_with_another_implementation(messages in vec(payloads(), 1..6), bits in 9..=15_u8) {
        let window = WindowBits::new(bits).unwrap();
        let mut deflaters = deflaters();
        let mut sending = deflaters.lend_window(window);
        let mut receiving = deflaters.lend_window(window);
        let mut inflater = Decompress::new_with_window_bits(false, bits);
        let mut compressor = flate2::write::DeflateEncoder::new(Vec::new(), Compression::new(3));
        let mut receiving_theirs = deflaters.lend_window(WindowBits::MAX);
        for message in &messages {
            if let Some(compressed) = deflaters.compress(message, window, sending.as_mut()) {
                let compressed = compressed.to_vec();
                let mut output = Vec::with_capacity(message.len() + 64);
                let input = [&compressed[..], b"\0\0\xff\xff"].concat();
                inflater.decompress_vec(&input, &mut output, FlushDecompress::Sync).unwrap();
                prop_assert_eq!(&output, message);
                let inflated = deflaters.inflate(&compressed, receiving.as_mut(), message.len());
                prop_assert_eq!(inflated.as_ref(), Ok(message));
            }
            let middle = message.len() / 2;
            for part in [&message[..middle], &message[middle..]] {
                std::io::Write::write_all(&mut compressor, part).unwrap();
                std::io::Write::flush(&mut compressor).unwrap();
            }
            let theirs = core::mem::take(compressor.get_mut());
            let theirs = theirs.strip_suffix(b"\0\0\xff\xff").unwrap();
            let inflated = deflaters.inflate(theirs, receiving_theirs.as_mut(), message.len());
            prop_assert_eq!(inflated.as_ref(), Ok(message));
        }
    }

    /// Every sent message arrives, under every negotiated setting.
    #[test]
    fn messages_arrive(
        messages in vec(payloads(), 1..8),
        server_context_takeover in any::<bool>(),
        client_context_takeover in any::<bool>(),
        bits in 9..=15_u8,
    ) {
        let config = DeflateConfig {
            server_context_takeover,
            client_context_takeover,
            server_max_window_bits: WindowBits::new(bits).unwrap(),
            client_max_window_bits: WindowBits::new(24 - bits).unwrap(),
            min_compressed_bytes: 16,
        };
        let mut pair = Pair::new(Some(&config));
        for message in &messages {
            pair.client.send(Payload::Binary(message)).unwrap();
            pair.server.send(Payload::Binary(message)).unwrap();
        }
        pair.settle();
        let sent: Vec<_> = messages.into_iter().map(Seen::Binary).collect();
        prop_assert!(pair.server.events == sent, "{:?}", pair.server.error);
        prop_assert!(pair.client.events == sent, "{:?}", pair.client.error);
    }
}
