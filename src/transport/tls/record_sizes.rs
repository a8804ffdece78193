//! How much plaintext each record gets: little at the beginning of a burst, 16 KiB later.
//!
//! A peer reads a record only once all of it has arrived. At the beginning of a connection, and after a pause, the
//! kernel sends few packets a round trip. A record of 16 KiB would then arrive two or three round trips late.

use std::time::{Duration, Instant};

/// The most plaintext in a record (RFC 8446 §5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// The plaintext of a record that fits one packet of Ethernet beside all headers. 1,400 bytes.
pub(super) const PACKET_BYTES: usize = 1400;

/// How many records of a burst fit a packet each. 40: 56 KiB, about four round trips of a fresh connection.
const PACKET_RECORDS: u32 = 40;

/// The silence after which a burst begins anew. 1 s: the kernel halves its window for each timeout of silence.
const BURST_GAP: Duration = Duration::from_secs(1);

/// Chooses the sizes of one connection's records.
#[derive(Debug)]
pub(super) struct RecordSizes {
    /// How many records the burst has had, up to [`PACKET_RECORDS`].
    small: u32,
    last: Option<Instant>,
}

impl RecordSizes {
    pub(super) const fn new() -> Self {
        Self { small: 0, last: None }
    }

    /// Notes a send of this many bytes.
    pub(super) fn begin(&mut self, now: Instant) {
        if self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= BURST_GAP)
        {
            self.small = 0;
        }
        self.last = Some(now);
    }

    /// Returns the most plaintext of the next record, of a send that has `left_bytes` left and `whole_bytes` in all.
    ///
    /// A send that fits one record is one record: its peer waits for the whole anyway.
    pub(super) fn next(&mut self, left_bytes: usize, whole_bytes: usize) -> usize {
        if whole_bytes <= RECORD_BYTES_MAX {
            return left_bytes;
        }
        if self.small >= PACKET_RECORDS {
            return left_bytes.min(RECORD_BYTES_MAX);
        }
        self.small += 1;
        left_bytes.min(PACKET_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the sizes of the records of one send.
    fn records(sizes: &mut RecordSizes, now: Instant, bytes: usize) -> Vec<usize> {
        sizes.begin(now);
        let mut left = bytes;
        let mut records = Vec::new();
        while left > 0 {
            let record = sizes.next(left, bytes);
            left -= record;
            records.push(record);
        }
        records
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do as the origin of a test")]
    fn a_burst_begins_with_records_of_one_packet_and_a_pause_begins_a_burst() {
        let start = Instant::now();
        let mut sizes = RecordSizes::new();
        assert_eq!(records(&mut sizes, start, 16_384), [16_384], "a response of one record");
        let burst = records(&mut sizes, start, 100_000);
        assert_eq!(burst[..40], [1400; 40]);
        assert_eq!(burst[40..], [16_384, 16_384, 11_232]);
        let soon = start + BURST_GAP / 2;
        assert_eq!(records(&mut sizes, soon, 20_000), [16_384, 3616]);
        assert_eq!(records(&mut sizes, soon + BURST_GAP, 20_000)[..2], [1400; 2]);
    }
}
