//! Sessions of both ends against each other: splits, long messages, ends, and peers that violate TLS.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{AlertDescription, RootCertStore, SupportedProtocolVersion, version};

use super::*;
use crate::transport::tls::provider::provider;

/// Both ends of a connection, and what each has received.
struct Pair {
    client: Session,
    server: Session,
    at_client: Vec<u8>,
    at_server: Vec<u8>,
}

/// Makes the two configurations of a version, with one certificate.
fn configs(version: &'static SupportedProtocolVersion) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed(["squall.test".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    // One key exchange, without a post-quantum share: hellos stay short, and so does the number of splits.
    let mut provider = (*provider()).clone();
    provider
        .kx_groups
        .retain(|group| group.name() == rustls::NamedGroup::X25519);
    let provider = Arc::new(provider);
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (Arc::new(client), Arc::new(server))
}

#[expect(clippy::disallowed_methods, reason = "any moment will do for the sizes of records")]
fn now() -> Instant {
    Instant::now()
}

impl Pair {
    fn new((client, server): &(Arc<ClientConfig>, Arc<ServerConfig>)) -> Self {
        Self {
            client: Session::client(Arc::clone(client), "squall.test".try_into().unwrap(), &[]).unwrap(),
            server: Session::server(Arc::clone(server), None).unwrap(),
            at_client: Vec::new(),
            at_server: Vec::new(),
        }
    }

    /// Completes the handshake; `cut` divides each flight into the pieces that arrive.
    fn open(&mut self, mut cut: impl FnMut(&[u8]) -> Vec<Vec<u8>>) -> Result<(), SessionError> {
        let mut to_server = Vec::new();
        self.client.receive(&mut [], &mut self.at_client, &mut to_server)?;
        while !to_server.is_empty() {
            let mut to_client = Vec::new();
            for mut piece in cut(&to_server) {
                self.server.receive(&mut piece, &mut self.at_server, &mut to_client)?;
            }
            to_server.clear();
            for mut piece in cut(&to_client) {
                self.client.receive(&mut piece, &mut self.at_client, &mut to_server)?;
            }
        }
        assert!(!self.client.is_handshaking() && !self.server.is_handshaking());
        Ok(())
    }

    /// Sends bytes from the client and returns their records.
    fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut records = Vec::new();
        self.client.send(plaintext, now(), &mut records).unwrap();
        records
    }
}

fn whole(flight: &[u8]) -> Vec<Vec<u8>> {
    vec![flight.to_vec()]
}

fn bytewise(flight: &[u8]) -> Vec<Vec<u8>> {
    flight.iter().map(|byte| vec![*byte]).collect()
}

/// Returns the bytes of a handshake message as records of `bytes` each.
fn fragmented(flight: &[u8], bytes: usize) -> Vec<u8> {
    let (header, message) = flight.split_at(5);
    let record = |piece: &[u8]| {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        [&header[..3], &length, piece].concat()
    };
    message.chunks(bytes).flat_map(record).collect()
}

#[test]
fn both_versions_carry_bytes_whole_and_byte_by_byte() {
    for version in [&version::TLS12, &version::TLS13] {
        let configs = configs(version);
        for cut in [whole, bytewise] {
            let mut pair = Pair::new(&configs);
            pair.open(cut).unwrap();
            let request = pair.seal(b"request");
            let mut output = Vec::new();
            for mut piece in cut(&request) {
                pair.server
                    .receive(&mut piece, &mut pair.at_server, &mut output)
                    .unwrap();
            }
            assert_eq!(pair.at_server, b"request");
            assert!(output.is_empty() && pair.server.gathered.is_empty());
            pair.server.send(b"response", now(), &mut output).unwrap();
            for mut piece in cut(&output) {
                pair.client
                    .receive(&mut piece, &mut pair.at_client, &mut Vec::new())
                    .unwrap();
            }
            assert_eq!(pair.at_client, b"response");
        }
    }
}

