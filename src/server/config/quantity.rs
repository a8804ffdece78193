//! Quantities on the command line: times and numbers of bytes, with units.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration as an operator types it: `2`, `0.5`, `250ms`, `50us`, `2m`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Time(pub(super) Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let scale = match text.get(digits.len()..).unwrap_or_default() {
            "" | "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "m" => 60.0,
            unit => return Err(format!("unknown unit {unit:?}; use s, ms, us or m")),
        };
        let number: f64 = digits
            .parse()
            .map_err(|_| format!("invalid number {digits:?}; write 2, 0.5, 250ms, 50us or 2m"))?;
        Duration::try_from_secs_f64(number * scale)
            .map(Self)
            .map_err(|_| format!("{text:?} is out of range; write a time of 0 or more"))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}s", self.0.as_secs_f64())
    }
}

/// Reads a number of bytes, with an optional unit of 1024 bytes (K), 1024 K (M) or 1024 M (G).
pub(super) fn bytes<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let scale: u64 = match text.get(digits.len()..).unwrap_or_default() {
        "" | "B" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        unit => {
            return Err(format!(
                "unknown unit {unit:?}; use K, M or G, which are powers of 1024"
            ));
        }
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("invalid number {digits:?}; write 65536, 64K or 10M"))?;
    let bytes = number.checked_mul(scale).and_then(|bytes| T::try_from(bytes).ok());
    bytes.ok_or_else(|| format!("{text:?} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_may_have_a_unit_that_is_a_power_of_1024() {
        for (text, expected) in [
            ("0", 0),
            ("65536", 65536),
            ("64K", 65536),
            ("64KiB", 65536),
            ("10M", 10 << 20),
            ("2G", 2 << 30),
        ] {
            assert_eq!(bytes::<u64>(text), Ok(expected), "{text}");
        }
        for text in ["", "M", "-1", "1.5M", "10MB", "10 M", "99999999999G"] {
            bytes::<u64>(text).unwrap_err();
        }
        bytes::<u32>("4G").unwrap_err();
    }
}
