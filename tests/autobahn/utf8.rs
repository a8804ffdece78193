//! Section 6: a text is UTF-8, wherever its fragments begin, and invalid UTF-8 is refused at once (RFC 6455 §8.1, RFC
//! 3629). The sequences are those of Markus Kuhn's stress test for decoders.

use crate::case::{CONTINUATION, Case, FIN, TEXT, fragments, frame};
use crate::{machine, wire};

use Sequences::{Invalid, Mixed, Valid};

/// Valid texts and invalid ones.
enum Sequences {
    Valid(Vec<Vec<u8>>),
    Invalid(Vec<Vec<u8>>),
    /// Each sequence, and whether it is valid.
    Mixed(Vec<(Vec<u8>, bool)>),
}

/// A Greek word: one code point of three bytes among those of two.
const WORD: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

/// Latin letters of one and two bytes.
const GREETING: &str = "Hello-µ@ßöäüàá-UTF-8!!";

pub(crate) fn cases() -> Vec<Case> {
    let groups = groups().into_iter().zip(5..).flat_map(|((holds, sequences), group)| {
        let rows = sequences.rows().into_iter().zip(1..);
        rows.map(move |((bytes, is_text), number)| {
            let number = format!("6.{group}.{number}");
            let holds = format!("{holds}: {}", bytes.escape_ascii());
            let sent = vec![frame(FIN | TEXT, &bytes)];
            if is_text {
                Case::open(number, holds, sent).answer(FIN | TEXT, bytes)
            } else {
                Case::refused(number, holds, sent, 1007)
            }
        })
    });
    in_fragments().into_iter().chain(groups).collect()
}

/// 6.1 to 6.4: valid and invalid texts in fragments.
fn in_fragments() -> Vec<Case> {
    let single = |bytes: &[u8]| fragments(TEXT, bytes.chunks(1));
    let text = |number: &str, holds: &str, sent: Vec<Vec<u8>>, text: &[u8]| {
        Case::open(number, holds, sent).answer(FIN | TEXT, text)
    };
    // A surrogate within valid text.
    let surrogate = [WORD, b"\xed\xa0\x80edited"].concat();
    let boundary = GREETING.find('ß').unwrap();
    let (first, second) = GREETING.split_at(boundary);
    let mut cases = vec![
        text("6.1.1", "an empty text comes back", vec![frame(FIN | TEXT, b"")], b""),
        text(
            "6.1.2",
            "so does one of three empty fragments",
            fragments(TEXT, ["", "", ""]),
            b"",
        ),
        text(
            "6.1.3",
            "empty fragments around another change nothing",
            fragments(TEXT, ["", "middle frame payload", ""]),
            b"middle frame payload",
        ),
        text(
            "6.2.1",
            "code points of two bytes come back",
            vec![frame(FIN | TEXT, GREETING)],
            GREETING.as_bytes(),
        ),
        text(
            "6.2.2",
            "in fragments that end between code points",
            fragments(TEXT, [first, second]),
            GREETING.as_bytes(),
        ),
        text(
            "6.2.3",
            "in fragments of one byte, which end within them",
            single(GREETING.as_bytes()),
            GREETING.as_bytes(),
        ),
        text("6.2.4", "code points of three bytes, likewise", single(WORD), WORD),
        Case::refused(
            "6.3.1",
            "a surrogate is invalid",
            vec![frame(FIN | TEXT, &surrogate)],
            1007,
        ),
        Case::refused("6.3.2", "in fragments of one byte neither", single(&surrogate), 1007),
    ];
    cases.extend(fail_fast());
    cases
}

