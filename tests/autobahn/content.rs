//! Content of five kinds for the compression cases: prose, a picture, a compressed document, records and markup. The
//! suite has files of these kinds; these are generated, the same in every run.

use std::sync::LazyLock;

/// How much there is of each kind.
pub(crate) const CONTENT_BYTES: usize = 384 * 1024;

/// All content, generated at first use.
static ALL: LazyLock<[Vec<u8>; 5]> = LazyLock::new(|| {
    use Content::{Document, Markup, Picture, Prose, Records};
    [Prose, Picture, Document, Records, Markup].map(Content::make)
});

/// A kind of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Prose,
    Picture,
    Document,
    Records,
    Markup,
}

/// Words of some length, none of them ASCII alone.
const WORDS: [&str; 16] = [
    "Ungewiß",
    "für",
    "Brücke",
    "über",
    "Möwe",
    "straßauf",
    "Äpfel",
    "geöffnet",
    "Düne",
    "Gärten",
    "Flüsse",
    "häufig",
    "Träume",
    "müde",
    "schön",
    "Größe",
];

/// Numbers that look random, from a linear congruential generator.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

impl Content {
    /// Whether it is sent as text.
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Records | Self::Markup)
    }

    /// Whether deflate makes it smaller, which fails for the compressed document only.
    pub(crate) fn is_compressible(self) -> bool {
        self != Self::Document
    }

    /// [`CONTENT_BYTES`] of it.
    pub(crate) fn bytes(self) -> &'static [u8] {
        &ALL[self as usize][..CONTENT_BYTES]
    }

    fn make(self) -> Vec<u8> {
        let mut random = Random::new(self as u64);
        let mut bytes = Vec::with_capacity(CONTENT_BYTES + 256);
        while bytes.len() < CONTENT_BYTES {
            match self {
                Self::Prose => {
                    bytes.extend(WORDS[random.below(WORDS.len())].as_bytes());
                    bytes.push(if random.below(9) == 0 { b'\n' } else { b' ' });
                }
                // Neighbouring points differ a little.
                Self::Picture => bytes.push(u8::try_from((bytes.len() / 64 + random.below(3)) % 256).unwrap()),
                Self::Document => bytes.push(u8::try_from(random.below(256)).unwrap()),
                Self::Records => {
                    let (id, price) = (random.below(1000), random.below(100_000));
                    bytes.extend(
                        format!("{{\"id\":{id},\"symbol\":\"SQL{id}\",\"price\":{price},\"open\":true}},\n").bytes(),
                    );
                }
                Self::Markup => {
                    let row = random.below(5000);
                    bytes.extend(
                        format!("<tr class=\"row\"><td>{row}</td><td><a href=\"/item/{row}\">item</a></td></tr>\n")
                            .bytes(),
                    );
                }
            }
        }
        bytes
    }
}
