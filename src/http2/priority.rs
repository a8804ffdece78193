//! The priority of a response (RFC 9218 §4): an urgency, and whether parts of it are useful.

/// Urgencies: 0 is the most urgent.
pub(super) const URGENCIES: usize = 8;

/// The priority of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Priority {
    pub(super) urgency: u8,
    pub(super) is_incremental: bool,
}

impl Priority {
    /// The priority of a client that sends none: the usual urgency, and a fair share.
    ///
    /// Deviation: RFC 9218 §4.2 takes such a response for one that is useful only as a whole. A client without
    /// priorities, such as a proxy, has no preference between its requests, so they share the connection.
    pub(super) const UNSET: Self = Self {
        urgency: 3,
        is_incremental: true,
    };

    /// Reads a `priority` field (RFC 9218 §4). What cannot be read has its default (§4: ignore it).
    ///
    /// A dictionary of structured fields (RFC 8941 §3.2), of which only `u` and `i` have a meaning.
    pub(super) fn parse(value: &[u8]) -> Self {
        let mut priority = Self {
            urgency: 3,
            is_incremental: false,
        };
        for member in value.split(|&byte| byte == b',') {
            // Parameters behind a `;` have no meaning.
            let member = member.split(|&byte| byte == b';').next().unwrap_or_default();
            match member.trim_ascii() {
                [b'u', b'=', urgency @ b'0'..=b'7'] => priority.urgency = urgency - b'0',
                b"i" | b"i=?1" => priority.is_incremental = true,
                b"i=?0" => priority.is_incremental = false,
                _ => {}
            }
        }
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::Priority;

    #[test]
    fn urgency_and_increments_are_read() {
        let cases: [(&str, u8, bool); 11] = [
            ("", 3, false),
            ("u=0", 0, false),
            ("i", 3, true),
            ("u=5, i", 5, true),
            ("i=?1,u=7", 7, true),
            ("i=?0", 3, false),
            ("u=8", 3, false),
            ("u=1;x=2, i;y", 1, true),
            ("u=1, u=2", 2, false),
            ("U=1, u=-1, u=11", 3, false),
            ("x, u=4", 4, false),
        ];
        for (value, urgency, is_incremental) in cases {
            let expected = Priority {
                urgency,
                is_incremental,
            };
            assert_eq!(Priority::parse(value.as_bytes()), expected, "{value}");
        }
    }
}
