//! `Accept-Encoding` (RFC 9110 §12.5.3): which of several content codings a client prefers.

use crate::app::request::weight::weight;
use crate::message::Fields;

/// A content coding that Squall can send (RFC 9110 §8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCoding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

impl ContentCoding {
    /// Every coding, the one that makes files smallest first.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Returns the name in `Content-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// Whether a name in `Accept-Encoding` means this coding. `x-gzip` is gzip (RFC 9110 §8.4.1.3).
    fn has_name(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name().as_bytes())
            || (self == Self::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
    }
}

/// What a client accepts, in thousandths of a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AcceptedCodings {
    /// In the order of [`ContentCoding::ALL`]; `None` where the field does not name the coding.
    codings: [Option<u16>; 3],
    identity: Option<u16>,
    any: Option<u16>,
}

impl AcceptedCodings {
    /// Reads every line of `Accept-Encoding`; of a repeated name the first counts, and malformed weights are 0.
    #[must_use]
    pub fn read(fields: Fields<'_>) -> Self {
        let mut accepted = Self::default();
        for element in fields
            .get_all("accept-encoding")
            .flat_map(|line| line.split(|&byte| byte == b','))
        {
            let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let weight = weight(parts);
            let place = match name {
                b"*" => Some(&mut accepted.any),
                name if name.eq_ignore_ascii_case(b"identity") => Some(&mut accepted.identity),
                name => {
                    let codings = ContentCoding::ALL.iter().zip(&mut accepted.codings);
                    let mut named = codings.filter(|(coding, _)| coding.has_name(name));
                    named.next().map(|(_, place)| place)
                }
            };
            if let Some(place) = place {
                place.get_or_insert(weight);
            }
        }
        accepted
    }

    /// Returns the coding that the client prefers among those that are available; `None` for the content as it is.
    ///
    /// Of codings that the client likes equally, the first one counts. Content as it is wins only where the client names
    /// it with a higher weight, or accepts no available coding.
    #[must_use]
    pub fn preferred(&self, available: impl IntoIterator<Item = ContentCoding>) -> Option<ContentCoding> {
        let mut best = None;
        for coding in available {
            let weight = self.weight(coding);
            if weight > 0 && best.is_none_or(|(_, most)| weight > most) {
                best = Some((coding, weight));
            }
        }
        best.filter(|(_, weight)| self.identity.is_none_or(|identity| *weight >= identity))
            .map(|(coding, _)| coding)
    }

    fn weight(&self, coding: ContentCoding) -> u16 {
        let mut known = ContentCoding::ALL.into_iter().zip(self.codings);
        let named = known.find(|(known, _)| *known == coding).and_then(|(_, named)| named);
        named.or(self.any).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::ContentCoding::{Brotli, Gzip, Zstd};
    use super::*;
    use crate::message::RequestHead;

    fn preferred(lines: &[&str], available: &[ContentCoding]) -> Option<ContentCoding> {
        let mut head = RequestHead::new();
        {
            let mut builder = head.rewrite();
            builder.bytes(b"Accept-Encoding");
            let mut at = 15;
            for line in lines {
                builder.bytes(line.as_bytes()).field(0..15, at..at + line.len());
                at += line.len();
            }
        }
        AcceptedCodings::read(head.fields()).preferred(available.iter().copied())
    }

    #[test]
    fn the_highest_weight_wins_and_the_servers_order_breaks_ties() {
        let all = ContentCoding::ALL;
        for (line, expected) in [
            ("gzip, deflate, br, zstd", Some(Brotli)),
            ("gzip, zstd", Some(Zstd)),
            ("gzip;q=1.0, br;q=0.5", Some(Gzip)),
            ("br;q=0.001, zstd;q=0.002", Some(Zstd)),
            ("GZIP", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("*", Some(Brotli)),
            ("*;q=0.5, gzip", Some(Gzip)),
            ("br;q=0, *", Some(Zstd)),
            ("gzip;q=0.5, identity", None),
            ("gzip, identity;q=0.5", Some(Gzip)),
            ("gzip;q=0.5, identity;q=0.5", Some(Gzip)),
            ("identity;q=0, gzip", Some(Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=0.000", None),
            ("*;q=0", None),
            ("identity", None),
            ("", None),
            (" gzip ; q=0.5 ,\tbr ; Q=0.4", Some(Gzip)),
            ("gzip;q=2, br;q=0.1", Some(Brotli)),
            ("gzip;q=, br;q=0.0001, zstd;q=nan", None),
            ("gzip;level=1", Some(Gzip)),
        ] {
            assert_eq!(preferred(&[line], &all), expected, "{line:?}");
        }
        assert_eq!(preferred(&[], &all), None);
        assert_eq!(preferred(&["gzip;q=0.5", "zstd"], &all), Some(Zstd));
        assert_eq!(preferred(&["br, gzip;q=0.1"], &[Gzip]), Some(Gzip));
        assert_eq!(preferred(&["br"], &[Gzip]), None);
    }
}