/// Cuts what the client sends in two, at every position: handshake, request and close.
#[test]
fn a_connection_is_the_same_at_every_two_way_split() {
    for version in [&version::TLS12, &version::TLS13] {
        let configs = configs(version);
        for at in 0.. {
            let mut pair = Pair::new(&configs);
            let mut sent = 0;
            let mut cut = |flight: &[u8]| {
                let (left, right) = flight.split_at(usize::min(flight.len(), usize::saturating_sub(at, sent)));
                sent += flight.len();
                vec![left.to_vec(), right.to_vec()]
            };
            pair.open(&mut cut).unwrap();
            let mut request = pair.seal(b"request");
            pair.client.close_notify(&mut request).unwrap();
            for mut piece in cut(&request) {
                pair.server
                    .receive(&mut piece, &mut pair.at_server, &mut Vec::new())
                    .unwrap();
            }
            assert_eq!(pair.at_server, b"request", "split at {at}");
            assert!(pair.server.peer_has_closed(), "split at {at}");
            if at > sent {
                break;
            }
        }
    }
}

/// Cuts what the server sends in two, at every position: handshake, tickets, response and close.
#[test]
fn a_client_reads_the_same_at_every_two_way_split() {
    for version in [&version::TLS12, &version::TLS13] {
        let configs = configs(version);
        for at in 0.. {
            let mut pair = Pair::new(&configs);
            let mut sent = 0;
            let mut cut = |flight: &[u8]| {
                let (left, right) = flight.split_at(usize::min(flight.len(), usize::saturating_sub(at, sent)));
                sent += flight.len();
                vec![left.to_vec(), right.to_vec()]
            };
            let mut to_server = Vec::new();
            pair.client
                .receive(&mut [], &mut pair.at_client, &mut to_server)
                .unwrap();
            while !to_server.is_empty() {
                let mut to_client = Vec::new();
                pair.server
                    .receive(&mut to_server, &mut pair.at_server, &mut to_client)
                    .unwrap();
                if !pair.server.is_handshaking() {
                    pair.server.send(b"response", now(), &mut to_client).unwrap();
                    pair.server.close_notify(&mut to_client).unwrap();
                }
                to_server.clear();
                for mut piece in cut(&to_client) {
                    pair.client
                        .receive(&mut piece, &mut pair.at_client, &mut to_server)
                        .unwrap();
                }
            }
            assert_eq!(pair.at_client, b"response", "split at {at}");
            assert!(pair.client.peer_has_closed(), "split at {at}");
            if at > sent {
                break;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_cutting_gives_the_same_plaintext(
        messages in proptest::collection::vec(0..40_000_usize, 1..4),
        cuts in proptest::collection::vec(1..5000_usize, 1..20),
    ) {
        let mut pair = Pair::new(&configs(&version::TLS13));
        pair.open(whole).unwrap();
        let Pair { client, server, .. } = pair;
        let mut ends = [client, server];
        for _ in 0..2 {
            let [sender, receiver] = &mut ends;
            let (mut records, mut expected, mut received) = (Vec::new(), Vec::new(), Vec::new());
            for bytes in &messages {
                let message: Vec<u8> = (0..*bytes).map(|at| at.to_le_bytes()[0]).collect();
                sender.send(&message, now(), &mut records).unwrap();
                expected.extend(message);
            }
            let mut lengths = cuts.iter().cycle();
            let mut rest = records.as_mut_slice();
            while !rest.is_empty() {
                let (piece, right) = rest.split_at_mut((*lengths.next().unwrap()).min(rest.len()));
                receiver.receive(piece, &mut received, &mut Vec::new()).unwrap();
                prop_assert!(receiver.gathered.len() <= GATHERED_BYTES_MAX);
                rest = right;
            }
            prop_assert_eq!(&received, &expected);
            prop_assert!(receiver.gathered.is_empty());
            ends.swap(0, 1);
        }
    }
}

#[test]
fn a_hello_in_records_of_one_byte_opens_a_session() {
    let mut pair = Pair::new(&configs(&version::TLS13));
    let mut is_first = true;
    pair.open(|flight| {
        let is_hello = std::mem::replace(&mut is_first, false);
        whole(&if is_hello {
            fragmented(flight, 1)
        } else {
            flight.to_vec()
        })
    })
    .unwrap();
}

#[test]
fn garbage_gets_an_alert_however_it_is_split() {
    let configs = configs(&version::TLS13);
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3],
        &[0; 64],
    ] {
        for cut in [whole, bytewise] {
            let mut pair = Pair::new(&configs);
            let mut output = Vec::new();
            let outcomes: Vec<_> = cut(garbage)
                .iter_mut()
                .map(|piece| pair.server.receive(piece, &mut pair.at_server, &mut output))
                .collect();
            assert!(
                outcomes
                    .iter()
                    .any(|outcome| matches!(outcome, Err(SessionError::Tls(_)))),
                "{garbage:?}"
            );
            // An alert: type 21, version, length 2, fatal.
            assert_eq!((output[0], &output[3..6]), (21, &[0, 2, 2][..]), "{garbage:?}");
            assert!(pair.at_server.is_empty());
        }
    }
}

#[test]
fn a_record_that_was_changed_on_its_way_ends_the_session_with_an_alert() {
    let mut pair = Pair::new(&configs(&version::TLS13));
    pair.open(whole).unwrap();
    let mut records = [pair.seal(b"before"), pair.seal(b"behind")].concat();
    *records.last_mut().unwrap() ^= 1;
    let mut output = Vec::new();
    let failed = pair.server.receive(&mut records, &mut pair.at_server, &mut output);
    assert!(
        matches!(failed, Err(SessionError::Tls(rustls::Error::DecryptError))),
        "{failed:?}"
    );
    assert_eq!(pair.at_server, b"before");
    let heard = pair.client.receive(&mut output, &mut pair.at_client, &mut Vec::new());
    let expected = AlertDescription::BadRecordMac;
    assert!(
        matches!(heard, Err(SessionError::Tls(rustls::Error::AlertReceived(alert))) if alert == expected),
        "{heard:?}"
    );
}

#[test]
fn a_hello_of_64_kib_is_refused_before_it_is_kept() {
    let mut server = Session::server(configs(&version::TLS13).1, None).unwrap();
    // A handshake record (22), TLS 1.0 as in every first record; a ClientHello (1) of 65,535 bytes.
    let message = [&[1, 0, 0xff, 0xff][..], &[0; 0xffff]].concat();
    let hello = fragmented(&[&[22, 3, 1, 0, 0][..], &message].concat(), 16_384);
    let mut failed = None;
    for piece in hello.chunks(4096) {
        if let Err(error) = server.receive(&mut piece.to_vec(), &mut Vec::new(), &mut Vec::new()) {
            failed = Some(error);
            break;
        }
    }
    assert!(failed.is_some());
    assert!(server.gathered.len() <= GATHERED_BYTES_MAX + 4096);
}

#[test]
fn an_end_with_close_notify_differs_from_one_without_it() {
    let mut pair = Pair::new(&configs(&version::TLS13));
    pair.open(whole).unwrap();
    let mut records = pair.seal(b"all of it");
    pair.server
        .receive(&mut records, &mut pair.at_server, &mut Vec::new())
        .unwrap();
    assert!(
        !pair.server.peer_has_closed(),
        "an end of the connection here truncates"
    );
    let mut end = Vec::new();
    pair.client.close_notify(&mut end).unwrap();
    end.extend(b"data behind the end is ignored");
    pair.server
        .receive(&mut end, &mut pair.at_server, &mut Vec::new())
        .unwrap();
    assert!(pair.server.peer_has_closed());
    assert_eq!(pair.at_server, b"all of it");
    // The other half is still open (RFC 8446 §6.1).
    let mut output = Vec::new();
    pair.server.send(b"answer", now(), &mut output).unwrap();
    pair.client
        .receive(&mut output, &mut pair.at_client, &mut Vec::new())
        .unwrap();
    assert_eq!(pair.at_client, b"answer");
}

#[test]
fn nothing_is_sent_before_the_handshake_or_behind_the_close_notify() {
    let mut pair = Pair::new(&configs(&version::TLS13));
    let mut output = Vec::new();
    let early = pair.server.send(b"early", now(), &mut output);
    assert!(matches!(early, Err(SessionError::NotOpen)), "{early:?}");
    pair.open(whole).unwrap();
    pair.server.close_notify(&mut output).unwrap();
    let ended = output.len();
    let late = pair.server.send(b"late", now(), &mut output);
    assert!(matches!(late, Err(SessionError::NotOpen)), "{late:?}");
    assert_eq!(output.len(), ended);
}

#[test]
fn a_failed_session_stays_failed() {
    let mut pair = Pair::new(&configs(&version::TLS13));
    pair.open(whole).unwrap();
    let mut output = Vec::new();
    for _ in 0..2 {
        let failed = pair
            .server
            .receive(&mut [0x17, 3, 3, 0, 1, 0], &mut pair.at_server, &mut output);
        assert!(failed.is_err());
    }
    pair.server.send(b"answer", now(), &mut output).unwrap_err();
}