/// 6.4: refused before the end of the message, and even of the frame, which is never sent.
fn fail_fast() -> [Case; 4] {
    // Past U+10FFFF by its second byte.
    let beyond = b"\xf4\x90\x80\x80";
    let whole = [WORD, beyond, b"edited"].concat();
    let two = vec![frame(TEXT, WORD), frame(CONTINUATION, beyond)];
    let cut = |mut frame: Vec<u8>, missing: usize| {
        frame.truncate(frame.len() - missing);
        frame
    };
    let one = frame(FIN | TEXT, &whole);
    [
        (
            "6.4.1",
            "an impossible code point is refused before the message has ended",
            two.clone(),
        ),
        (
            "6.4.2",
            "and at its second byte, before the frame has",
            vec![two[0].clone(), cut(two[1].clone(), 2)],
        ),
        (
            "6.4.3",
            "also in a message of one frame that has not ended",
            vec![cut(one.clone(), "edited".len())],
        ),
        ("6.4.4", "and at its second byte", vec![cut(one, "edited".len() + 2)]),
    ]
    .map(|(number, holds, sent)| Case::refused(number, holds, sent, 1007))
}

/// A group of sequences and their requirement.
type Group = (&'static str, Sequences);

/// 6.5 to 6.23, in this order.
fn groups() -> Vec<Group> {
    [texts_and_boundaries(), malformed(), overlong(), code_points()]
        .into_iter()
        .flatten()
        .collect()
}

/// 6.5 to 6.11: texts, their beginnings, and the ends of each length and of the range.
fn texts_and_boundaries() -> Vec<Group> {
    let words = ["hello$world", "hello¢world", "hello€world", "hello\u{24b62}world"].map(str::as_bytes);
    let prefixes = (1..=WORD.len()).map(|end| (WORD[..end].to_vec(), str::from_utf8(&WORD[..end]).is_ok()));
    let boundaries: [(&[u8], bool); 5] = [
        (b"\xed\x9f\xbf", true),
        (b"\xee\x80\x80", true),
        (b"\xef\xbf\xbd", true),
        (b"\xf4\x8f\xbf\xbf", true),
        (b"\xf4\x90\x80\x80", false),
    ];
    vec![
        (
            "code points of one to four bytes are text",
            Valid(each(&[words[0], words[1], words[2], words[3], WORD])),
        ),
        (
            "a beginning of a text is one if it ends between two code points",
            Mixed(prefixes.collect()),
        ),
        (
            "the first sequence of each length is text",
            Valid(each(&[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"])),
        ),
        (
            "five and six bytes are too many",
            Invalid(each(&[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"])),
        ),
        (
            "the last sequence of each length is text",
            Valid(each(&[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"])),
        ),
        (
            "the last sequences of four, five and six bytes are invalid",
            Invalid(each(&[
                b"\xf7\xbf\xbf\xbf",
                b"\xfb\xbf\xbf\xbf\xbf",
                b"\xfd\xbf\xbf\xbf\xbf\xbf",
            ])),
        ),
        (
            "code points around the surrogates and at the end of the range are valid, those beyond it invalid",
            Mixed(boundaries.map(|(bytes, is_text)| (bytes.to_vec(), is_text)).into()),
        ),
    ]
}

/// 6.12 to 6.16: bytes in places where they are invalid.
fn malformed() -> Vec<Group> {
    let lonely = [(0xc0, 0xdf), (0xe0, 0xef), (0xf0, 0xf7), (0xf8, 0xfb), (0xfc, 0xfd)];
    let lonely = lonely.map(|(first, last)| (first..=last).flat_map(|byte: u8| [byte, b' ']).collect());
    let alternating = |count| b"\x80\xbf".iter().copied().cycle().take(count).collect();
    let mut unexpected: Vec<Vec<u8>> = (1..=6).map(alternating).collect();
    unexpected.insert(1, b"\xbf".to_vec());
    unexpected.push((0x80..=0xbf).collect());
    let incomplete = incomplete();
    vec![
        ("continuation bytes begin nothing", Invalid(unexpected)),
        ("first bytes are nothing by themselves", Invalid(lonely.into())),
        (
            "a sequence without its last byte is invalid",
            Invalid(incomplete.clone()),
        ),
        ("nor are all of those together", Invalid(vec![incomplete.concat()])),
        (
            "bytes that never occur",
            Invalid(each(&[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"])),
        ),
    ]
}

/// 6.17 to 6.19: overlong encodings.
fn overlong() -> Vec<Group> {
    vec![
        (
            "a slash in two to six bytes",
            Invalid(each(&[
                b"\xc0\xaf",
                b"\xe0\x80\xaf",
                b"\xf0\x80\x80\xaf",
                b"\xf8\x80\x80\x80\xaf",
                b"\xfc\x80\x80\x80\x80\xaf",
            ])),
        ),
        (
            "the last code point that would fit fewer bytes",
            Invalid(each(&[
                b"\xc1\xbf",
                b"\xe0\x9f\xbf",
                b"\xf0\x8f\xbf\xbf",
                b"\xf8\x87\xbf\xbf\xbf",
                b"\xfc\x83\xbf\xbf\xbf\xbf",
            ])),
        ),
        (
            "zero in two to six bytes",
            Invalid(each(&[
                b"\xc0\x80",
                b"\xe0\x80\x80",
                b"\xf0\x80\x80\x80",
                b"\xf8\x80\x80\x80\x80",
                b"\xfc\x80\x80\x80\x80\x80",
            ])),
        ),
    ]
}

/// 6.20 to 6.23: surrogates, which are invalid, and noncharacters and specials, which are valid.
fn code_points() -> Vec<Group> {
    vec![
        (
            "a surrogate by itself",
            Invalid(each(&[
                b"\xed\xa0\x80",
                b"\xed\xad\xbf",
                b"\xed\xae\x80",
                b"\xed\xaf\xbf",
                b"\xed\xb0\x80",
                b"\xed\xbe\x80",
                b"\xed\xbf\xbf",
            ])),
        ),
        ("surrogates in pairs", Invalid(surrogate_pairs())),
        ("noncharacters are text", Valid(noncharacters())),
        (
            "the specials, byte order marks among them, are text",
            Valid((0xb9..=0xbf).map(|last| vec![0xef, 0xbf, last]).collect()),
        ),
    ]
}

/// A sequence of every length without its last byte: the smallest, then the largest.
fn incomplete() -> Vec<Vec<u8>> {
    let smallest = [0xc0, 0xe0, 0xf0, 0xf8, 0xfc]
        .into_iter()
        .zip(0..)
        .map(|(first, count)| (first, 0x80, count));
    let largest = [0xdf, 0xef, 0xf7, 0xfb, 0xfd]
        .into_iter()
        .zip(0..)
        .map(|(first, count)| (first, 0xbf, count));
    smallest
        .chain(largest)
        .map(|(first, continuation, count)| [vec![first], vec![continuation; count]].concat())
        .collect()
}

/// The corners of the high surrogates, each with the corners of the low ones.
fn surrogate_pairs() -> Vec<Vec<u8>> {
    let high = [b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"];
    let low = [b"\xed\xb0\x80", b"\xed\xbf\xbf"];
    high.into_iter()
        .flat_map(|high| low.map(|low| [high.as_slice(), low].concat()))
        .collect()
}

/// The last two code points of each plane.
fn noncharacters() -> Vec<Vec<u8>> {
    (0..=16_u32)
        .flat_map(|plane| [0xfffe, 0xffff].map(|last| plane << 16 | last))
        .map(|number| char::from_u32(number).unwrap().to_string().into_bytes())
        .collect()
}

fn each(sequences: &[&[u8]]) -> Vec<Vec<u8>> {
    sequences.iter().map(|bytes| bytes.to_vec()).collect()
}

impl Sequences {
    fn rows(self) -> Vec<(Vec<u8>, bool)> {
        match self {
            Self::Valid(sequences) => sequences.into_iter().map(|bytes| (bytes, true)).collect(),
            Self::Invalid(sequences) => sequences.into_iter().map(|bytes| (bytes, false)).collect(),
            Self::Mixed(rows) => rows,
        }
    }
}

#[test]
fn the_protocol_machine_passes_section_6() {
    machine::hold(&cases());
}

#[test]
fn the_server_passes_section_6() {
    wire::hold(&cases());
}
