//! The weights of preferences, as in `Accept` and `Accept-Encoding` (RFC 9110 §12.4.2).
//!
//! ```text
//! weight = OWS ";" OWS "q=" qvalue
//! qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3( "0" ) ] )
//! ```

/// The weight of an element without one.
pub(in crate::app) const WEIGHT_MAX: u16 = 1000;

/// Reads the weight of an element from its parameters, in thousandths; a malformed one is 0.
pub(in crate::app) fn weight<'p>(parameters: impl IntoIterator<Item = &'p [u8]>) -> u16 {
    for parameter in parameters {
        if let [b'q' | b'Q', b'=', value @ ..] = parameter.trim_ascii() {
            return thousandths(value).unwrap_or(0);
        }
    }
    WEIGHT_MAX
}

/// Reads a qvalue: `0.5` is 500.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, fraction) = match value {
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        [whole] => (whole, &[][..]),
        _ => return None,
    };
    let digits = core::iter::once(whole).chain(fraction);
    let mut value = 0;
    for place in digits.chain(core::iter::repeat(&b'0')).take(4) {
        if !place.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u16::from(place - b'0');
    }
    (value <= WEIGHT_MAX).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::weight;

    #[test]
    fn a_weight_has_at_most_three_digits_behind_its_point() {
        for (parameters, expected) in [
            ("", 1000),
            ("level=1", 1000),
            ("q=0", 0),
            ("q=1", 1000),
            ("q=0.", 0),
            ("q=0.5", 500),
            (" Q=0.125 ", 125),
            ("q=1.000", 1000),
            ("level=1; q=0.3", 300),
            ("q=1.001", 0),
            ("q=0.1234", 0),
            ("q=9", 0),
            ("q=.5", 0),
            ("q=-0", 0),
            ("q=00", 0),
            ("q=", 0),
        ] {
            assert_eq!(
                weight(parameters.as_bytes().split(|&byte| byte == b';')),
                expected,
                "{parameters}"
            );
        }
    }
}
